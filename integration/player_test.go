package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"porthole/integration/stack"
	"porthole/media/decode/decodetest"
)

// playing is what these tests read of player.sock's GET /status.
type playing struct {
	Playback struct {
		Playing bool
		Item    *struct {
			ID        int64
			Kind      string
			Presented uint64
		}
		Skipped []struct{ Name, Reason string }
		Gaps    struct{ Changes, Late, Max uint64 }
	}
	Link struct {
		Kind, Problem, Cause, Trust, Fingerprint string
		Connected                                bool
	}
	Trust    []struct{ Action, Server string }
	Problems []string
}

// screenOf asks the player of a stack.
type screenOf struct {
	t      *testing.T
	client *http.Client
}

func screenOn(t *testing.T, s *stack.Stack) screenOf {
	path := filepath.Join(s.State, "run/player/player.sock")
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return screenOf{t, &http.Client{Transport: tr, Timeout: 20 * time.Second}}
}

func (s screenOf) get(path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://porthole"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, res.StatusCode, b)
	}
	return b, err
}

// state is what the player says.
func (s screenOf) state() (p playing, err error) {
	b, err := s.get("/status")
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	return p, err
}

// middle is the colour in the middle of the screen.
func (s screenOf) middle() (color.RGBA, error) {
	b, err := s.get("/screen.jpg")
	if err != nil {
		return color.RGBA{}, err
	}
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return color.RGBA{}, err
	}
	r, g, bl, _ := m.At(m.Bounds().Dx()/2, m.Bounds().Dy()/2).RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(bl >> 8), 255}, nil
}

// shows waits until all colours have been in the middle of the screen: "red", "green", "blue".
func (s screenOf) shows(what string, colours ...string) {
	s.t.Helper()
	seen := map[string]bool{}
	eventually(s.t, what, func() error {
		c, err := s.middle()
		if err != nil {
			return err
		}
		switch {
		case c.R > 180 && c.G < 90 && c.B < 90:
			seen["red"] = true
		case c.G > 90 && c.R < 90 && c.B < 90:
			seen["green"] = true
		case c.B > 180 && c.R < 90 && c.G < 90:
			seen["blue"] = true
		}
		for _, want := range colours {
			if !seen[want] {
				p, err := s.state()
				if err != nil {
					return err
				}
				return fmt.Errorf("no %s on the screen, but %v; the player says %+v", want, c, p)
			}
		}
		return nil
	})
}

// redPicture is a PNG, greenVideo an MP4.
func redPicture(t *testing.T) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 320, 180))
	for i := range m.Pix {
		m.Pix[i] = []byte{255, 0, 0, 255}[i%4]
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func greenVideo(t *testing.T) []byte {
	b, err := os.ReadFile(decodetest.Clip(t, "green.mp4", "-f", "lavfi", "-i", "color=c=0x00c000:s=320x180:r=25:d=1", "-c:v", "libx264", "-pix_fmt", "yuv420p"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestScreens: a device's own screen and that of another device play what the first one's pages say; the other one goes on
// without it, also after its player was killed.
func TestScreens(t *testing.T) {
	shop := start(t, "")
	u := admin(t, shop)
	list := fill(t, u.Editor(), redPicture(t), greenVideo(t))
	post(t, u, "/settings/signage", "timezone", "UTC", "default_playlist", fmt.Sprint(list))
	own := screenOn(t, shop)
	own.shows("the shop's own screen plays its playlist", "red", "green")

	if _, err := u.Editor().NewScreen(t.Context(), "Till", "till", "ABC123XYZ", list); err != nil {
		t.Fatal(err)
	}
	till := start(t, "[player]\nserver = \""+shop.URL("")+"\"\nhostname = \"till\"\nquickconnect_code = \"ABC123XYZ\"\n")
	screen := screenOn(t, till)
	screen.shows("another device's screen plays it too", "red", "green")
	p, err := screen.state()
	if err != nil || p.Link.Kind != "porthole" || !p.Link.Connected || p.Link.Fingerprint == "" || p.Link.Trust != "pinned ca" || len(p.Trust) == 0 {
		t.Errorf("its link: %+v, %v", p, err)
	}
	eventually(t, "the shop sees what it plays", func() error {
		_, page, err := u.Get(t.Context(), "/screens")
		if err == nil && !bytes.Contains([]byte(page), []byte("Till")) {
			err = errors.New("no Till on the page")
		}
		return err
	})

	shop.Stop()
	eventually(t, "the server is missed", func() error {
		p, err := screen.state()
		if err == nil && (p.Link.Connected || p.Link.Cause != "refused" || p.Link.Problem == "") {
			err = fmt.Errorf("its link: %+v", p.Link)
		}
		return err
	})
	screen.shows("it plays on without its server", "red", "green")
	kill(t, till, "player")
	screen.shows("a new player plays on without the server", "red", "green")
	if p, err = screen.state(); err != nil || len(p.Playback.Skipped) != 0 {
		t.Errorf("skipped: %+v, %v", p.Playback.Skipped, err)
	}
}

// fill makes a published playlist of a picture and a video.
func fill(t *testing.T, e *stack.Editor, media ...[]byte) int64 {
	t.Helper()
	list, err := e.NewPlaylist(t.Context(), "Menu")
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range media {
		name := []string{"red.png", "green.mp4"}[i]
		id, err := e.Upload(t.Context(), name, m, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.AddMedium(t.Context(), list, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Publish(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	return list
}

// post sends a form as a page's button does.
func post(t *testing.T, u *stack.User, path string, form ...string) {
	t.Helper()
	values := map[string][]string{}
	for i := 0; i < len(form); i += 2 {
		values[form[i]] = append(values[form[i]], form[i+1])
	}
	if status, page, err := u.Post(t.Context(), path, values); err != nil || status >= 400 {
		t.Fatalf("%s: %d, %v\n%s", path, status, err, page)
	}
}
