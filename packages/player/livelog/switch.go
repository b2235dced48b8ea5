package livelog

import (
	"context"
	"sync"

	"porthole/media/render"
)

// Switch follows the log while it is switched on.
type Switch struct {
	system Caller
	show   func([]render.Line)
	wake   chan struct{}

	mu   sync.Mutex // guards what follows
	on   bool
	zone string
}

// NewSwitch returns a Switch that is off. Show is stage.Stage.Log.
func NewSwitch(system Caller, show func([]render.Line)) *Switch {
	return &Switch{system: system, show: show, wake: make(chan struct{}, 1)}
}

// Set switches it on or off; times are in an IANA zone.
func (s *Switch) Set(on bool, zone string) {
	s.mu.Lock()
	changed := s.on != on || on && s.zone != zone
	s.on, s.zone = on, zone
	s.mu.Unlock()
	if !changed {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run follows the log while it is switched on, until ctx ends.
func (s *Switch) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.mu.Lock()
		on, zone := s.on, s.zone
		s.mu.Unlock()
		following, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		if on {
			done.Go(func() { Follow(following, s.system, zone, s.show) })
		}
		select {
		case <-ctx.Done():
		case <-s.wake:
		}
		stop()
		done.Wait()
	}
}
