package door_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/testkit"
	"porthole/packages/proxy/door"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a Door with an HTTP server and a toy RTSP server behind it.
type bench struct {
	*door.Door
	addr string
	log  *testkit.Log
	// ice is what was given away as ICE; while deaf, nothing is taken.
	ice  chan *net.TCPConn
	deaf atomic.Bool
	// validator is the socket of who answers validations; empty: nobody.
	validator atomic.Pointer[string]
}

// open starts a Door that ends with the test.
func open(t *testing.T, change func(*door.Limits)) *bench {
	t.Helper()
	return openWith(t, change, nil)
}

func openWith(t *testing.T, change func(*door.Limits), allow func(netip.Addr) bool) *bench {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits := door.DefaultLimits()
	if change != nil {
		change(&limits)
	}
	b := &bench{addr: l.Addr().String(), log: &testkit.Log{}, ice: make(chan *net.TCPConn, 100)}
	web, plain := door.NewFeed(l.Addr()), door.NewFeed(l.Addr())
	b.Door = door.New(door.Config{
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Limits: limits, Allow: allow,
		HTTP: web.Give, Plain: plain.Give, RTSP: func(c net.Conn) { toyRTSP(c) }, ICE: b.takeICE, ACME: b.dialValidator,
	})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/flood" {
			for chunk := make([]byte, 1<<16); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
		fmt.Fprintf(w, "%s %s over %s", r.Method, r.RequestURI, r.Proto)
	})}
	plainSrv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "use https", http.StatusBadRequest)
	})}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(web) })
	wg.Go(func() { plainSrv.Serve(plain) })
	wg.Go(func() {
		if err := b.Serve(ctx, l, config(t)); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		srv.Close()
		plainSrv.Close()
		wg.Wait()
	})
	return b
}

// takeICE keeps a copy of the socket, as another process does.
func (b *bench) takeICE(c syscall.Conn) error {
	if b.deaf.Load() {
		return errors.New("nobody there")
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer f.Close()
	own, err := net.FileConn(f)
	if err != nil {
		return err
	}
	b.ice <- own.(*net.TCPConn)
	return nil
}

func (b *bench) dialValidator(ctx context.Context) (*net.UnixConn, error) {
	path := b.validator.Load()
	if path == nil {
		return nil, errors.New("nobody there")
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: *path, Net: "unix"})
}

// toyRTSP answers one request with its first line.
func toyRTSP(c net.Conn) {
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil {
		fmt.Fprintf(c, "RTSP/1.0 200 OK\r\nX-Saw: %s\r\n\r\n", strings.TrimSpace(line))
	}
}

func config(t *testing.T) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	testkit.WritePair(t, dir, "door", 0o640)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
}

// insecure trusts everybody and offers no ALPN. Each client needs its own: http.Transport changes it.
func insecure() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// dial connects to the door; the test fails if the other end is silent for ten seconds.
func (b *bench) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", c)
	}
	return tcp
}

// ask sends text in pieces over TLS and returns all that comes back.
func (b *bench) ask(t *testing.T, under net.Conn, pieces ...string) string {
	t.Helper()
	c := tls.Client(under, insecure())
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(got)
}

// good fails the test unless a browser and a camera's reader are served.
func (b *bench) good(t *testing.T) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: insecure(), ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+b.addr+"/page", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatalf("good client: %v", err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "GET /page over HTTP/2.0" {
		t.Fatalf("good client got %q, %v", body, err)
	}
	if got := b.ask(t, b.dial(t), "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n"); !strings.HasPrefix(got, "RTSP/1.0 200") {
		t.Fatalf("good reader got %q", got)
	}
}

// closed reports how the door ended a connection: nil for an end, the error otherwise. What came before is returned.
func closed(c net.Conn) (string, error) {
	got, err := io.ReadAll(c)
	if errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "reset by peer") {
		err = nil
	}
	return string(got), err
}

// until polls for something the door counts.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func (b *bench) untilRefused(t *testing.T, reason string, n uint64) {
	t.Helper()
	until(t, fmt.Sprintf("%d refused as %s", n, reason), func() bool { return b.Status().Refused[reason] >= n })
}
