package render_test

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"testing"

	"porthole/media/render"
)

var (
	red    = color.RGBA{0xff, 0, 0, 0xff}
	green  = color.RGBA{0, 0xff, 0, 0xff}
	blue   = color.RGBA{0, 0, 0xff, 0xff}
	white  = color.RGBA{0xff, 0xff, 0xff, 0xff}
	yellow = color.RGBA{0xff, 0xff, 0, 0xff}
)

// quadrants is a picture of red, green / blue, white.
func quadrants(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, [2][2]color.RGBA{{red, green}, {blue, white}}[2*y/h][2*x/w])
		}
	}
	return m
}

func TestPlace(t *testing.T) {
	screen := image.Rect(0, 0, 1920, 1080)
	for _, tt := range []struct {
		mode     render.Mode
		src      image.Point
		from, to image.Rectangle
	}{
		{render.Fit, image.Pt(1280, 720), image.Rect(0, 0, 1280, 720), screen},
		{render.Fit, image.Pt(1000, 1000), image.Rect(0, 0, 1000, 1000), image.Rect(420, 0, 1500, 1080)},
		{render.Fit, image.Pt(4000, 1000), image.Rect(0, 0, 4000, 1000), image.Rect(0, 300, 1920, 780)},
		{render.Fill, image.Pt(1000, 1000), image.Rect(0, 218, 1000, 781), screen},
		{render.Fill, image.Pt(4000, 1000), image.Rect(1111, 0, 2889, 1000), screen},
		{render.Stretch, image.Pt(10, 10), image.Rect(0, 0, 10, 10), screen},
		{render.Fit, image.Pt(1, 100000), image.Rect(0, 0, 1, 100000), image.Rect(959, 0, 960, 1080)},
		{render.Fit, image.Pt(0, 5), image.Rectangle{}, image.Rectangle{}},
	} {
		from, to := render.Place(tt.mode, tt.src, screen)
		if from != tt.from || to != tt.to {
			t.Errorf("%s %v: %v to %v, want %v to %v", tt.mode, tt.src, from, to, tt.from, tt.to)
		}
	}
}

func TestDraw(t *testing.T) {
	// What is seen in the corners of the picture, clockwise from the top left.
	corners := map[render.Turn][4]color.RGBA{0: {red, green, white, blue}, 90: {blue, red, green, white}, 180: {white, blue, red, green}, 270: {green, white, blue, red}}
	for turn, want := range corners {
		for mode, seen := range map[render.Mode]image.Rectangle{
			render.Stretch: image.Rect(0, 0, 200, 100), render.Fill: image.Rect(0, 0, 200, 100), render.Fit: image.Rect(50, 0, 150, 100),
		} {
			t.Run(fmt.Sprint(mode, " turned by ", turn), func(t *testing.T) {
				whole := render.NewImage(300, 200)
				dst := whole.SubImage(image.Rect(40, 30, 240, 130))
				render.Draw(dst, quadrants(64, 64), mode, turn, yellow)
				seen := seen.Add(image.Pt(40, 30))
				in := seen.Inset(8)
				for i, p := range []image.Point{in.Min, {in.Max.X, in.Min.Y}, in.Max, {in.Min.X, in.Max.Y}} {
					if got := whole.At(p.X, p.Y); got != want[i] {
						t.Errorf("corner %d at %v: %v, want %v", i, p, got, want[i])
					}
				}
				if mode == render.Fit && whole.At(45, 80) != yellow {
					t.Errorf("beside the picture: %v", whole.At(45, 80))
				}
				if whole.At(39, 80) != (color.RGBA{A: 0xff}) || whole.At(240, 80) != (color.RGBA{A: 0xff}) {
					t.Error("drawn outside of the destination")
				}
			})
		}
	}
	// A picture of this package goes through the same way.
	src, dst := render.NewImage(10, 10), render.NewImage(20, 20)
	src.Fill(src.Rect, green)
	render.Draw(dst, src, render.Fit, 0, red)
	if got := dst.At(10, 10); got != green {
		t.Errorf("%v", got)
	}
}

// TestFillKeepsTheMiddle: of a turned picture that is cut, the middle stays.
func TestFillKeepsTheMiddle(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 100, 300))
	for y := range 300 {
		for x := range 100 {
			src.Set(x, y, []color.RGBA{red, green, blue}[y/100])
		}
	}
	for _, turn := range []render.Turn{0, 90, 180, 270} {
		dst := render.NewImage(80, 80)
		render.Draw(dst, src, render.Fill, turn, yellow)
		for _, p := range []image.Point{{2, 2}, {77, 77}, {40, 40}} {
			if got := dst.At(p.X, p.Y); got != green {
				t.Errorf("turned by %d at %v: %v", turn, p, got)
			}
		}
	}
}

func TestRotate(t *testing.T) {
	src := render.NewImage(67, 41)
	yuv := image.NewYCbCr(image.Rect(0, 0, 66, 40), image.YCbCrSubsampleRatio420)
	for i := range src.Pix {
		src.Pix[i] = byte(i * 7)
	}
	for i := range yuv.Y {
		yuv.Y[i] = byte(i * 3)
	}
	for i := range yuv.Cb {
		yuv.Cb[i], yuv.Cr[i] = byte(i*5), byte(i*11)
	}
	where := map[render.Turn]func(x, y, w, h int) (int, int){
		0: func(x, y, _, _ int) (int, int) { return x, y }, 90: func(x, y, _, h int) (int, int) { return h - 1 - y, x },
		180: func(x, y, w, h int) (int, int) { return w - 1 - x, h - 1 - y }, 270: func(x, y, w, _ int) (int, int) { return y, w - 1 - x },
	}
	for turn, to := range where {
		size := turn.Size(src.Rect.Size())
		dst := render.NewImage(size.X+5, size.Y).SubImage(image.Rect(5, 0, size.X+5, size.Y))
		if err := render.Rotate(dst, src, turn); err != nil {
			t.Fatal(err)
		}
		for y := range 41 {
			for x := range 67 {
				if dx, dy := to(x, y, 67, 41); dst.At(dx+5, dy) != src.At(x, y) {
					t.Fatalf("turned by %d: pixel %d,%d is not at %d,%d", turn, x, y, dx, dy)
				}
			}
		}
		size = turn.Size(yuv.Rect.Size())
		frame := image.NewYCbCr(image.Rectangle{Max: size}, image.YCbCrSubsampleRatio420)
		if err := render.RotateYUV(frame, yuv, turn); err != nil {
			t.Fatal(err)
		}
		for y := range 40 {
			for x := range 66 {
				if dx, dy := to(x, y, 66, 40); frame.At(dx, dy) != yuv.At(x, y) {
					t.Fatalf("frame turned by %d: pixel %d,%d is not at %d,%d", turn, x, y, dx, dy)
				}
			}
		}
	}
	if err := render.Rotate(render.NewImage(67, 41), src, 90); err == nil {
		t.Error("rotated into a picture of the wrong size")
	}
	if err := render.Rotate(src, src, 45); err == nil {
		t.Error("rotated by 45 degrees")
	}
}

// encode makes a flat frame of a colour, by the definition of the matrix.
func encode(w, h int, c color.RGBA, kr, kb float64, full bool) *image.YCbCr {
	r, g, b := float64(c.R)/255, float64(c.G)/255, float64(c.B)/255
	y := kr*r + (1-kr-kb)*g + kb*b
	pb, pr := (b-y)/(2*(1-kb)), (r-y)/(2*(1-kr))
	luma, chroma, black := 219.0, 224.0, 16.0
	if full {
		luma, chroma, black = 255, 255, 0
	}
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	set := func(p []byte, v float64) {
		for i := range p {
			p[i] = byte(min(max(math.Round(v), 0), 255))
		}
	}
	set(m.Y, black+luma*y)
	set(m.Cb, 128+chroma*pb)
	set(m.Cr, 128+chroma*pr)
	return m
}

func TestConverterColours(t *testing.T) {
	for _, m := range []struct {
		matrix render.Matrix
		kr, kb float64
	}{{render.BT601, 0.299, 0.114}, {render.BT709, 0.2126, 0.0722}, {render.BT2020, 0.2627, 0.0593}} {
		for _, full := range []bool{false, true} {
			c := render.NewConverter(m.matrix, full)
			for _, want := range []color.RGBA{red, green, blue, white, {0, 0, 0, 255}, {17, 130, 201, 255}, {200, 100, 50, 255}, {128, 128, 128, 255}} {
				dst := render.NewImage(16, 16)
				src := encode(16, 16, want, m.kr, m.kb, full)
				c.Draw(dst, dst.Rect, src, src.Rect)
				got := dst.At(7, 9).(color.RGBA)
				for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
					if d < -2 || d > 2 {
						t.Errorf("%s, full range %t: %v became %v", m.matrix, full, want, got)
						break
					}
				}
			}
		}
	}
}

func TestConverterPlaces(t *testing.T) {
	// A grey ramp from left to right and top to bottom, and chroma that marks the right half.
	src := image.NewYCbCr(image.Rect(0, 0, 64, 32), image.YCbCrSubsampleRatio420)
	for y := range 32 {
		for x := range 64 {
			src.Y[src.YOffset(x, y)] = byte(2*x + 3*y)
		}
	}
	for i := range src.Cb {
		src.Cb[i], src.Cr[i] = 128, 128
	}
	c := render.NewConverter(render.BT601, true)
	grey := func(m *render.Image, x, y int) int { return int(m.At(x, y).(color.RGBA).G) }

	whole := render.NewImage(100, 100)
	c.Draw(whole, image.Rect(10, 20, 74, 52), src, src.Rect)
	if got := grey(whole, 10+30, 20+9); got != 2*30+3*9 {
		t.Errorf("unscaled: %d", got)
	}
	if whole.At(9, 30) != (color.RGBA{A: 255}) || whole.At(74, 30) != (color.RGBA{A: 255}) {
		t.Error("drawn beside its place")
	}
	for _, r := range []image.Rectangle{image.Rect(0, 0, 256, 128), image.Rect(0, 0, 40, 20), image.Rect(-20, -10, 108, 54)} {
		dst := render.NewImage(300, 300)
		c.Draw(dst, r, src, src.Rect)
		for _, p := range []image.Point{{12, 8}, {30, 15}} {
			if !p.In(r) {
				continue
			}
			sx := (float64(p.X-r.Min.X)+0.5)*64/float64(r.Dx()) - 0.5
			sy := (float64(p.Y-r.Min.Y)+0.5)*32/float64(r.Dy()) - 0.5
			if want := 2*sx + 3*sy; math.Abs(float64(grey(dst, p.X, p.Y))-want) > 1.6 {
				t.Errorf("scaled to %v at %v: %d, want %.1f", r, p, grey(dst, p.X, p.Y), want)
			}
		}
	}
	// A part of the frame, at an odd place, unscaled and scaled.
	dst := render.NewImage(20, 20)
	c.Draw(dst, dst.Rect, src, image.Rect(5, 3, 25, 23))
	if got := grey(dst, 4, 4); got != 2*9+3*7 {
		t.Errorf("part: %d", got)
	}
	c.Draw(dst, dst.Rect, src, image.Rect(11, 7, 21, 17))
	if got := grey(dst, 19, 19); got != 2*20+3*16 {
		t.Errorf("lower right corner of a scaled part: %d", got)
	}
	c.Draw(dst, image.Rect(500, 500, 600, 600), src, src.Rect)
	c.Draw(dst, dst.Rect, src, image.Rectangle{})
}

func TestCrossfade(t *testing.T) {
	for _, w := range []int{1, 2, 7, 640} {
		a, b, dst := render.NewImage(w, 130), render.NewImage(w, 130), render.NewImage(w+3, 130).SubImage(image.Rect(3, 0, w+3, 130))
		a.Fill(a.Rect, color.RGBA{255, 0, 100, 255})
		b.Fill(b.Rect, color.RGBA{0, 255, 200, 255})
		for share, want := range map[int]color.RGBA{
			0: {255, 0, 100, 255}, 256: {0, 255, 200, 255}, 128: {127, 127, 150, 255}, 64: {191, 63, 125, 255}, -5: {255, 0, 100, 255}, 999: {0, 255, 200, 255},
		} {
			if err := render.Crossfade(dst, a, b, share); err != nil {
				t.Fatal(err)
			}
			for _, p := range []image.Point{{3, 0}, {w + 2, 129}, {3 + w/2, 64}} {
				if got := dst.At(p.X, p.Y); got != want {
					t.Errorf("width %d, share %d at %v: %v, want %v", w, share, p, got, want)
				}
			}
		}
	}
	if err := render.Crossfade(render.NewImage(2, 2), render.NewImage(2, 2), render.NewImage(3, 2), 0); err == nil {
		t.Error("pictures of different sizes were mixed")
	}
}

func TestImage(t *testing.T) {
	m := render.NewImage(10, 10)
	m.Fill(image.Rect(-5, 2, 4, 100), color.RGBA{1, 2, 3, 255})
	m.Set(9, 9, color.RGBA{4, 5, 6, 255})
	m.Set(50, 50, red)
	if m.At(3, 9) != (color.RGBA{1, 2, 3, 255}) || m.At(4, 9) != (color.RGBA{A: 255}) || m.At(3, 1) != (color.RGBA{A: 255}) {
		t.Error("a rectangle that sticks out is not where it belongs")
	}
	if got := m.Pix[9*m.Stride+9*4:][:3]; got[0] != 6 || got[1] != 5 || got[2] != 4 {
		t.Errorf("bytes in memory: %v, want blue, green, red", got)
	}
	if got := m.RGBA().At(9, 9); got != (color.RGBA{4, 5, 6, 255}) {
		t.Errorf("copy: %v", got)
	}
	if !m.SubImage(image.Rect(20, 20, 30, 30)).Rect.Empty() {
		t.Error("a part outside of the picture")
	}
}

// TestDrawMuchSmaller: of a picture that is scaled down many times, every part counts.
func TestDrawMuchSmaller(t *testing.T) {
	src := image.NewGray(image.Rect(7, 5, 7+1600, 5+1200))
	for x := 0; x < 1600; x += 16 { // one line in 16 is white: a sixteenth of the light
		for y := range 1200 {
			src.SetGray(7+x+3, 5+y, color.Gray{0xff})
		}
	}
	for _, m := range []image.Image{src, grayImage(src)} {
		dst := render.NewImage(100, 75)
		render.Draw(dst, m, render.Stretch, 0, color.RGBA{})
		for _, p := range []image.Point{{0, 0}, {50, 30}, {99, 74}, {33, 71}} {
			if c := dst.At(p.X, p.Y).(color.RGBA); c.R < 8 || c.R > 24 || c.R != c.B {
				t.Errorf("%T at %v: %v, want about 16", m, p, c)
			}
		}
	}
}

func grayImage(src *image.Gray) *render.Image {
	m := render.NewImage(src.Rect.Dx(), src.Rect.Dy())
	for y := range src.Rect.Dy() {
		for x := range src.Rect.Dx() {
			m.Set(x, y, src.GrayAt(src.Rect.Min.X+x, src.Rect.Min.Y+y))
		}
	}
	return m
}
