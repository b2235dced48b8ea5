// Package trial looks at all that a version must be able to do before it is kept: whether the processes run and answer,
// the console is served, the screen shows something, the storage takes what is written, and the network is there.
package trial

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/update"
	"porthole/packages/system/authority"
	"porthole/packages/system/supervisor"
)

// Names of the checks.
const (
	Processes = "processes"
	Console   = "console"
	Screen    = "screen"
	Playback  = "playback"
	Storage   = "storage"
	Gateway   = "gateway"
)

// Within bounds one look, all checks together.
const Within = 5 * time.Second

// Caller asks one of the sockets (unixsock.Client).
type Caller interface {
	Call(ctx context.Context, method, target string, in, out any) (int, error)
}

// Config says what to look at.
type Config struct {
	Log *slog.Logger
	// Processes asks the supervisor; Watched says which of them must run. Gokrazy's own may wait for the clock.
	Processes func(context.Context) ([]supervisor.Process, error)
	Watched   func(name string) bool
	// Answers are the processes that answer on a socket of their own, with the address to ask for.
	Answers map[string]Question
	// HTTPS is where the front door listens on this machine, for example "127.0.0.1:443".
	HTTPS string
	// Device says what the device's own certificate is (authority.Device.Public).
	Device func() authority.Public
	// Player is asked what is on the screen.
	Player Caller
	// StorageDir is a folder of ours on the storage.
	StorageDir string
	// Network is the kernel's; nil means the real one.
	Network Network
}

// Question is one that a process answers when it works.
type Question struct {
	Caller Caller
	Target string
}

// Trial looks.
type Trial struct {
	cfg Config

	mu sync.Mutex // guards what follows: one look at a time
	// first is when each process's pid was first seen.
	first map[string]seen
	// stored is when the storage last took something; storing has the end of a write that has not ended yet.
	stored  time.Time
	storing chan error
	// black is since when the screen has been black although Porthole shows a picture of its own; zero if it is not.
	black time.Time
}

// New returns a trial that has not looked yet.
func New(cfg Config) *Trial {
	if cfg.Network == nil {
		cfg.Network = kernel{}
	}
	return &Trial{cfg: cfg, first: map[string]seen{}}
}

// failure is why a check is not passed, for people.
type failure string

func (f failure) Error() string { return string(f) }

func failf(format string, args ...any) error { return failure(fmt.Sprintf(format, args...)) }

// Look makes all checks, at once, and returns within Within. Their order is always the same.
func (t *Trial) Look(ctx context.Context) []update.Check {
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	all := []struct {
		name string
		look func(context.Context) (good string, err error)
	}{
		{Processes, t.processes}, {Console, t.console}, {Screen, t.screen}, {Playback, t.playback}, {Storage, t.storage}, {Gateway, t.gateway},
	}
	checks := make([]update.Check, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			good, err := c.look(ctx)
			checks[i] = update.Check{Name: c.name, OK: err == nil, Text: good}
			if err != nil {
				checks[i].Text = words(err)
			}
		})
	}
	wg.Wait()
	return checks
}

// words makes a sentence of an error that was not made for people.
func words(err error) string {
	var f failure
	if errors.As(err, &f) {
		return string(f)
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
