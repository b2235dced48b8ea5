package library

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"

	"golang.org/x/image/draw"

	"porthole/media/exif"
	"porthole/packages/console/signage"
)

const (
	thumbWidth   = 320 // pixels
	thumbHeight  = 640 // at most, for tall pictures
	thumbQuality = 80
)

// thumbBox is what a picture is scaled down to before it is turned and made a thumbnail: large enough for either way.
var thumbBox = image.Pt(2*thumbHeight, 2*thumbHeight)

// shrink makes a copy that fits into box.
func shrink(m image.Image, box image.Point) *image.RGBA {
	size := fit(m.Bounds().Size(), box)
	dst := image.NewRGBA(image.Rectangle{Max: size})
	draw.ApproxBiLinear.Scale(dst, dst.Rect, m, m.Bounds(), draw.Src, nil)
	return dst
}

// fit is the largest size of s's shape that fits into box, not larger than s.
func fit(s, box image.Point) image.Point {
	w, h := s.X, s.Y
	if w > box.X {
		w, h = box.X, h*box.X/w
	}
	if h > box.Y {
		w, h = w*box.Y/h, box.Y
	}
	return image.Pt(max(w, 1), max(h, 1))
}

// thumbnail is a picture of at most 320×640 on white, upright.
func thumbnail(s still) *image.RGBA {
	size := s.image.Bounds().Size()
	box := image.Pt(thumbWidth, thumbHeight)
	if s.orientation.Sideways() {
		box = image.Pt(thumbHeight, thumbWidth)
	}
	src := s.image
	if size.X > thumbBox.X || size.Y > thumbBox.Y {
		src = shrink(src, thumbBox)
	}
	small := image.NewRGBA(image.Rectangle{Max: fit(size, box)})
	draw.Draw(small, small.Rect, image.White, image.Point{}, draw.Src)
	draw.BiLinear.Scale(small, small.Rect, src, src.Bounds(), draw.Over, nil)
	return exif.Turned(small, s.orientation)
}

func encodeThumb(m image.Image) []byte {
	var b bytes.Buffer
	// Writing to memory does not fail, and the size is far below what JPEG can hold.
	_ = jpeg.Encode(&b, m, &jpeg.Options{Quality: thumbQuality})
	return b.Bytes()
}

// keepThumb puts a thumbnail beside the media.
func (l *Library) keepThumb(sha string, b []byte) error {
	if err := writeDurable(l.path("thumbs", sha+".jpg"), b); err != nil {
		return fmt.Errorf("keep thumbnail: %w", err)
	}
	return nil
}

// Thumb returns a medium's thumbnail, a JPEG, made anew if it was lost. A placeholder is returned, with false, where none can
// be made.
func (l *Library) Thumb(ctx context.Context, m signage.Media) (b []byte, real bool) {
	if !isHash(m.SHA256) {
		return placeholder(m.Kind), false
	}
	if b, ok := l.readThumb(m.SHA256); ok {
		return b, true
	}
	b, err := l.remakeThumb(ctx, m)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, signage.ErrNotFound) {
			l.log.Warn("cannot make a thumbnail", "sha256", m.SHA256, "err", err)
		}
		return placeholder(m.Kind), false
	}
	return b, true
}

func (l *Library) readThumb(sha string) ([]byte, bool) {
	b, err := os.ReadFile(l.path("thumbs", sha+".jpg"))
	return b, err == nil && len(b) > 2 && b[0] == 0xff && b[1] == 0xd8
}

func (l *Library) remakeThumb(ctx context.Context, m signage.Media) ([]byte, error) {
	if err := l.remaking.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer l.remaking.Release(1)
	if b, ok := l.readThumb(m.SHA256); ok {
		return b, nil // somebody else was waiting for it too
	}
	f, err := l.Open(m.SHA256)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found, err := l.probe(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := l.keepThumb(m.SHA256, found.thumb); err != nil {
		l.log.Warn("cannot keep a thumbnail", "err", err)
	}
	return found.thumb, nil
}

// placeholder stands for a picture or video of which there is no thumbnail: a frame, for videos with a triangle in it.
func placeholder(kind signage.MediaKind) []byte {
	const w, h = thumbWidth, thumbWidth * 9 / 16
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.Gray{0x60}
			edge := x < 8 || y < 8 || x >= w-8 || y >= h-8
			triangle := kind == signage.Video && x > 130 && x-130 < 70 && abs(y-h/2) < (70-(x-130))*4/7
			if edge || triangle {
				c.Y = 0xa0
			}
			m.SetGray(x, y, c)
		}
	}
	return encodeThumb(m)
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
