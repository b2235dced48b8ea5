package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptrace"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"porthole/packages/internal/testkit"
)

// TestRenewalUnderLoad: while certificates are replaced again and again, those who are there stay on the connections that they
// have, ffmpeg that reads a camera, a browser and WebSockets alike, and each newcomer gets a whole pair, soon the new one.
func TestRenewalUnderLoad(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console", echo("console"))
	r.serve(t, "signaling", echo("signaling"))
	r.serve(t, "console-internal", newOffice(house(t)))
	authority := testkit.NewAuthority(t, "of a company")
	replace := func(name string) *x509.Certificate {
		p := authority.Issue(t, testkit.Leaf{CommonName: name, Names: []string{"localhost"}, RSA: strings.HasSuffix(name, "-rsa")})
		p.Publish(t, r.env.TLSDir(""), name)
		return p.Leaf
	}
	replace("own")
	replace("own-rsa")
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	_, port, err := net.SplitHostPort(r.https)
	if err != nil {
		t.Fatal(err)
	}
	host := net.JoinHostPort("localhost", port)

	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var readers []*lines
	for range 4 {
		l := &lines{}
		readers = append(readers, l)
		// It never connects again by itself.
		cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-rtsp_transport", "tcp",
			"-i", "rtsps://porthole:secret@"+host+"/door", "-map", "0:v", "-c", "copy", "-f", "framemd5", "-flush_packets", "1", "-")
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = l, &stderr
		all.Go(func() {
			if err := cmd.Run(); ctx.Err() == nil {
				t.Errorf("a reader ended: %v: %s", err, stderr.String())
			}
		})
	}
	console, live := dialWebSocket(t, r, "/api/events"), dialWebSocket(t, r, "/ws")
	browser := newPager(t, "https://"+host+"/", authority.Pool())
	for _, l := range readers {
		until(t, "pictures", func() bool { return l.n.Load() > 20 })
	}
	for i := range 24 {
		leaf := replace([]string{"own", "own-rsa"}[i%2])
		browser.load(t)
		client := &tls.Config{RootCAs: authority.Pool(), NextProtos: []string{"http/1.1"}}
		if i%2 == 1 {
			client.MaxVersion = tls.VersionTLS12
			client.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}
		until(t, "the new certificate", func() bool {
			c, err := tls.Dial("tcp", host, client)
			if err != nil {
				t.Fatalf("a newcomer: %v", err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].Equal(leaf)
		})
	}
	for _, l := range readers {
		before := l.n.Load()
		until(t, "the same readers go on", func() bool { return l.n.Load() > before+20 })
	}
	for path, c := range map[string]*websocket.Conn{"console": console, "live": live} {
		if got, err := say(t, c, "still here"); err != nil || !strings.HasSuffix(got, ": still here") {
			t.Errorf("the WebSocket to %s from before: %q, %v", path, got, err)
		}
	}
	if browser.connections != 1 {
		t.Errorf("the browser had to connect %d times", browser.connections)
	}
	s := r.status(t)
	if c := s.Cameras[0]; c.Sessions != 4 || c.Readers != 4 {
		t.Errorf("%d readers of %d that came", c.Readers, c.Sessions)
	}
	for _, reason := range []string{"handshake", "garbage", "slow", "crowded"} {
		if s.Refused[reason] != 0 {
			t.Errorf("refused %v", s.Refused)
		}
	}
}

// pager is a browser that loads a page again and again.
type pager struct {
	http        *http.Client
	url         string
	connections int
}

func newPager(t *testing.T, url string, pool *x509.CertPool) *pager {
	t.Helper()
	c := browser(t, "h2")
	tr, ok := c.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("%T", c.Transport)
	}
	tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	return &pager{http: c, url: url}
}

func (p *pager) load(t *testing.T) {
	t.Helper()
	req := request(t, "GET", p.url, nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			p.connections++
		}
	}}))
	if res, body := fetch(t, p.http, req); res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "console says hello") {
		t.Errorf("%s: %s", res.Status, body)
	}
}

// lines counts the lines that a program prints.
type lines struct{ n atomic.Int64 }

func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(int64(bytes.Count(p, []byte("\n"))))
	return len(p), nil
}
