package unixsock_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/unixsock"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("UNIXSOCK_TEST_DIAL"); path != "" {
		os.Exit(dialAsChild(path))
	}
	goleak.VerifyTestMain(m)
}

func serve(t *testing.T, path string, policy unixsock.Policy, h http.HandlerFunc) {
	t.Helper()
	l, err := unixsock.Listen(path, policy)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- unixsock.Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "x.sock")
	serve(t, path, unixsock.Allow(true), func(w http.ResponseWriter, r *http.Request) {
		peer, ok := unixsock.PeerOf(r.Context())
		if !ok || peer.PID != os.Getpid() || peer.UID != os.Getuid() {
			t.Errorf("peer is %+v", peer)
		}
		switch r.URL.Path {
		case "/echo":
			if r.Header.Get("Content-Type") != "application/json" {
				t.Error("no JSON content type")
			}
			io.Copy(w, r.Body)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		default:
			http.Error(w, "no such thing", http.StatusNotFound)
		}
	})
	c := unixsock.NewClient(path)
	defer c.Close()
	var got struct{ A int }
	if _, err := c.Call(t.Context(), http.MethodPost, "/echo", map[string]int{"A": 3}, &got); err != nil || got.A != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if status, err := c.Call(t.Context(), http.MethodGet, "/none", nil, &got); err != nil || status != http.StatusNoContent {
		t.Errorf("got %d, %v", status, err)
	}
	status, err := c.Call(t.Context(), http.MethodGet, "/other", nil, nil)
	var se *unixsock.StatusError
	if status != http.StatusNotFound || !errors.As(err, &se) || se.Body != "no such thing" {
		t.Errorf("got %d, %v", status, err)
	}
}

// TestSuccessorKeepsItsSocket: a process that comes back while its predecessor's listener is still closing is reachable.
func TestSuccessorKeepsItsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	old, err := unixsock.Listen(path, unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, path, unixsock.Allow(true), func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode("new") })
	old.Close()
	c := unixsock.NewClient(path)
	defer c.Close()
	var got string
	if _, err := c.Call(t.Context(), http.MethodGet, "/", nil, &got); err != nil || got != "new" {
		t.Errorf("got %q, %v", got, err)
	}
}

func dialAsChild(path string) int {
	c := unixsock.NewClient(path)
	if _, err := c.Call(context.Background(), http.MethodGet, "/", nil, nil); err != nil {
		return 3
	}
	return 0
}

// TestPeerCredentials connects as other users: only root can play them.
func TestPeerCredentials(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("not root: other users' connections are tried where the tests run as root (CI)")
		return
	}
	dir, err := os.MkdirTemp("", "unixsock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	path := filepath.Join(dir, "x.sock")
	names := make(chan string, 8)
	serve(t, path, unixsock.Allow(false, "proxy"), func(_ http.ResponseWriter, r *http.Request) {
		p, _ := unixsock.PeerOf(r.Context())
		names <- p.Name
	})
	self := filepath.Join(dir, "self")
	exe, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(self, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		uid  uint32
		want int
	}{{unixsock.UIDProxy, 0}, {unixsock.UIDSystem, 0}, {unixsock.UIDSignaling, 3}, {65534, 3}} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = []string{"UNIXSOCK_TEST_DIAL=" + path}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid}}
		out, _ := cmd.CombinedOutput()
		cancel()
		if got := cmd.ProcessState.ExitCode(); got != c.want {
			t.Errorf("uid %d: exit %d, want %d: %s", c.uid, got, c.want, strings.TrimSpace(string(out)))
		}
	}
	if a, b := <-names, <-names; a != "proxy" || b != "system" {
		t.Errorf("peers were %q and %q", a, b)
	}
}
