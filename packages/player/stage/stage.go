// Package stage owns the screen. It shows the newest of what it is given, keeps it until the next is ready, and shows it
// again when a display is plugged in or its mode changes.
package stage

import (
	"context"
	"image"
	"log/slog"
	"sync"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/player/camera"
)

// Config is what a Stage needs.
type Config struct {
	Log *slog.Logger
	// Open finds the screen (display.Open). Nil: there is only Fallback.
	Open func(context.Context) (display.Screen, error)
	// Fallback is used while there is no screen. Run closes it.
	Fallback display.Screen
	Painter  Painter
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
	wishes  wishes

	drawing sync.Mutex // guards what follows; only Run's goroutine changes it
	canvas  canvas
}

// New returns a Stage. Run shows what it is given.
func New(cfg Config) *Stage {
	return &Stage{cfg: cfg, wake: make(chan struct{}, 1), scene: scene{kind: Nothing}, report: Report{Showing: Nothing}}
}

// Status shows the status screen.
func (s *Stage) Status(st Status) {
	s.change(nil, func(n *scene) { n.kind, n.status, n.still = ShowStatus, &st, nil })
}

// Picture shows a picture. Nobody may change it any more.
func (s *Stage) Picture(m image.Image) {
	s.change(nil, func(n *scene) { n.kind, n.still = ShowPicture, NewStill(m, render.Fit) })
}

// Video shows a camera's picture, and releases it when another has taken its place.
func (s *Stage) Video(p camera.Picture) {
	s.change(&p, func(n *scene) { n.kind, n.still, n.fit = ShowCamera, nil, render.Fit })
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
	s.fresh = true
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

// take returns what is to be shown, and whether that is news; the picture is the caller's.
func (s *Stage) take() (sc scene, p *camera.Picture, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, fresh = s.pending, s.fresh
	s.pending, s.fresh = nil, false
	return s.scene, p, fresh
}
