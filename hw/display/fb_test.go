package display_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"testing"

	"porthole/hw/display"
	"porthole/hw/hwtest"
)

func TestFramebuffer(t *testing.T) {
	for _, bits := range []int{16, 24, 32} {
		for _, pages := range []int{1, 2} {
			t.Run(fmt.Sprintf("%d bits, %d pages", bits, pages), func(t *testing.T) {
				d := hwtest.NewDevices(t)
				fb := hwtest.NewFramebuffer(d, 80, 48, bits, pages)
				if pages == 2 {
					fb.BGR()
				}
				s := open(t, d, display.Options{})
				i := s.Info()
				if i.Kind != display.KindFramebuffer || i.Driver != "BCM2708 FB" || !i.Connected || i.VideoPlanes || i.SizeMM != (image.Point{}) ||
					i.Mode.Width != 80 || i.Mode.Height != 48 || i.Mode.RefreshMilliHz != 60_000 {
					t.Errorf("described as %+v", i)
				}
				last := display.Vblank{}
				for _, c := range []color.RGBA{red, green, blue, white, {200, 100, 50, 255}} {
					f := fill(s, c)
					f.Base.Set(79, 0, black)
					v := present(t, s, f)
					if v.Sequence <= last.Sequence {
						t.Errorf("sequence %d after %d", v.Sequence, last.Sequence)
					}
					last = v
					want := map[image.Point]color.RGBA{{0, 0}: c, {79, 47}: c, {79, 0}: black, {78, 0}: c}
					if bits == 16 { // 5, 6 and 5 bits
						want = sixteen(want)
					}
					wantPixels(t, "frame", fb.Screen(), want)
				}
				if (fb.Pans() > 0) != (pages == 2) {
					t.Errorf("panned %d times with %d pages", fb.Pans(), pages)
				}
			})
		}
	}
}

// sixteen rounds colours to what 5, 6 and 5 bits hold.
func sixteen(want map[image.Point]color.RGBA) map[image.Point]color.RGBA {
	out := make(map[image.Point]color.RGBA)
	for p, c := range want {
		out[p] = color.RGBA{byte(int(c.R>>3) * 255 / 31), byte(int(c.G>>2) * 255 / 63), byte(int(c.B>>3) * 255 / 31), 255}
	}
	return out
}

func TestFramebufferBlank(t *testing.T) {
	for i, power := range []bool{true, false, true, false} {
		d := hwtest.NewDevices(t)
		fb := hwtest.NewFramebuffer(d, 80, 48, 32, 1+i/2)
		if !power {
			fb.NoPower()
		}
		s := open(t, d, display.Options{Prefer: display.KindFramebuffer})
		present(t, s, fill(s, red))
		for range 2 {
			if err := s.Blank(limited(t), true); err != nil {
				t.Fatal(err)
			}
		}
		if power {
			if fb.Screen() != nil {
				t.Error("there still is a signal")
			}
		} else {
			wantAll(t, "a screen that cannot be switched off", fb.Screen(), black)
		}
		present(t, s, display.Frame{})
		wantAll(t, "woken", fb.Screen(), red)
		if err := s.Blank(limited(t), false); err != nil {
			t.Fatal(err)
		}
		wantAll(t, "black", fb.Screen(), black)
		present(t, s, fill(s, green))
		present(t, s, display.Frame{})
		wantAll(t, "woken", fb.Screen(), green)
		if err := s.Blank(limited(t), true); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if fb.Screen() == nil {
			t.Error("the signal stays off after close")
		}
		if files, mappings := d.Open(); files+mappings != 0 {
			t.Errorf("%d files, %d mappings left", files, mappings)
		}
		if _, err := s.Present(limited(t), display.Frame{}); !errors.Is(err, display.ErrClosed) {
			t.Errorf("present after close: %v", err)
		}
	}
}

func TestFramebufferRefuses(t *testing.T) {
	d := hwtest.NewDevices(t)
	hwtest.NewFramebuffer(d, 80, 48, 32, 1)
	s := open(t, d, display.Options{Mode: display.Mode{Width: 1920, Height: 1080}})
	if n := s.Info().Note; n != "The framebuffer has one mode only: 80x48 at 60 Hz is used." {
		t.Errorf("the note says %q", n)
	}
	if _, err := s.Present(limited(t), display.Frame{Base: display.NewImage(image.Rect(0, 0, 81, 48))}); !errors.Is(err, display.ErrSize) {
		t.Errorf("a frame of another size: %v", err)
	}
	if _, err := s.Present(limited(t), display.Frame{Video: solid(64, 48, 0, 128, 128)}); !errors.Is(err, display.ErrVideo) {
		t.Errorf("video: %v", err)
	}
	p := hwtest.NewDevices(t)
	hwtest.NewFramebuffer(p, 80, 48, 16, 1).Palette()
	if _, err := display.Open(t.Context(), display.Options{Root: p.Root(), Sys: p.Sys()}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a framebuffer with a palette: %v", err)
	}
}
