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
	r, err := nut.NewReader(d.child.stdout, d.opts.pictureLimit())
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
		if d.shared == nil && p.Size != size {
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
		img, err := d.picture(ctx, r, p)
		if err != nil {
			return err
		}
		if d.feed != nil {
			d.feed.frameOut()
		}
		d.frames <- &Frame{Image: img, PTS: stream.TimeBase.Duration(p.PTS), owner: d} // as many fit as there are buffers
	}
}

// picture takes the picture of a packet: out of shared memory, or out of the pipe.
func (d *Decoder) picture(ctx context.Context, r *nut.Reader, p nut.Packet) (*image.YCbCr, error) {
	w, h := d.info.Width, d.info.Height
	if d.shared != nil {
		return d.shared.take(r, p, w, h)
	}
	img, err := d.buffer(ctx)
	if err != nil {
		return nil, err
	}
	for _, plane := range [][]byte{img.Y, img.Cb, img.Cr} {
		if _, err := io.ReadFull(r, plane); err != nil {
			return nil, err
		}
	}
	return img, nil
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
		w, h := d.info.Width, d.info.Height
		img := packed(make([]byte, pictureSize(w, h)), w, h)
		return &img, nil
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

// packed is a 4:2:0 picture in one piece of memory, planes packed as the child makes them.
func packed(buf []byte, w, h int) image.YCbCr {
	y, c := w*h, chroma(w)*chroma(h)
	return image.YCbCr{
		Y: buf[:y:y], Cb: buf[y : y+c : y+c], Cr: buf[y+c : y+2*c : y+2*c],
		YStride: w, CStride: chroma(w), SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, w, h),
	}
}
