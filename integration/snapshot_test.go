package integration_test

import (
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
)

// bars are the colours at the lower edge of the demo camera's picture, left to right: white, yellow, cyan, green, magenta,
// red, blue, all of 75 %. The clip's matrix is not quite the one it names: these are the colours in the middle.
var bars = [][3]int{{191, 191, 191}, {191, 185, 0}, {0, 182, 192}, {0, 176, 0}, {198, 15, 194}, {200, 9, 0}, {0, 6, 196}}

// wrongBar names the first bar of the demo camera's picture that is not there.
func wrongBar(m image.Image) error {
	r := m.Bounds()
	for i, want := range bars {
		// The bars share three quarters of the width.
		x := r.Min.X + r.Dx()*(2*i+1)*3/(4*14) + r.Dx()/8
		red, green, blue, _ := m.At(x, r.Min.Y+r.Dy()*700/720).RGBA()
		got := [3]int{int(red >> 8), int(green >> 8), int(blue >> 8)}
		for j := range got {
			if off := got[j] - want[j]; off < -24 || off > 24 {
				return fmt.Errorf("bar %d is %v, want %v", i, got, want)
			}
		}
	}
	return nil
}

// TestSnapshot: the demo camera's picture as a JPEG, for who may see it, in the size that is asked for.
func TestSnapshot(t *testing.T) {
	s := start(t, "")
	u := admin(t, s)
	fetch := func(query string, width int) error {
		status, body, err := u.Get(t.Context(), "/cameras/demo/snapshot.jpg"+query)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("%d: %.300s", status, body)
		}
		m, err := jpeg.Decode(strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("no JPEG: %w", err)
		}
		if m.Bounds().Dx() != width || m.Bounds().Dy() != width*9/16 {
			return fmt.Errorf("the picture has %v", m.Bounds().Size())
		}
		return wrongBar(m)
	}
	eventually(t, "a snapshot of the demo camera", func() error { return fetch("", 1280) })
	eventually(t, "a small snapshot", func() error { return fetch("?w=320", 320) })
	if status, body, err := u.Get(t.Context(), "/cameras/attic/snapshot.jpg"); err != nil || status != http.StatusNotFound || !strings.Contains(body, `"error"`) {
		t.Errorf("a camera that is not there: %d %s, %v", status, body, err)
	}
	stranger, err := s.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, body, err := stranger.Get(t.Context(), "/cameras/demo/snapshot.jpg"); err != nil || strings.HasPrefix(body, "\xff\xd8") {
		t.Errorf("a stranger sees the camera: %v", err)
	}
}
