package display

import (
	"fmt"
	"image"
	"slices"

	"porthole/hw/internal/drm"
)

// load copies a frame into buffers that are not on the screen and returns the scene it makes.
func (s *kms) load(f Frame) (scene, error) {
	next := scene{base: s.shown.base}
	if f.Base != nil {
		if err := f.Base.check(s.layout.mode); err != nil {
			return scene{}, err
		}
	}
	if f.Video != nil {
		if s.layout.video == nil {
			return scene{}, fmt.Errorf("no plane for video: %w", ErrVideo)
		}
		if err := f.Video.check(); err != nil {
			return scene{}, err
		}
		var err error
		if next.video, err = s.loadVideo(f.Video); err != nil {
			return scene{}, fmt.Errorf("%w: %w", ErrVideo, err)
		}
		next.full, next.bt709, next.rect = f.Video.FullRange, f.Video.BT709, f.VideoRect
		if next.rect.Empty() {
			next.rect = image.Rect(0, 0, s.layout.mode.Width, s.layout.mode.Height)
		}
	}
	if err := s.loadVeil(f, &next); err != nil {
		return scene{}, err
	}
	if f.Base != nil {
		next.base = other(s.layout.base, s.shown.base)
		w, h := f.Base.Rect.Dx(), f.Base.Rect.Dy()
		copyLines(next.base.Pix, next.base.Strides[0], f.Base.Pix, f.Base.Stride, 4*w, h)
	}
	return next, nil
}

func other(pair [2]*drm.Buffer, b *drm.Buffer) *drm.Buffer {
	if pair[0] == b {
		return pair[1]
	}
	return pair[0]
}

// loadVideo copies a picture into the spare one of two buffers of its size, and makes them when the size is new.
func (s *kms) loadVideo(v *YUV) (*drm.Buffer, error) {
	w, h := v.Width&^1, v.Height&^1
	if s.video[0] == nil || s.video[0].Width != w || s.video[0].Height != h {
		s.retireVideo()
		for i := range s.video {
			b, err := s.board.card.NewYUV420(w, h)
			if err != nil {
				if i > 0 {
					s.board.card.Free(s.video[0]) // never shown
				}
				s.video = [2]*drm.Buffer{}
				return nil, err
			}
			s.video[i] = b
		}
	}
	b := other(s.video, s.shown.video)
	copyLines(b.Pix[b.Offsets[0]:], b.Strides[0], v.Y, v.YStride, w, h)
	copyLines(b.Pix[b.Offsets[1]:], b.Strides[1], v.U, v.UVStride, w/2, h/2)
	copyLines(b.Pix[b.Offsets[2]:], b.Strides[2], v.V, v.UVStride, w/2, h/2)
	return b, nil
}

// loadVeil copies a frame's veil, unless that of the last frame is the same.
func (s *kms) loadVeil(f Frame, next *scene) error {
	if f.Veil == nil {
		s.veilOf = nil
		return nil
	}
	if s.layout.veil == nil || f.VeilShare < 1 || f.VeilShare > 256 {
		return fmt.Errorf("veil with a share of %d of 256: %w", f.VeilShare, ErrVeil)
	}
	if err := f.Veil.check(s.layout.mode); err != nil {
		return err
	}
	w, h := s.layout.mode.Width, s.layout.mode.Height
	if s.veil != nil && (s.veil.Width != w || s.veil.Height != h || s.veil == s.shown.veil && s.veilOf != f.Veil) {
		s.retired = append(s.retired, s.veil)
		s.veil = nil
	}
	if s.veil == nil {
		b, err := s.board.card.NewXRGB(w, h)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrVeil, err)
		}
		s.veil, s.veilOf = b, nil
	}
	if s.veilOf != f.Veil {
		copyLines(s.veil.Pix, s.veil.Strides[0], f.Veil.Pix, f.Veil.Stride, 4*w, h)
		s.veilOf = f.Veil
	}
	next.veil, next.share = s.veil, f.VeilShare
	return nil
}

// retireVideo gives the video buffers up; they may be on the screen until the next frame is.
func (s *kms) retireVideo() {
	for i, b := range s.video {
		if b != nil {
			s.retired = append(s.retired, b)
		}
		s.video[i] = nil
	}
}

// sweep frees what is no longer on the screen; call it when nothing is pending.
func (s *kms) sweep() {
	keep := s.retired[:0]
	for _, b := range s.retired {
		if slices.Contains(s.shown.buffers(), b) {
			keep = append(keep, b)
			continue
		}
		s.board.card.Free(b)
	}
	s.retired = keep
}

// scaleInto fills dst with src, nearest neighbour: what was on the screen before a mode change, until the next frame.
func scaleInto(dst, src *drm.Buffer) {
	line := make([]byte, 4*src.Width) // read the slow memory once, in order
	out := make([]byte, 4*dst.Width)
	last := -1
	for y := range dst.Height {
		if from := y * src.Height / dst.Height; from != last {
			last = from
			copy(line, src.Pix[from*src.Strides[0]:])
			for x := range dst.Width {
				copy(out[4*x:4*x+4], line[x*src.Width/dst.Width*4:])
			}
		}
		copy(dst.Pix[y*dst.Strides[0]:], out)
	}
}
