// Package stage owns the screen. It shows the newest of what it is given, keeps it until the next is ready, and shows it
// again when a display is plugged in or its mode changes.
package stage

import (
	"context"
	"image"
	"log/slog"
	"sync"
	"time"

	"porthole/hw/display"
	"porthole/packages/player/camera"
)

// Light is whether the screen is on.
type Light string

// What a screen can be.
const (
	Lit       Light = ""       // on
	Black     Light = "black"  // a black picture
	SignalOff Light = "signal" // no signal: the display goes to sleep
)

// Config is what a Stage needs.
type Config struct {
	Log *slog.Logger
	// Open finds the screen (display.Open). Nil: there is only Fallback.
	Open func(context.Context) (display.Screen, error)
	// Fallback is used while there is no screen. Run closes it.
	Fallback display.Screen
	Painter  Painter
	// Clock is that of a screen whose time is not the world's; nil for all others.
	Clock Clock
}

// Stage shows things on a screen. Its methods may be called from any goroutine and do not wait for the screen.
type Stage struct {
	cfg  Config
	wake chan struct{}

	mu    sync.Mutex // guards what follows
	scene scene
	// fresh says that the scene was not taken yet as it is.
	fresh bool
	// pending is the camera's newest picture while it waits to be shown.
	pending *camera.Picture
	report  Report
	// source is asked before each refresh, want is what the screen's light should be.
	source Source
	want   Light
	reopen bool
	// wanted is the mode.
	wanted display.Mode

	drawing sync.Mutex // guards what follows; only Run's goroutine changes it
	canvas  canvas

	// These are of Run's goroutine alone.
	line timeline
	// unshown says that a source gave something that is not on the screen yet.
	unshown bool
	// held says that the last frame has a video that the hardware shows: it is gone with a frame without.
	held bool
	// light is how dimmed was made.
	light  Light
	dimmed display.Screen
	// tuned is the mode that tunedFor was asked for last.
	tuned    display.Mode
	tunedFor display.Screen
}

// New returns a Stage. Run shows what it is given.
func New(cfg Config) *Stage {
	if cfg.Clock == nil {
		cfg.Clock = wall{time.Now()}
	}
	return &Stage{
		cfg: cfg, wake: make(chan struct{}, 1), scene: scene{kind: Nothing}, report: Report{Showing: Nothing},
		line: timeline{clock: cfg.Clock},
	}
}

// Status shows the status screen.
func (s *Stage) Status(st Status) {
	s.change(nil, func(n *scene) { n.kind, n.status, n.still = ShowStatus, &st, nil })
}

// Picture shows a picture. Nobody may change it any more.
func (s *Stage) Picture(m image.Image) {
	s.change(nil, func(n *scene) { n.kind, n.still = ShowPicture, &Still{picture: m} })
}

// Video shows a camera's picture, and releases it when another has taken its place.
func (s *Stage) Video(p camera.Picture) {
	s.change(&p, func(n *scene) { n.kind, n.still = ShowCamera, nil })
}

// Words puts a note over a picture and a strip below it; both may be empty. The status screen shows neither.
func (s *Stage) Words(note, strip string) {
	s.mu.Lock()
	same := s.scene.note == note && s.scene.strip == strip
	s.scene.note, s.scene.strip = note, strip
	s.fresh = s.fresh || !same
	s.mu.Unlock()
	if !same {
		s.poke()
	}
}

// Banner lays a text over whatever is shown; an empty one takes it away.
func (s *Stage) Banner(text string) {
	s.mu.Lock()
	same := s.scene.banner == text
	s.scene.banner = text
	s.fresh = s.fresh || !same
	s.mu.Unlock()
	if !same {
		s.poke()
	}
}

// change puts another scene in place, with the camera's picture in it, if there is one. A picture that still waits
// will never be shown.
func (s *Stage) change(p *camera.Picture, f func(*scene)) {
	s.mu.Lock()
	f(&s.scene)
	s.fresh, s.source = true, nil
	if s.pending != nil {
		s.pending.Release()
		s.report.Dropped++
	}
	s.pending = p
	s.mu.Unlock()
	s.poke()
}

func (s *Stage) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// taken is what is to be shown, and whether that is news; the picture is its owner's.
type taken struct {
	scene   scene
	picture *camera.Picture
	fresh   bool
	source  Source
	light   Light
	mode    display.Mode
	reopen  bool
}

// release gives back a picture that is not shown.
func (t taken) release() {
	if t.picture != nil {
		t.picture.Release()
	}
}

func (s *Stage) take() taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := taken{s.scene, s.pending, s.fresh, s.source, s.want, s.wanted, s.reopen}
	s.pending, s.fresh, s.reopen = nil, false, false
	return t
}

// Light switches the screen on or off. While it is off nothing is shown and no source is asked.
func (s *Stage) Light(l Light) {
	s.mu.Lock()
	s.want = l
	s.mu.Unlock()
	s.poke()
}

// Reopen gives the screen back and opens it anew, for one that shows nothing any more.
func (s *Stage) Reopen() {
	s.mu.Lock()
	s.reopen = true
	s.mu.Unlock()
	s.poke()
}
