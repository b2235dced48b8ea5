package main_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/media/rtsp"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

// office is console's internal side whose settings can change.
type office struct {
	mu      sync.Mutex
	view    settings.Proxy
	changed chan struct{}
}

func newOffice(view settings.Proxy) *office {
	return &office{view: view, changed: make(chan struct{})}
}

// change replaces the settings; whoever waits gets them.
func (o *office) change(f func(*settings.Proxy)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.view)
	o.view.Revision++
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/auth" {
		var c identity.Credentials
		if json.NewDecoder(r.Body).Decode(&c) != nil || c.Authorization != "Bearer scraper" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(identity.Identity{User: "anna", Role: identity.Viewer})
		return
	}
	for {
		o.mu.Lock()
		view, changed := o.view, o.changed
		o.mu.Unlock()
		if r.FormValue("after") != strconv.FormatInt(view.Revision, 10) {
			json.NewEncoder(w).Encode(view)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// freePort is an address that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestSwitches: the ports for plain HTTP and for tests open and close while the process runs, and readers of the test
// socket end with it.
func TestSwitches(t *testing.T) {
	r := newRig(t)
	r.test, r.testUDP = freePort(t), "127.0.0.1:0"
	r.publish(t, "device")
	o := newOffice(house(t))
	r.serve(t, "console-internal", o)
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	if !answers(r.http) || answers(r.test) {
		t.Errorf("http %v, test %v", answers(r.http), answers(r.test))
	}
	o.change(func(s *settings.Proxy) { s.PlainHTTP, s.TestSocket = false, true })
	until(t, "the switched ports", func() bool { return !answers(r.http) && answers(r.test) })
	for _, transport := range []string{"tcp", "udp"} {
		out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-rtsp_transport", transport, "-i", "rtsp://porthole:secret@"+r.test+"/door",
			"-map", "0", "-c", "copy", "-t", "0.5", "-f", "null", "-").CombinedOutput()
		if err != nil {
			t.Errorf("ffmpeg over %s: %v: %s", transport, err, out)
		}
	}
	if port := r.status(t).TestPort; !strings.HasSuffix(r.test, ":"+strconv.Itoa(port)) {
		t.Errorf("status says port %d, not that of %s", port, r.test)
	}
	c, err := net.Dial("tcp", r.test)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "OPTIONS rtsp://h/door RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	in := bufio.NewReader(c)
	if line, err := in.ReadString('\n'); line != "RTSP/1.0 200 OK\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	o.change(func(s *settings.Proxy) { s.PlainHTTP, s.TestSocket = true, false })
	until(t, "the ports switched back", func() bool { return answers(r.http) && !answers(r.test) })
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("the test socket's reader: %v", err)
	}
}

// TestTakenTestPort: a port that another program has costs nothing else, is reported, and is taken when it is free.
func TestTakenTestPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRig(t)
	r.test = l.Addr().String()
	r.publish(t, "device")
	view := house(t)
	view.TestSocket = true
	r.serve(t, "console-internal", newOffice(view))
	r.start(t)
	until(t, "the report", func() bool {
		return strings.Contains(strings.Join(r.status(t).Access.Problems, " "), "is taken by another program")
	})
	l.Close()
	until(t, "the port", func() bool { return answers(r.test) && len(r.status(t).Access.Problems) == 0 })
}

// TestRestricted: with the allow list on, strangers are refused at accept and counted; loopback never is.
func TestRestricted(t *testing.T) {
	own := ownAddress(t)
	r := newRig(t)
	r.wide = true
	r.access.Lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "home.example.org" {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("203.0.113.7")}, nil
	}
	r.publish(t, "device")
	view := house(t)
	view.PublicName = "home.example.org"
	o := newOffice(view)
	r.serve(t, "console-internal", o)
	r.start(t)
	_, port, _ := net.SplitHostPort(r.https)
	outside, inside := net.JoinHostPort(own.String(), port), "127.0.0.1:"+port
	greets := func(addr string) bool {
		d := net.Dialer{Timeout: 5 * time.Second}
		c, err := tls.DialWithDialer(&d, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	until(t, "everybody is let in", func() bool { return greets(outside) && greets(inside) })
	o.change(func(s *settings.Proxy) {
		s.Access = settings.Access{Restricted: true, Allowed: []string{"nobody.example"}}
	})
	until(t, "strangers are refused", func() bool { return !greets(outside) })
	if !greets(inside) {
		t.Error("loopback is refused")
	}
	until(t, "the status", func() bool {
		s := r.status(t)
		return s.Refused["not_allowed"] > 0 && len(s.Access.Own) == 1 && s.Access.Own[0] == "203.0.113.7" &&
			strings.Contains(strings.Join(s.Access.Problems, " "), "nobody.example")
	})
	o.change(func(s *settings.Proxy) { s.Access.Allowed = []string{own.String()} })
	until(t, "the listed address is let in", func() bool { return greets(outside) })
}

// ownAddress is an address of this machine that is not loopback.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	t.Fatal("this machine needs an address besides loopback: ip link add dummy0 type dummy; ip addr add 10.99.0.1/24 dev dummy0")
	return netip.Addr{}
}

// TestHotSettings: a reader does not notice that another camera comes, changes and goes.
func TestHotSettings(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	o := newOffice(house(t))
	r.serve(t, "console-internal", o)
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	e := newEcho(t, r.https)
	e.start("door")
	before := r.status(t).Cameras[0]
	o.change(func(s *settings.Proxy) {
		second := s.Cameras[0]
		second.ID, second.MoreURLs = "attic", []string{second.URL}
		second.TokenHashes = []string{sha256Hex("one"), sha256Hex("two")}
		s.Cameras = append(s.Cameras, second)
	})
	until(t, "the new streams", func() bool { return len(r.status(t).Cameras) == 3 })
	for _, path := range []string{"/t/one", "/t/two"} {
		if codecs, said := probe(t, "rtsps://"+r.https+path); len(codecs) != 2 {
			t.Errorf("%s: %v %s", path, codecs, said)
		}
	}
	if codecs, said := probe(t, "rtsps://porthole:secret@"+r.https+"/attic/2"); len(codecs) != 2 {
		t.Errorf("attic/2: %v %s", codecs, said)
	}
	o.change(func(s *settings.Proxy) { s.Cameras[1].Password = "changed" })
	o.change(func(s *settings.Proxy) { s.Cameras = s.Cameras[:1] })
	until(t, "the camera is gone", func() bool { return len(r.status(t).Cameras) == 1 })
	e.video(100)
	after := r.status(t).Cameras[0]
	if after.Reconnects != before.Reconnects || !after.Since.Equal(before.Since) || after.Dropped != 0 || after.Readers != 1 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
}

// TestSessions: console sees who reads, ends one, and reads and empties the log.
func TestSessions(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console-internal", newOffice(house(t)))
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	e := newEcho(t, r.https)
	e.start("door")
	c := unixsock.NewClient(r.env.Socket("proxy"))
	defer c.Close()
	call := func(method, path string, out any) int {
		t.Helper()
		status, err := c.Call(t.Context(), method, path, nil, out)
		if err != nil && status == 0 {
			t.Fatal(err)
		}
		return status
	}
	var list struct{ Sessions []rtsp.SessionStatus }
	call(http.MethodGet, "/sessions", &list)
	if len(list.Sessions) != 1 {
		t.Fatalf("%+v", list)
	}
	s := list.Sessions[0]
	if s.Stream != "door" || s.Peer != "127.0.0.1" || s.User != "porthole" || s.Auth != "digest" || s.Via != rtsp.ViaTLS || !strings.Contains(s.UserAgent, "stagefright") {
		t.Errorf("%+v", s)
	}
	var log struct{ Lines []rtsp.LogLine }
	call(http.MethodGet, "/log?stream=door", &log)
	if len(log.Lines) < 10 || strings.Contains(fmt.Sprint(log), "secret") || strings.Contains(fmt.Sprint(log), "response=") {
		t.Errorf("%+v", log)
	}
	if call(http.MethodGet, "/log?after=x", nil) != http.StatusBadRequest || call(http.MethodDelete, "/log", nil) != http.StatusNoContent {
		t.Error("the log's calls")
	}
	call(http.MethodGet, "/log", &log)
	if len(log.Lines) > 3 {
		t.Errorf("%d lines after emptying", len(log.Lines))
	}
	if call(http.MethodDelete, "/sessions/nobody", nil) != http.StatusNotFound || call(http.MethodDelete, "/sessions/"+s.ID, nil) != http.StatusNoContent {
		t.Error("ending sessions")
	}
	until(t, "the session has ended", func() bool {
		call(http.MethodGet, "/sessions", &list)
		return len(list.Sessions) == 1 && !list.Sessions[0].Ended.IsZero()
	})
	if _, err := io.Copy(io.Discard, e.in); err != nil {
		t.Errorf("the reader: %v", err)
	}
}

// TestProbe: a camera that is to be added is tried, and what is wrong is said in a sentence.
func TestProbe(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	view := house(t)
	url := view.Cameras[0].URL
	view.Cameras = nil
	r.serve(t, "console-internal", newOffice(view))
	r.start(t)
	until(t, "settings", func() bool { return strings.Contains(r.log.String(), "settings applied") })
	c := unixsock.NewClient(r.env.Socket("proxy"))
	defer c.Close()
	type found struct {
		Result rtsp.ProbeResult
		ID     string
	}
	try := func(url, user, password string) (f found) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := c.Call(ctx, http.MethodPost, "/probe", map[string]string{"url": url, "user": user, "password": password}, &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for url, code := range map[string]string{"http://192.168.1.2/": "address", "": "address", "rtsp://127.0.0.1:1/x": "refused", url: "unauthorized"} {
		if f := try(url, "", ""); f.Result.OK || f.Result.Code != code || !strings.HasSuffix(f.Result.Problem, ".") || f.ID != "" {
			t.Errorf("%q: %+v", url, f)
		}
	}
	f := try(url, "admin", "cam-secret")
	if !f.Result.OK || len(f.Result.Tracks) != 2 || !strings.HasPrefix(f.ID, settings.ProbePrefix) {
		t.Fatalf("%+v", f)
	}
	if _, said := probe(t, "rtsps://porthole:secret@"+r.https+"/"+f.ID); !strings.Contains(said, "404") {
		t.Errorf("a stranger with an account: %s", said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := &sink{enough: cancel}
	rtsp.Play(ctx, rtsp.PlayConfig{
		Camera: f.ID, Dial: func(ctx context.Context) (net.Conn, error) { return unixsock.Dial(ctx, r.env.Socket("rtsp")) },
	}, got)
	if got.units < 10 {
		t.Errorf("%d units", got.units)
	}
}
