package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// outletRetry is how soon a port is tried again that could not be opened.
const outletRetry = 10 * time.Second

// outlet is a port that settings open and close while the process runs.
type outlet struct {
	log        *slog.Logger
	flag, addr string
	// serve serves the port until ctx ends, and closes it.
	serve func(ctx context.Context, l net.Listener) error

	wanted chan bool

	mu      sync.Mutex
	problem string // guarded by mu: why the port is not open though it should be
}

func newOutlet(log *slog.Logger, flag, addr string, serve func(context.Context, net.Listener) error) *outlet {
	return &outlet{log: log, flag: flag, addr: addr, serve: serve, wanted: make(chan bool, 1)}
}

// want opens or closes the port soon. It may be called on nil.
func (o *outlet) want(open bool) {
	if o == nil {
		return
	}
	// Only the last wish counts. There is one caller.
	select {
	case <-o.wanted:
	default:
	}
	o.wanted <- open
}

// run does what is wanted until ctx ends. first is a listener that is open already; nil waits.
func (o *outlet) run(ctx context.Context, first net.Listener) error {
	open := first != nil
	for {
		if !open {
			select {
			case <-ctx.Done():
				return nil
			case open = <-o.wanted:
			}
			continue
		}
		l := first
		first = nil
		if l == nil {
			var err error
			if l, err = Listen(ctx, o.flag, o.addr); err != nil {
				open = o.wait(ctx, err)
				continue
			}
			o.log.Info("port opened", "flag", o.flag, "address", l.Addr())
		}
		o.say("")
		var err error
		if open, err = o.hold(ctx, l); err != nil {
			return err
		}
	}
}

// hold serves l until it is not wanted any more.
func (o *outlet) hold(ctx context.Context, l net.Listener) (open bool, err error) {
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- o.serve(serving, l) }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return false, fmt.Errorf("serve %s (%s): %w", o.addr, o.flag, err)
			}
			return false, nil
		case open := <-o.wanted:
			if open {
				continue
			}
			cancel()
			o.log.Info("port closed", "flag", o.flag, "address", o.addr)
			return false, <-ended
		}
	}
}

// wait notes why the port could not be opened, and returns whether it is still wanted when it is time to try again.
func (o *outlet) wait(ctx context.Context, err error) (open bool) {
	if o.say(err.Error()) {
		o.log.Warn("cannot open a port; trying on", "flag", o.flag, "err", err)
	}
	timer := time.NewTimer(outletRetry)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case open = <-o.wanted:
		return open
	case <-timer.C:
		return true
	}
}

// say sets the problem and reports whether it is another one.
func (o *outlet) say(problem string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := o.problem != problem
	o.problem = problem
	return changed
}

// trouble says why the port is not open though it should be; empty if all is well. It may be called on nil.
func (o *outlet) trouble() string {
	if o == nil {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.problem
}
