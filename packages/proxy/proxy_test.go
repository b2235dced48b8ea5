package main_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	proxy "porthole/packages/proxy"
	"porthole/packages/proxy/allow"
	"porthole/packages/proxy/door"
)

// rig is a running proxy and where to reach it.
type rig struct {
	env         daemon.Env
	https, http string
	// test and testUDP are the flags of the test socket, access what the allow list asks.
	test, testUDP string
	access        allow.Config
	// wide listens on all addresses.
	wide bool
	// limits of the door; nil for its own.
	limits *door.Limits
	log    *testkit.Log
	// stop ends proxy and returns what Run returned.
	stop func() error
}

// newRig makes the folders that system and init make.
func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{log: &testkit.Log{}}
	r.access.Networks = func() ([]netip.Prefix, error) { return []netip.Prefix{netip.MustParsePrefix("192.168.77.0/24")}, nil }
	r.env = daemon.Env{
		Log: slog.New(slog.NewTextHandler(r.log, nil)), SingleUser: true,
		RunDir: filepath.Join(dir, "run"), PermDir: filepath.Join(dir, "perm"),
	}
	if err := os.MkdirAll(r.env.TLSDir("device"), 0o750); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("proxy's log:\n%s", r.log)
		}
	})
	return r
}

// start runs proxy until the test ends.
func (r *rig) start(t *testing.T) {
	t.Helper()
	var ls [2]net.Listener
	for i, flag := range []string{"-https", "-http"} {
		at := "127.0.0.1:0"
		if r.wide {
			at = ":0"
		}
		l, err := proxy.Listen(t.Context(), flag, at)
		if err != nil {
			t.Fatal(err)
		}
		ls[i] = l
	}
	r.https, r.http = ls[0].Addr().String(), ls[1].Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- proxy.Run(ctx, proxy.Config{
			Env: r.env, HTTPS: ls[0], HTTP: ls[1], Test: r.test, TestUDP: r.testUDP, Access: r.access, Limits: r.limits,
		})
	}()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// publish puts a new certificate with the given name where system puts it.
func (r *rig) publish(t *testing.T, name string) {
	t.Helper()
	testkit.WritePair(t, r.env.TLSDir("device"), name, 0o640)
}

// serve runs a process on its socket and returns what stops it.
func (r *rig) serve(t *testing.T, socket string, h http.Handler) (stop func()) {
	t.Helper()
	l, err := unixsock.Listen(r.env.Socket(socket), unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := unixsock.Serve(ctx, l, h); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// internal is console's internal side: one view of the settings, and anna's session.
func internal(view settings.Proxy) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /settings/proxy", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("after") != "0" {
			<-r.Context().Done()
			return
		}
		json.NewEncoder(w).Encode(view)
	})
	mux.HandleFunc("POST /auth", func(w http.ResponseWriter, r *http.Request) {
		var c identity.Credentials
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil || c.Cookie != "session=anna" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(identity.Identity{User: "anna", Role: identity.Viewer})
	})
	return mux
}

// browser is a client that trusts everybody; protocol is "h2" or "http/1.1".
func browser(t *testing.T, protocol string) *http.Client {
	t.Helper()
	var p http.Protocols
	p.SetHTTP1(protocol == "http/1.1")
	p.SetHTTP2(protocol == "h2")
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: &p}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// until polls for something with a deadline.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = proxy.Listen(t.Context(), "-https", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "with -https") {
		t.Errorf("got %v", err)
	}
}
