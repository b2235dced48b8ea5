// Package picture reads picture files for the screen. A file may be damaged, huge or hostile: what it would cost is known
// before it is decoded, and what Go cannot decode goes to the decoder's child process.
package picture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif"  // formats that are decoded here
	_ "image/jpeg" // the same
	_ "image/png"  // the same
	"io"
	"os"

	_ "golang.org/x/image/bmp"  // the same
	_ "golang.org/x/image/webp" // the same

	"porthole/media/decode"
	"porthole/media/exif"
)

const (
	// maxFile bounds what is read of a file, in bytes.
	maxFile = 64 << 20
	// maxMemory bounds what decoding here may take, in bytes: a Zero 2 has 512 MB for everything.
	maxMemory = 160 << 20
	// maxPixels bounds a picture that the child decodes.
	maxPixels = 110_000_000
)

// What is wrong with a picture, in words for its owner.
var (
	ErrMissing = errors.New("there is no such file")
	ErrLarge   = errors.New("it is too large")
	ErrFormat  = errors.New("it is damaged, or of a kind that is not known here (JPEG, PNG, GIF, WebP and BMP are)")
)

// Child decodes the first picture of a file that Go does not know, or that is too large for it, scaled down to fit into
// size.
type Child func(ctx context.Context, f *os.File, size image.Point, maxPixels int) (image.Image, error)

// Load reads the picture at path. One that is larger than size may come scaled down. errors.Is finds ErrMissing,
// ErrLarge and ErrFormat. Decoding that was begun is not ended with ctx, but bounded.
func Load(ctx context.Context, path string, size image.Point, child Child) (image.Image, error) {
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open picture: %w", err)
	}
	defer f.Close()
	return decodeFile(ctx, f, size, child)
}

// LoadFile is Load for a file that is open.
func LoadFile(ctx context.Context, f *os.File, size image.Point, child Child) (image.Image, error) {
	st, err := f.Stat()
	if err == nil {
		err = admit(st)
	}
	if err != nil {
		return nil, fmt.Errorf("open picture: %w", err)
	}
	return decodeFile(ctx, f, size, child)
}

func decodeFile(ctx context.Context, f *os.File, size image.Point, child Child) (image.Image, error) {
	config, format, err := image.DecodeConfig(f)
	if err == nil && (config.Width <= 0 || config.Height <= 0) {
		return nil, fmt.Errorf("decode %s picture without pixels: %w", format, ErrFormat)
	}
	here := err == nil && cost(config, format) <= maxMemory
	if here {
		m, err := decodeHere(f, format)
		if err != nil {
			return nil, fmt.Errorf("decode %s picture: %w: %w", format, ErrFormat, err)
		}
		return m, nil
	}
	if err == nil && int64(config.Width)*int64(config.Height) > maxPixels {
		return nil, fmt.Errorf("decode %s picture of %d×%d: %w", format, config.Width, config.Height, ErrLarge)
	}
	m, childErr := child(ctx, f, size, maxPixels)
	switch {
	case childErr == nil:
		return m, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return nil, fmt.Errorf("decode %s picture of %d×%d: %w: %w", format, config.Width, config.Height, ErrLarge, childErr)
	case errors.Is(childErr, decode.ErrMemory):
		return nil, fmt.Errorf("decode picture: %w: %w", ErrLarge, childErr)
	}
	return nil, fmt.Errorf("decode picture: %w: %w", ErrFormat, childErr)
}

// open refuses what is no ordinary file: opening a pipe would wait for its other end.
func open(path string) (*os.File, error) {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, ErrMissing
	case err != nil:
		return nil, err
	}
	if err := admit(st); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func admit(st os.FileInfo) error {
	switch {
	case !st.Mode().IsRegular():
		return ErrFormat
	case st.Size() > maxFile:
		return fmt.Errorf("%w: %d MB, at most %d are read", ErrLarge, st.Size()>>20, maxFile>>20)
	}
	return nil
}

// cost is about how many bytes decoding takes at its peak, the turned copy included.
func cost(c image.Config, format string) int64 {
	perPixel := int64(8)
	if format == "jpeg" {
		// A progressive one keeps all coefficients, 4 bytes each, and 4:2:0 has one and a half for each pixel.
		perPixel = 10
	}
	return int64(c.Width) * int64(c.Height) * perPixel
}

// decodeHere decodes in this process. A bug of a decoder that a hostile picture finds costs the picture.
func decodeHere(f *os.File, format string) (m image.Image, err error) {
	defer func() {
		if v := recover(); v != nil {
			m, err = nil, fmt.Errorf("decoder failed: %v", v)
		}
	}()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	turn := exif.Upright
	if format == "jpeg" {
		turn = exif.ReadHead(f).Orientation
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	if m, _, err = image.Decode(f); err != nil {
		return nil, err
	}
	if turn == exif.Upright {
		return m, nil
	}
	b := m.Bounds()
	lying := image.NewRGBA(image.Rectangle{Max: b.Size()})
	draw.Draw(lying, lying.Rect, m, b.Min, draw.Src)
	return exif.Turned(lying, turn), nil
}
