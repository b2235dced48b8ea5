package stage

import (
	"fmt"
	"image"
	"image/color"
	"slices"
	"sync"
	"testing"

	"porthole/hw/display"
	"porthole/media/render"
)

// clerk is a Painter that writes down the sizes of the pictures that it draws.
type clerk struct {
	Painter
	mu   sync.Mutex
	from []string // guarded by mu
}

func (c *clerk) Picture(dst *display.Image, r image.Rectangle, m image.Image, fit render.Mode, turn render.Turn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = append(c.from, fmt.Sprint(m.Bounds().Size(), " in ", r.Size()))
	if d, ok := m.(*display.Image); ok {
		m = (*render.Image)(d)
	}
	render.Draw((*render.Image)(dst).SubImage(r), m, fit, turn, color.RGBA{A: 255})
}

// TestStillKeepsLittle: of a picture larger than the screen, what is kept for another screen is about what is shown.
func TestStillKeepsLittle(t *testing.T) {
	for _, tt := range []struct {
		size image.Point
		fit  render.Mode
		turn render.Turn
		kept image.Point
		// drawn is what is drawn from what for the screen; another screen is then drawn from what was kept.
		drawn []string
	}{
		{image.Pt(64, 48), render.Fit, 0, image.Pt(64, 48), []string{"(64,48) in (266,200)"}},
		{image.Pt(1280, 800), render.Fit, 0, image.Pt(320, 200), []string{"(1280,800) in (320,200)", "(320,200) in (320,200)"}},
		{image.Pt(800, 1600), render.Fit, 0, image.Pt(100, 200), []string{"(800,1600) in (100,200)", "(100,200) in (100,200)"}},
		{image.Pt(800, 1600), render.Fit, 90, image.Pt(160, 320), []string{"(800,1600) in (160,320)", "(160,320) in (320,160)"}},
		{image.Pt(800, 1600), render.Fill, 0, image.Pt(160, 320), []string{"(800,1600) in (320,200)", "(800,1600) in (160,320)"}},
		{image.Pt(4000, 1000), render.Stretch, 0, image.Pt(320, 80), []string{"(4000,1000) in (320,200)", "(4000,1000) in (320,80)"}},
	} {
		t.Run(fmt.Sprint(tt.size, tt.fit, tt.turn), func(t *testing.T) {
			c := &clerk{}
			st := &Still{picture: image.NewGray(image.Rectangle{Max: tt.size}), fit: tt.fit}
			m := st.prepare(c, Geometry{image.Pt(320, 200), tt.turn})
			if m.Rect.Size() != image.Pt(320, 200) || !slices.Equal(c.from, tt.drawn) {
				t.Errorf("drawn %q, want %q", c.from, tt.drawn)
			}
			if kept := st.picture.Bounds().Size(); kept != tt.kept {
				t.Errorf("%v kept, want %v", kept, tt.kept)
			}
			if again := st.prepare(c, Geometry{image.Pt(320, 200), tt.turn}); again != m || len(c.from) != len(tt.drawn) {
				t.Error("drawn again for the same screen")
			}
			other := st.prepare(c, Geometry{image.Pt(100, 300), 180})
			if other == m || other.Rect.Size() != image.Pt(100, 300) || len(c.from) == len(tt.drawn) {
				t.Error("not drawn for another screen")
			}
		})
	}
	if st := (&Still{}); st.prepare(&clerk{}, Geometry{}) != nil {
		t.Error("drawn for no screen")
	}
}
