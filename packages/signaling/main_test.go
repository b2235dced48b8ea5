package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"porthole/media/decode"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

func newEnv(t *testing.T) (daemon.Env, *testkit.Log) {
	t.Helper()
	// A unix socket's path may have 107 bytes.
	dir, err := os.MkdirTemp("", "sig")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	log := &testkit.Log{}
	return daemon.Env{Log: slog.New(slog.NewTextHandler(log, nil)), RunDir: dir, PermDir: dir, SingleUser: true}, log
}

// start runs the process until the test ends.
func start(t *testing.T, env daemon.Env, o options) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx, env, o); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// console answers as console does: the session "good" is the admin's, and there is a camera. What views brings are newer
// settings; it may be nil.
func console(t *testing.T, env daemon.Env, views <-chan settings.Signaling) {
	t.Helper()
	l, err := unixsock.Listen(env.Socket("console-internal"), unixsock.Allow(env.SingleUser, "signaling"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /settings/signaling", func(w http.ResponseWriter, r *http.Request) {
		v := settings.Signaling{Revision: 1, Cameras: []settings.CameraRef{{ID: "door", Name: "Front door"}}, SignalingPort: true}
		if r.FormValue("after") != "0" {
			select {
			case <-ctx.Done():
				return
			case v = <-views:
			}
		}
		json.NewEncoder(w).Encode(v)
	})
	mux.HandleFunc("POST /auth", func(w http.ResponseWriter, r *http.Request) {
		var c identity.Credentials
		if json.NewDecoder(r.Body).Decode(&c) != nil || c.Cookie != "__Host-session=good" || c.Remote != "127.0.0.1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(identity.Identity{User: "admin", Role: identity.Admin})
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := unixsock.Serve(ctx, l, mux); err != nil {
			t.Errorf("console: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// publish puts a certificate where system does, and returns its SHA-256.
func publish(t *testing.T, env daemon.Env) string {
	t.Helper()
	dir := env.TLSDir("device")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(testkit.WritePair(t, dir, "device", 0o640).Raw))
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(40 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

// The process starts before anything else is there: console and certificate come later.
func TestProcess(t *testing.T) {
	env, log := newEnv(t)
	start(t, env, options{wss: "127.0.0.1:0", iceUDP: "127.0.0.1:0", loopback: true})
	console(t, env, nil)
	sum := publish(t, env)
	until(t, "TLS is announced", func() bool { return strings.Contains(log.String(), "speaks TLS") })
	line := log.String()
	if !strings.Contains(line, "sha256="+sum) {
		t.Errorf("the log does not name the certificate %s: %s", sum[:16], line)
	}
	addr := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(line)[1]

	// Through proxy's socket.
	through := &http.Client{Transport: unixsock.Transport(env.Socket("signaling"))}
	defer through.CloseIdleConnections()
	until(t, "the camera is known", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/livestream/viewer?camera=door", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		if err := identity.Set(req.Header, identity.Identity{User: "admin"}); err != nil {
			t.Fatal(err)
		}
		res, err := through.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return err == nil && strings.Contains(string(b), "Front door") && strings.Contains(string(b), `data-port="`+addr[strings.LastIndex(addr, ":")+1:]+`"`)
	})

	// On its own port the console's cookie tells who it is.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	conn, _, err := websocket.Dial(t.Context(), "wss://"+addr+"/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Cookie": {"__Host-session=good"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"viewer","cameraId":"attic","sdpOffer":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if _, b, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(b), "camera-unknown") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestPortsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	env, _ := newEnv(t)
	err = run(t.Context(), env, options{wss: l.Addr().String()})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "TCP port "+port+" is taken") || !strings.Contains(err.Error(), "-wss") {
		t.Errorf("%v", err)
	}
	if err := run(t.Context(), env, options{iceUDP: "nonsense"}); err == nil || !strings.Contains(err.Error(), "-ice-udp") {
		t.Errorf("%v", err)
	}
}

// TestPortSwitch: the settings close the port, with whoever is on it, and open it again; pages are told.
func TestPortSwitch(t *testing.T) {
	env, log := newEnv(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	publish(t, env)
	views := make(chan settings.Signaling)
	console(t, env, views)
	start(t, env, options{wss: addr, iceUDP: "127.0.0.1:0", loopback: true})
	_, port, _ := net.SplitHostPort(addr)
	through := &http.Client{Transport: unixsock.Transport(env.Socket("signaling"))}
	defer through.CloseIdleConnections()
	told := func(port string) bool {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/livestream/viewer?camera=door", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "text/html")
		if err := identity.Set(req.Header, identity.Identity{User: "admin"}); err != nil {
			t.Fatal(err)
		}
		res, err := through.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return err == nil && strings.Contains(string(b), `data-port="`+port+`"`)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	dial := func() (*websocket.Conn, error) {
		conn, _, err := websocket.Dial(t.Context(), "wss://"+addr+"/", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Cookie": {"__Host-session=good"}},
		})
		return conn, err
	}
	var conn *websocket.Conn
	until(t, "the port is on", func() bool {
		conn, err = dial()
		return err == nil && told(port)
	})
	defer conn.CloseNow()
	view := settings.Signaling{Revision: 2, Cameras: []settings.CameraRef{{ID: "door", Name: "Front door"}}}
	views <- view
	until(t, "the port is off", func() bool { _, err := dial(); return err != nil && told("0") })
	if _, _, err := conn.Read(t.Context()); err == nil {
		t.Error("who was there is still there")
	}
	until(t, "the log says so", func() bool { return strings.Contains(log.String(), "switched off") })
	view.Revision, view.SignalingPort = 3, true
	views <- view
	until(t, "the port is on again", func() bool {
		again, err := dial()
		if err == nil {
			again.CloseNow()
		}
		return err == nil && told(port)
	})
}
