package settings_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// console hands out views over a real socket until stopped.
func console(t *testing.T, path string, views <-chan settings.Signaling) (stop func()) {
	t.Helper()
	l, err := unixsock.Listen(path, unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		unixsock.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			after, err := strconv.ParseInt(r.FormValue("after"), 10, 64)
			if err != nil || r.URL.Path != "/settings/signaling" {
				t.Errorf("asked for %s", r.URL)
			}
			select {
			case v := <-views:
				if v.Revision <= after {
					t.Errorf("asked after %d, have %d", after, v.Revision)
				}
				json.NewEncoder(w).Encode(v)
			case <-r.Context().Done():
			}
		}))
	}()
	return func() { cancel(); <-done }
}

func follow(t *testing.T, sock, cache string) (<-chan settings.Signaling, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan settings.Signaling, 8)
	client := unixsock.NewClient(sock)
	done := make(chan error, 1)
	go func() {
		done <- settings.Follow(ctx, slog.New(slog.DiscardHandler), client, "signaling", cache, func(v settings.Signaling) { got <- v })
	}()
	return got, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
	}
}

func next(t *testing.T, got <-chan settings.Signaling) settings.Signaling {
	t.Helper()
	select {
	case v := <-got:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("no settings came")
		return settings.Signaling{}
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	sock, cache := filepath.Join(dir, "c.sock"), filepath.Join(dir, "signaling", "settings.json")
	views := make(chan settings.Signaling)

	// The follower starts first: it waits for console.
	got, end := follow(t, sock, cache)
	stop := console(t, sock, views)
	views <- settings.Signaling{Revision: 4, Hostname: "one"}
	if v := next(t, got); v.Hostname != "one" {
		t.Errorf("got %+v", v)
	}
	// console dies and comes back with something newer.
	stop()
	stop = console(t, sock, views)
	views <- settings.Signaling{Revision: 5, Hostname: "two"}
	if v := next(t, got); v.Hostname != "two" {
		t.Errorf("got %+v", v)
	}
	stop()
	end()

	// A follower without console goes on with the last good copy.
	got, end = follow(t, sock, cache)
	if v := next(t, got); v.Hostname != "two" {
		t.Errorf("kept copy is %+v", v)
	}
	end()
	if st, err := os.Stat(cache); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("kept copy: %v, %v", st, err)
	}

	// A damaged copy is passed over.
	if err := os.WriteFile(cache, []byte(`{"revision":`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, end = follow(t, sock, cache)
	stop = console(t, sock, views)
	views <- settings.Signaling{Revision: 1, Hostname: "reset"}
	if v := next(t, got); v.Hostname != "reset" {
		t.Errorf("got %+v", v)
	}
	end()
	stop()
}
