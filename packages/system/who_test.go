package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"porthole/hw/thermal"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/system/health"
	"porthole/packages/system/supervisor"
)

// TestWhoMayAsk: player may look at the processor and read the log of all; only console changes anything.
func TestWhoMayAsk(t *testing.T) {
	needRoot(t)
	dir, err := os.MkdirTemp("", "system")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "system.sock")
	l, err := unixsock.Listen(path, unixsock.Allow(false, "console", "player"))
	if err != nil {
		t.Fatal(err)
	}
	a := &api{
		log: slog.New(slog.DiscardHandler), tail: supervisor.NewTail(nil), problems: &problems{}, updates: newUpdates(daemon.Env{Log: slog.New(slog.DiscardHandler), PermDir: dir, RunDir: dir, SingleUser: true}, options{}, nil, &checks{}),
		reset:     newFactoryReset(slog.New(slog.DiscardHandler), dir, nil, true),
		processor: health.New(health.Config{Log: slog.New(slog.DiscardHandler), Firmware: thermal.Firmware{Root: dir}}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- unixsock.Serve(ctx, l, a.handler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	const stranger = 4242
	for _, c := range []struct {
		uid    int
		call   string
		target string
		want   int // 0: the connection is closed
	}{
		{unixsock.UIDPlayer, "GET", "/hardware", http.StatusOK},
		{unixsock.UIDPlayer, "GET", "/log?after=-1", http.StatusBadRequest}, // it may ask, and asked wrongly
		{unixsock.UIDPlayer, "POST", "/governor", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/processes/console/restart", http.StatusForbidden},
		{unixsock.UIDPlayer, "PUT", "/certificates/own", http.StatusForbidden},
		{unixsock.UIDPlayer, "DELETE", "/certificates/own", http.StatusForbidden},
		{unixsock.UIDPlayer, "GET", "/provision", http.StatusForbidden},
		{unixsock.UIDConsole, "POST", "/governor", http.StatusBadRequest},
		{unixsock.UIDPlayer, "POST", "/factory-reset", http.StatusForbidden},
		{unixsock.UIDConsole, "POST", "/factory-reset", http.StatusBadRequest},
		{unixsock.UIDPlayer, "GET", "/update", http.StatusOK},
		{unixsock.UIDPlayer, "POST", "/update", http.StatusForbidden},
		{unixsock.UIDPlayer, "PUT", "/update/parts/root", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/update/install", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/update/back", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/update/seen", http.StatusForbidden},
		{unixsock.UIDPlayer, "DELETE", "/update", http.StatusForbidden},
		{unixsock.UIDConsole, "POST", "/update", http.StatusBadRequest},
		{unixsock.UIDConsole, "PUT", "/certificates/own", http.StatusBadRequest},
		{unixsock.UIDConsole, "DELETE", "/certificates/own", http.StatusBadRequest},
		{unixsock.UIDProxy, "GET", "/hardware", 0},
		{stranger, "GET", "/log", 0},
	} {
		got, err := testkit.CallAs(c.uid, path, c.call, c.target)
		if err != nil || got != c.want {
			t.Errorf("%s %s as %d: %d, %v; want %d", c.call, c.target, c.uid, got, err, c.want)
		}
	}
}
