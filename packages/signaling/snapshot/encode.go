package snapshot

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"

	"golang.org/x/image/draw"

	"porthole/media/decode"
	"porthole/media/render"
)

// quality is the JPEG quality of snapshots, of 100.
const quality = 80

// maxJPEG bounds the pixels of a camera's own JPEG that is decoded here.
const maxJPEG = decode.DefaultMaxPixels

// fromJPEG takes a picture as the camera sent it. A damaged one is found when it is scaled.
func fromJPEG(b []byte) (*still, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("read the camera's JPEG: %w", err)
	}
	if c.Width*c.Height > maxJPEG {
		return nil, fmt.Errorf("the camera's JPEG has %d×%d pixels, which is too large", c.Width, c.Height)
	}
	return &still{jpeg: b, info: decode.StreamInfo{Width: c.Width, Height: c.Height, SampleAspect: [2]int{1, 1}}}, nil
}

// size is the picture's size with square pixels.
func (s *still) size() image.Point {
	w, h := s.info.Width, s.info.Height
	if s.yuv != nil {
		w, h = s.yuv.Rect.Dx(), s.yuv.Rect.Dy()
	}
	if a := s.info.SampleAspect; a[0] > 0 && a[1] > 0 && a[0] != a[1] {
		// The longer side of a pixel is cut, so that nothing grows.
		if a[0] > a[1] {
			h = max(1, h*a[1]/a[0])
		} else {
			w = max(1, w*a[0]/a[1])
		}
	}
	return image.Pt(w, h)
}

// width is the width that is made when one is asked for: never more than the picture has, in steps of 16, so that
// there are few of them.
func (s *still) width(asked int) int {
	full := s.size().X
	if asked <= 0 || asked >= full {
		return full
	}
	return min(full, max(asked/16*16, MinWidth))
}

// encode makes the JPEG of a width that width returned.
func (s *still) encode(width int) (Picture, error) {
	full := s.size()
	out := image.Pt(width, max(1, (full.Y*width+full.X/2)/full.X))
	if s.jpeg != nil && width == full.X {
		return Picture{JPEG: s.jpeg, Width: out.X, Height: out.Y}, nil
	}
	m, err := s.pixels()
	if err != nil {
		return Picture{}, err
	}
	if m.Bounds().Size() != out {
		scaled := image.NewRGBA(image.Rectangle{Max: out})
		draw.BiLinear.Scale(scaled, scaled.Rect, m, m.Bounds(), draw.Src, nil)
		m = scaled
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		return Picture{}, fmt.Errorf("encode snapshot: %w", err)
	}
	return Picture{JPEG: b.Bytes(), Width: out.X, Height: out.Y}, nil
}

// pixels returns the picture in full size, in the colours of a screen: JPEG has BT.601's matrix in full range, a camera
// mostly BT.709's in limited range.
func (s *still) pixels() (image.Image, error) {
	if s.jpeg != nil {
		m, err := jpeg.Decode(bytes.NewReader(s.jpeg))
		if err != nil {
			return nil, fmt.Errorf("decode the camera's JPEG: %w", err)
		}
		return m, nil
	}
	m := render.NewImage(s.yuv.Rect.Dx(), s.yuv.Rect.Dy())
	render.NewConverter(render.Matrix(s.info.Matrix), s.info.FullRange).Draw(m, m.Rect, s.yuv, s.yuv.Rect)
	return m.RGBA(), nil
}
