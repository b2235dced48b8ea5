package main_test

import (
	"context"
	"errors"
	"image"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/internal/settings"
	player "porthole/packages/player"
	"porthole/packages/player/camera"
	"porthole/packages/player/facts"
	"porthole/packages/player/stage"
)

// screen remembers what it was told to show.
type screen struct {
	mu          sync.Mutex // guards what follows
	shows       string
	status      stage.Status
	statuses    int
	note, strip string
	banner      string
	turn        render.Turn
	mode        display.Mode
	light       stage.Light
	log         []render.Line
}

func (s *screen) Light(l stage.Light) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.light = l
}

func (s *screen) Log(lines []render.Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = lines
}

func (s *screen) Orient(turn render.Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn = turn
}

func (s *screen) Mode(m display.Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

func (s *screen) Status(st stage.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shows, s.status = "status", st
	s.statuses++
}

func (s *screen) Picture(image.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shows = "picture"
}

func (s *screen) Video(p camera.Picture) {
	p.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shows = "camera"
}

func (s *screen) Words(note, strip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note, s.strip = note, strip
}

func (s *screen) Banner(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.banner = text
}

var errTest = errors.New("the test's")

// direct runs f with a director in a bubble of its own time.
func direct(t *testing.T, f func(t *testing.T, d *player.Director, s *screen)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &screen{}
		d, wait := player.NewDirector(ctx, s)
		f(t, d, s)
		cancel()
		if err := wait(); err != nil && !errors.Is(err, errTest) {
			t.Error(err)
		}
	})
}

// after lets time pass and returns what the screen shows then.
func (s *screen) after(d time.Duration) (shows, note, messages string) {
	<-time.After(d)
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shows, s.note, strings.Join(s.status.Messages, " ")
}

func cameraView(id string) settings.Player {
	return settings.Player{
		Cameras:  []settings.CameraRef{{ID: "a", Name: "Alley"}, {ID: "b", Name: "Barn"}},
		Settings: settings.PlayerSettings{Show: settings.ShowCamera, Camera: id},
	}
}

// TestCameraThatNeverComes: the status screen says it.
func TestCameraThatNeverComes(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		d.View(cameraView("a"))
		shows, _, messages := s.after(time.Second)
		if shows != "status" || !strings.Contains(messages, "The camera Alley") {
			t.Errorf("after a second: %s, %q", shows, messages)
		}
		if shows, _, messages = s.after(10 * time.Second); shows != "status" || !strings.Contains(messages, "The camera Alley cannot be shown: it does not answer.") {
			t.Errorf("later: %s, %q", shows, messages)
		}
	})
}

// TestCameraGone: its last picture stays for as long as it takes, with a word on since when.
func TestCameraGone(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		d.View(cameraView("a"))
		s.after(time.Second)
		d.Video()
		if shows, note, _ := s.after(time.Second); shows != "camera" || note != "" {
			t.Errorf("at once: %s, note %q", shows, note)
		}
		if shows, note, _ := s.after(5 * time.Second); shows != "camera" || note != "No new picture from Alley: it does not answer." {
			t.Errorf("soon: %s, note %q", shows, note)
		}
		if shows, note, _ := s.after(3 * time.Hour); shows != "camera" || note != "No new picture from Alley for 3 h: it does not answer." {
			t.Errorf("after hours: %s, note %q", shows, note)
		}
		if p := d.Problems(); len(p) == 0 || !strings.HasPrefix(p[len(p)-1], "No new picture") {
			t.Errorf("problems %q", p)
		}
	})
}

// TestOtherCamera: while the next camera does not come, the last picture of the former stays a moment, but not so long
// that it is taken for live. A picture that is no camera's stays.
func TestOtherCamera(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		d.View(cameraView("a"))
		s.after(time.Second)
		d.Video()
		s.after(time.Second)
		d.View(cameraView("b"))
		if shows, note, _ := s.after(5 * time.Second); shows != "camera" || note != "The camera Barn cannot be shown: it does not answer." {
			t.Errorf("at first: %s, note %q", shows, note)
		}
		if shows, _, messages := s.after(3 * time.Second); shows != "status" || !strings.Contains(messages, "The camera Barn cannot be shown") {
			t.Errorf("then: %s, %q", shows, messages)
		}
		picture := cameraView("a")
		picture.Settings = settings.PlayerSettings{Show: settings.ShowPicture, Picture: "menu.png"}
		d.View(picture)
		if shows, _, _ := s.after(time.Second); shows != "picture" {
			t.Errorf("a picture is wanted: %s", shows)
		}
		d.View(cameraView("b"))
		if shows, note, _ := s.after(time.Hour); shows != "picture" || !strings.Contains(note, "The camera Barn cannot be shown") {
			t.Errorf("after an hour: %s, note %q", shows, note)
		}
		d.View(settings.Player{Settings: settings.PlayerSettings{Show: settings.ShowStatus}})
		if shows, note, _ := s.after(0); shows != "status" || note != "" {
			t.Errorf("the status screen is wanted: %s, note %q", shows, note)
		}
	})
}

// TestSayings: what the status screen says of settings that cannot be followed and processes that do not answer.
func TestSayings(t *testing.T) {
	address := []netip.Addr{netip.MustParseAddr("fd00::7"), netip.MustParseAddr("10.0.0.9")}
	known := facts.Facts{Addresses: address, Claim: facts.Claim{Known: true, Claimed: true}}
	for name, c := range map[string]struct {
		facts    facts.Facts
		settings settings.PlayerSettings
		want     string
	}{
		"all is well": {known, settings.PlayerSettings{}, ""},
		"no network":  {facts.Facts{Claim: known.Claim}, settings.PlayerSettings{}, "There is no network. Is the cable plugged in?"},
		"no console":  {facts.Facts{Addresses: address}, settings.PlayerSettings{}, "The console does not answer. It may be restarting."},
		"claim closed": {facts.Facts{Addresses: address, Claim: facts.Claim{Known: true, Closed: true, Restart: "unplug it and plug it in again"}}, settings.PlayerSettings{},
			"The time in which this device can be claimed is over. To open it again, unplug it and plug it in again."},
		"which camera":      {known, settings.PlayerSettings{Show: settings.ShowCamera}, "The screen is to show a camera, but not which one. Choose it in the console."},
		"no such camera":    {known, settings.PlayerSettings{Show: settings.ShowCamera, Camera: "x"}, `The screen is to show the camera "x", which this device does not have. Choose another in the console.`},
		"which picture":     {known, settings.PlayerSettings{Show: settings.ShowPicture}, "The screen is to show a picture, but not which one."},
		"a picture outside": {known, settings.PlayerSettings{Show: settings.ShowPicture, Picture: "../x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			direct(t, func(t *testing.T, d *player.Director, s *screen) {
				d.Facts(c.facts)
				d.View(settings.Player{Settings: c.settings})
				if shows, _, messages := s.after(40 * time.Second); shows != "status" || messages != c.want {
					t.Errorf("%s, %q", shows, messages)
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if len(c.facts.Addresses) > 0 && s.status.URL != "https://[fd00::7]/" {
					t.Errorf("URL %q", s.status.URL)
				}
				if s.statuses > 5 {
					t.Errorf("drawn %d times in 40 s", s.statuses)
				}
			})
		})
	}
}

// TestIdentify: the screen's name lies over it as long as the settings say, and a clock that was set back does not leave
// it there.
func TestIdentify(t *testing.T) {
	direct(t, func(t *testing.T, d *player.Director, s *screen) {
		banner := func(after time.Duration) string {
			s.after(after)
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.banner
		}
		if b := banner(time.Second); b != "" {
			t.Errorf("without a wish: %q", b)
		}
		d.View(settings.Player{Identify: settings.Identify{Text: "Till", Until: time.Now().Add(30 * time.Second)}})
		if b := banner(time.Second); b != "Till" {
			t.Errorf("at once: %q", b)
		}
		if b := banner(28 * time.Second); b != "Till" {
			t.Errorf("shortly before its end: %q", b)
		}
		if b := banner(2 * time.Second); b != "" {
			t.Errorf("after its end: %q", b)
		}
		d.View(settings.Player{Identify: settings.Identify{Text: "Till", Until: time.Now().Add(24 * time.Hour)}})
		if b := banner(time.Second); b != "" {
			t.Errorf("for a day: %q", b)
		}
	})
}
