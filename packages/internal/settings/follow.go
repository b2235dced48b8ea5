package settings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"porthole/packages/internal/retry"
	"porthole/packages/internal/unixsock"
)

// View is a process's part of the settings.
type View interface{ Proxy | Signaling | Player }

// Follow calls apply with the last good copy kept at cachePath, if there is one, and then with every newer view
// that console hands out to the named process, until ctx ends. apply runs on Follow's goroutine.
func Follow[V View](ctx context.Context, log *slog.Logger, console *unixsock.Client, process, cachePath string, apply func(V)) error {
	revision := int64(0)
	if b, err := os.ReadFile(cachePath); err == nil {
		var v V
		if err := json.Unmarshal(b, &v); err != nil {
			log.Warn("kept settings are damaged; waiting for console", "file", cachePath, "err", err)
		} else {
			apply(v)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		log.Warn("cannot read kept settings; waiting for console", "err", err)
	}
	// The kept copy's revision is not asked from: console may have been reset since.
	failures := 0
	for {
		var raw json.RawMessage
		// Longer than console's poll, so that only a dead console runs into it.
		call, cancel := context.WithTimeout(ctx, 70*time.Second)
		status, err := console.Call(call, http.MethodGet, fmt.Sprintf("/settings/%s?after=%d", process, revision), nil, &raw)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failures++
			if failures == 10 {
				log.Warn("console does not hand out settings; going on with the last good ones", "err", err)
			}
			if !retry.Pause(ctx, backoff(failures)) {
				return nil
			}
			continue
		case status == http.StatusNoContent:
			continue
		}
		failures = 0
		var head struct{ Revision int64 }
		var v V
		if err := errors.Join(json.Unmarshal(raw, &head), json.Unmarshal(raw, &v)); err != nil {
			log.Error("console sent settings that cannot be read", "err", err)
			if !retry.Pause(ctx, backoff(10)) {
				return nil
			}
			continue
		}
		revision = head.Revision
		apply(v)
		if err := keep(cachePath, raw); err != nil {
			log.Warn("cannot keep a copy of the settings", "err", err)
		}
	}
}

func keep(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder for settings: %w", err)
	}
	if err := renameio.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("keep settings: %w", err)
	}
	return nil
}

func backoff(failures int) time.Duration {
	return retry.Backoff(failures, 100*time.Millisecond, 5*time.Second)
}
