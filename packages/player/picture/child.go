package picture

import (
	"context"
	"image"
	"os"
	"time"

	"porthole/media/decode"
	"porthole/media/render"
)

// childTimeout bounds what one picture may take.
const childTimeout = 30 * time.Second

// Decoder returns a Child that runs the decoder at path, which may load libraries from the given folders.
func Decoder(path string, libraries ...string) Child {
	return func(ctx context.Context, f *os.File, size image.Point, maxPixels int) (image.Image, error) {
		d, err := decode.Open(ctx, decode.Options{
			Binary: path, Libraries: libraries, File: f, MaxSize: size, MaxPixels: maxPixels, Frames: 1, Threads: 1,
			FrameTimeout: childTimeout, Timeout: childTimeout,
		})
		if err != nil {
			return nil, err
		}
		defer d.Close()
		frame, err := d.Next(ctx)
		if err != nil {
			return nil, err
		}
		defer frame.Release()
		info, err := d.Info(ctx)
		if err != nil {
			return nil, err
		}
		m := render.NewImage(frame.Image.Rect.Dx(), frame.Image.Rect.Dy())
		render.NewConverter(render.Matrix(info.Matrix), info.FullRange).Draw(m, m.Rect, frame.Image, frame.Image.Rect)
		if info.Rotation == 0 {
			return m, nil
		}
		turn := render.Turn(info.Rotation)
		upright := turn.Size(m.Rect.Size())
		out := render.NewImage(upright.X, upright.Y)
		if err := render.Rotate(out, m, turn); err != nil {
			return nil, err
		}
		return out, nil
	}
}
