package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"porthole/hw/power"
	"porthole/packages/internal/durable"
	"porthole/packages/internal/retry"
)

const (
	// resetMarker in the storage tells init, or hostrun, to empty it before anything else runs
	// (gokrazy-instance/init/factoryreset, Marker).
	resetMarker = ".factory-reset"
	// maxWho bounds who wants a reset, in bytes.
	maxWho = 200
	// beforeReset is for the page that says what happens now: it is to reach the browser with all that belongs to it.
	beforeReset = 2 * time.Second
)

// factoryReset makes the device what it was when it was new.
type factoryReset struct {
	log    *slog.Logger
	marker string
	// restart ends all processes in order and restarts the device; force does so at once, where restart cannot. It is nil where
	// there is no device to restart.
	restart func(context.Context) error
	force   func() error
	wanted  chan struct{} // holds at most one wish
}

func newFactoryReset(log *slog.Logger, permDir string, restart func(context.Context) error, singleUser bool) *factoryReset {
	f := &factoryReset{log: log, marker: filepath.Join(permDir, resetMarker), restart: restart, wanted: make(chan struct{}, 1)}
	if !singleUser {
		f.force = func() error { return power.Restart("") }
	}
	return f
}

// ServeHTTP answers POST /factory-reset.
func (f *factoryReset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Who string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&in); err != nil || in.Who == "" || len(in.Who) > maxWho {
		refuse(w, http.StatusBadRequest, fmt.Sprintf("send {\"who\":…}, 1 to %d bytes", maxWho))
		return
	}
	// From here on the next start resets the device, whatever happens.
	if err := durable.WriteFile(f.marker, fmt.Appendf(nil, "%q\n", in.Who), 0o600); err != nil {
		f.log.Error("the factory reset cannot be ordered", "err", err)
		refuse(w, http.StatusBadGateway, err.Error())
		return
	}
	f.log.Warn("factory reset: the device restarts now", "who", in.Who)
	w.WriteHeader(http.StatusAccepted)
	select {
	case f.wanted <- struct{}{}:
	default: // somebody wanted it already
	}
}

// run restarts the device when it is to be reset, until ctx ends.
func (f *factoryReset) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.wanted:
		}
		if !retry.Pause(ctx, beforeReset) {
			return nil
		}
		err := f.restart(ctx)
		if ctx.Err() != nil {
			return nil // we are one of those that end now
		}
		if err == nil {
			continue
		}
		f.log.Error("the device cannot be restarted in order", "err", err)
		if f.force != nil {
			if err := f.force(); err != nil {
				f.log.Error("the device cannot be restarted: it is reset when it starts the next time", "err", err)
			}
		}
	}
}
