package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

// TestDeviceRestart: the others end first, the machine restarts whether they did or not, and is asked for the other system in the
// firmware's words.
func TestDeviceRestart(t *testing.T) {
	for name, c := range map[string]struct {
		other    bool
		stopErr  error
		powerErr error
		want     []string
	}{
		"same":       {want: []string{"stop all but system", "restart \"\""}},
		"other":      {other: true, want: []string{"stop all but system", "restart \"0 tryboot\""}},
		"stubborn":   {stopErr: errors.New("these go on: player"), want: []string{"stop all but system", "restart \"\""}},
		"no restart": {powerErr: errors.New("operation not permitted"), want: []string{"stop all but system", "restart \"\""}},
	} {
		t.Run(name, func(t *testing.T) {
			var did []string
			d := deviceRestart{
				log: slog.New(slog.DiscardHandler),
				stopOthers: func(_ context.Context, self string) error {
					did = append(did, "stop all but "+self)
					return c.stopErr
				},
				restart: func(text string) error {
					did = append(did, "restart \""+text+"\"")
					return c.powerErr
				},
			}
			if err := d.run(t.Context(), c.other); !errors.Is(err, c.powerErr) || err == nil && c.powerErr != nil {
				t.Errorf("%v", err)
			}
			if !slices.Equal(did, c.want) {
				t.Errorf("did %q, want %q", did, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	d := deviceRestart{
		log:        slog.New(slog.DiscardHandler),
		stopOthers: func(context.Context, string) error { cancel(); return nil },
		restart:    func(string) error { t.Error("restarted by a process that ends"); return nil },
	}
	if err := d.run(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("ended meanwhile: %v", err)
	}
}
