package main_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/settings"
	"porthole/packages/proxy/door"
)

// from dials proxy from an address of loopback: each counts as a client of its own.
func from(t *testing.T, ip, to string) (net.Conn, error) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 20 * time.Second}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return c, c.SetDeadline(time.Now().Add(2 * time.Minute))
}

// served fails the test unless a good client is.
func (r *rig) served(t *testing.T) {
	t.Helper()
	if res, body := fetch(t, browser(t, "h2"), request(t, "GET", "https://"+r.https+"/api/health", nil)); res.StatusCode != http.StatusOK {
		t.Errorf("a good client: %d %s", res.StatusCode, body)
	}
}

// TestIdleKeepAlives: who opens ten thousand connections, and keeps them, gets what one client gets; others are served.
func TestIdleKeepAlives(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console", echo("console"))
	r.serve(t, "console-internal", internal(settings.Proxy{Revision: 1, PlainHTTP: true}))
	r.start(t)
	r.served(t)
	const attempts = 10_000
	most := door.DefaultLimits().OpenPerSource
	kept, refused := 0, 0
	for range attempts {
		c, err := from(t, "127.0.0.2", r.https)
		if err != nil {
			t.Fatal(err)
		}
		if kept < most {
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if _, err := io.WriteString(c, "GET /api/health HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(res, err)
			}
			kept++
			continue
		}
		if n, err := c.Read(make([]byte, 1)); n == 0 && err != nil {
			refused++
		}
		c.Close()
	}
	if kept != most || refused != attempts-most {
		t.Errorf("%d kept, %d refused", kept, refused)
	}
	if s := r.status(t); s.HTTPS.Connections < most || s.HTTPS.Connections > most+8 || s.Refused["full"] != refused {
		t.Errorf("%d open, refused: %v", s.HTTPS.Connections, s.Refused)
	}
	r.served(t)
}

// TestSlowloris: requests that never end, in their head or in their body, keep nobody else waiting and are ended.
func TestSlowloris(t *testing.T) {
	r := newRig(t)
	limits := door.DefaultLimits()
	limits.Stall = 2 * time.Second
	r.limits = &limits
	r.publish(t, "device")
	r.serve(t, "console", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { io.Copy(io.Discard, req.Body) }))
	r.serve(t, "console-internal", internal(settings.Proxy{Revision: 1, PlainHTTP: true}))
	r.start(t)
	r.served(t)
	const each = 60
	heads := []string{
		"GET /api/playlists/7 HTTP/1.1\r\nHost: h\r\nX-Slow: ",
		"POST /api/player-feedback HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{",
		"PATCH /uploads/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000000\r\n\r\nx",
		"POST /api/player-edit-media HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
	}
	var wg sync.WaitGroup
	for i, head := range heads {
		for range each {
			c, err := from(t, fmt.Sprintf("127.0.0.%d", 3+i), r.https)
			if err != nil {
				t.Fatal(err)
			}
			c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if _, err := io.WriteString(c, head); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				// The other end of the line drips until proxy has had enough.
				stop := make(chan struct{})
				wg.Go(func() {
					tick := time.NewTicker(200 * time.Millisecond)
					defer tick.Stop()
					for {
						select {
						case <-stop:
							return
						case <-tick.C:
						}
						if _, err := io.WriteString(c, "x"); err != nil {
							return
						}
					}
				})
				got, err := io.ReadAll(c)
				close(stop)
				if err != nil && strings.Contains(err.Error(), "timeout") {
					t.Errorf("nobody has ended %q; it got %q", head, got)
				}
			})
		}
	}
	until(t, "all have come", func() bool { return r.status(t).HTTPS.Connections >= each })
	r.served(t)
	wg.Wait()
	r.served(t)
}
