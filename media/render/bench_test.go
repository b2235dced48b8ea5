package render_test

import (
	"image"
	"testing"

	"porthole/media/render"
)

func BenchmarkDrawPhoto(b *testing.B) { // 12 megapixels to 1080p
	src := image.NewYCbCr(image.Rect(0, 0, 4000, 3000), image.YCbCrSubsampleRatio420)
	dst := render.NewImage(1920, 1080)
	for b.Loop() {
		render.Draw(dst, src, render.Fill, 0, white)
	}
}

func BenchmarkConvert1080p(b *testing.B) {
	src := image.NewYCbCr(image.Rect(0, 0, 1920, 1080), image.YCbCrSubsampleRatio420)
	dst, c := render.NewImage(1920, 1080), render.NewConverter(render.BT709, false)
	for b.Loop() {
		c.Draw(dst, dst.Rect, src, src.Rect)
	}
}

func BenchmarkConvert720pTo1080p(b *testing.B) {
	src := image.NewYCbCr(image.Rect(0, 0, 1280, 720), image.YCbCrSubsampleRatio420)
	dst, c := render.NewImage(1920, 1080), render.NewConverter(render.BT709, false)
	for b.Loop() {
		c.Draw(dst, dst.Rect, src, src.Rect)
	}
}

func BenchmarkRotate1080p(b *testing.B) {
	src, dst := render.NewImage(1080, 1920), render.NewImage(1920, 1080)
	for b.Loop() {
		if err := render.Rotate(dst, src, 90); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRotateYUV1080p(b *testing.B) {
	src := image.NewYCbCr(image.Rect(0, 0, 1080, 1920), image.YCbCrSubsampleRatio420)
	dst := image.NewYCbCr(image.Rect(0, 0, 1920, 1080), image.YCbCrSubsampleRatio420)
	for b.Loop() {
		if err := render.RotateYUV(dst, src, 90); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCrossfade1080p(b *testing.B) {
	x, y, dst := render.NewImage(1920, 1080), render.NewImage(1920, 1080), render.NewImage(1920, 1080)
	for b.Loop() {
		if err := render.Crossfade(dst, x, y, 100); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStatusScreen(b *testing.B) {
	dst := render.NewImage(1920, 1080)
	for b.Loop() {
		render.StatusScreen(dst, ordinary())
	}
}

func BenchmarkLog1080p(b *testing.B) {
	dst := render.NewImage(1920, 1080)
	lines := logLines(60)
	for b.Loop() {
		render.Log(dst, lines)
	}
}
