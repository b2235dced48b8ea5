package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/gokrazy-instance/init/factoryreset"
)

// TestFactoryReset: who orders a reset sees all processes end and start anew, and what starts the device finds the order.
func TestFactoryReset(t *testing.T) {
	dir := t.TempDir()
	t.Run("ordered", func(t *testing.T) { orderReset(t, dir) })
	perm := filepath.Join(dir, "perm")
	by, problem := factoryreset.Reset{PermDir: perm, BootDir: filepath.Join(dir, "boot")}.Run()
	if by != `"anna\nfrom afar"` || problem != "" {
		t.Errorf("by %q, %q", by, problem)
	}
	if left, err := os.ReadDir(perm); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func orderReset(t *testing.T, dir string) {
	console, env := startIn(t, dir, "hostname = \"shop\"\n")
	for _, in := range []any{nil, map[string]string{"who": ""}, map[string]string{"who": strings.Repeat("a", 201)}, "anna"} {
		if status, _ := console.Call(t.Context(), http.MethodPost, "/factory-reset", in, nil); status != http.StatusBadRequest {
			t.Errorf("%v: %d", in, status)
		}
	}
	if _, err := os.Stat(filepath.Join(env.PermDir, factoryreset.Marker)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused order is kept: %v", err)
	}
	processes := func() process {
		t.Helper()
		var list []process
		if _, err := console.Call(t.Context(), http.MethodGet, "/processes", nil, &list); err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		return list[0]
	}
	until(t, "its process runs", func() bool { return processes().State == "running" })
	before := processes().PID
	if status, err := console.Call(t.Context(), http.MethodPost, "/factory-reset", map[string]string{"who": "anna\nfrom afar"}, nil); status != http.StatusAccepted {
		t.Fatalf("%d, %v", status, err)
	}
	until(t, "everything is started anew", func() bool { p := processes(); return p.State == "running" && p.PID != before })
}

// TestForcedReset: a supervisor that does not restart the device is in nobody's way.
func TestForcedReset(t *testing.T) {
	dir := t.TempDir()
	f := newFactoryReset(slog.New(slog.DiscardHandler), dir, func(context.Context) error { return errors.New("nobody answers") }, true)
	forced := make(chan struct{})
	f.force = func() error {
		close(forced)
		return errors.New("not here")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/factory-reset", strings.NewReader(`{"who":"anna"}`)))
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	<-forced
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Nothing can be kept: nothing is restarted.
	broken := newFactoryReset(slog.New(slog.DiscardHandler), filepath.Join(dir, "none"), nil, true)
	w = httptest.NewRecorder()
	broken.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/factory-reset", strings.NewReader(`{"who":"anna"}`)))
	if w.Code != http.StatusBadGateway || len(broken.wanted) != 0 {
		t.Errorf("without storage: %d %s", w.Code, w.Body)
	}
}
