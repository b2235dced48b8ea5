package decode

import (
	"context"
	"fmt"
	"image"
	"io"

	"porthole/media/decode/nut"
)

// readFrames reads frames from the child until it ends, fails or is killed. The end of the stream is io.EOF.
func (d *Decoder) readFrames(ctx context.Context) error {
	r, err := nut.NewReader(d.child.stdout, d.opts.MaxPixels*3/2+1<<16)
	if err != nil {
		return err
	}
	if s := r.Streams(); len(s) != 1 || s[0].Class != nut.Video || string(s[0].FourCC[:]) != "I420" {
		return fmt.Errorf("%w: not one stream of I420 pictures", nut.ErrFormat)
	}
	stream := r.Streams()[0]
	size := pictureSize(stream.Width, stream.Height)
	for first := true; ; first = false {
		p, err := r.Next()
		if err != nil {
			return err
		}
		if p.Size != size {
			return fmt.Errorf("%w: picture of %d bytes, %d×%d has %d", nut.ErrFormat, p.Size, stream.Width, stream.Height, size)
		}
		if first {
			// The child has logged the stream's description before its first frame, but that is another pipe.
			select {
			case <-d.log.described:
			case <-ctx.Done():
				return ctx.Err()
			}
			d.info = d.log.info(stream)
			close(d.infoReady)
		}
		img, err := d.buffer(ctx)
		if err != nil {
			return err
		}
		if err := readPicture(r, img, stream.Width, stream.Height); err != nil {
			return err
		}
		if d.feed != nil {
			d.feed.frameOut()
		}
		d.frames <- &Frame{Image: img, PTS: stream.TimeBase.Duration(p.PTS), owner: d} // as many fit as there are buffers
	}
}

// buffer takes a free buffer, makes one, or waits for one.
func (d *Decoder) buffer(ctx context.Context) (*image.YCbCr, error) {
	select {
	case img := <-d.free:
		return img, nil
	default:
	}
	if d.spare > 0 {
		d.spare--
		img, err := d.opts.Allocate(d.info)
		if err != nil {
			return nil, fmt.Errorf("allocate a frame of %d×%d: %w", d.info.Width, d.info.Height, err)
		}
		if err := fits(img, d.info.Width, d.info.Height); err != nil {
			return nil, err
		}
		return img, nil
	}
	d.starved.Store(true)
	defer d.starved.Store(false)
	select {
	case img := <-d.free:
		return img, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// chroma is the size of a chroma plane along one side: half, rounded up.
func chroma(n int) int { return (n + 1) / 2 }

// pictureSize is the size in bytes of a packed 4:2:0 picture.
func pictureSize(w, h int) int { return w*h + 2*chroma(w)*chroma(h) }

// newImage makes a 4:2:0 picture in one piece of memory, planes packed as the child sends them.
func newImage(w, h int) *image.YCbCr {
	buf := make([]byte, pictureSize(w, h))
	y, c := w*h, chroma(w)*chroma(h)
	return &image.YCbCr{
		Y: buf[:y:y], Cb: buf[y : y+c : y+c], Cr: buf[y+c:],
		YStride: w, CStride: chroma(w), SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, w, h),
	}
}

// fits checks what Allocate has made.
func fits(img *image.YCbCr, w, h int) error {
	need := func(stride, w, h int) int { return stride*(h-1) + w }
	if img == nil || img.SubsampleRatio != image.YCbCrSubsampleRatio420 || img.YStride < w || img.CStride < chroma(w) ||
		len(img.Y) < need(img.YStride, w, h) || min(len(img.Cb), len(img.Cr)) < need(img.CStride, chroma(w), chroma(h)) {
		return fmt.Errorf("allocated frame is not a 4:2:0 picture of %d×%d", w, h)
	}
	return nil
}

// readPicture reads a packed 4:2:0 picture into planes of any stride.
func readPicture(r io.Reader, img *image.YCbCr, w, h int) error {
	for _, p := range []struct {
		pix          []byte
		stride, w, h int
	}{{img.Y, img.YStride, w, h}, {img.Cb, img.CStride, chroma(w), chroma(h)}, {img.Cr, img.CStride, chroma(w), chroma(h)}} {
		if p.stride == p.w {
			if _, err := io.ReadFull(r, p.pix[:p.w*p.h]); err != nil {
				return err
			}
			continue
		}
		for y := range p.h {
			if _, err := io.ReadFull(r, p.pix[y*p.stride:][:p.w]); err != nil {
				return err
			}
		}
	}
	return nil
}
