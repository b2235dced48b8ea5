package main_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// echo answers a WebSocket's messages and other requests with who it takes the user for.
func echo(process string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := "nobody"
		if id, err := identity.Of(r.Header); err == nil {
			user = id.User
		}
		w.Header().Set("Saw-Tls", strings.Join(r.Header.Values("Porthole-TLS"), "|"))
		if r.Header.Get("Upgrade") == "" {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%s says hello to %s, %d bytes, %v", process, user, n, err)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, []byte(user+": "+string(msg))); err != nil {
				return
			}
		}
	})
}

func fetch(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestWeb(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console", echo("console"))
	r.serve(t, "console-internal", internal(settings.Proxy{Revision: 1, PlainHTTP: true}))
	stopSignaling := r.serve(t, "signaling", echo("signaling"))
	r.start(t)
	for _, protocol := range []string{"h2", "http/1.1"} {
		t.Run(protocol, func(t *testing.T) {
			c := browser(t, protocol)
			for _, q := range []struct{ path, cookie, want string }{
				{"/", "session=anna", "console says hello to nobody, 0 bytes, <nil>"},
				{"/cameras/a/whep", "session=anna", "signaling says hello to anna, 0 bytes, <nil>"},
				{"/cameras/a/whep", "session=old", "signaling says hello to nobody, 0 bytes, <nil>"},
			} {
				req := request(t, "GET", "https://"+r.https+q.path, nil)
				req.Header.Set("Cookie", q.cookie)
				req.Header.Set("Porthole-TLS", "SSL 2.0")
				res, body := fetch(t, c, req)
				if saw := res.Header.Get("Saw-Tls"); !strings.HasPrefix(saw, "TLS 1.3 TLS_") || strings.Contains(saw, "|") {
					t.Errorf("%s over %s: negotiated %q", q.path, res.Proto, saw)
				}
				if body != q.want || (res.ProtoMajor == 2) != (protocol == "h2") {
					t.Errorf("%s over %s: %q", q.path, res.Proto, body)
				}
			}
			const size = 32 << 20
			_, body := fetch(t, c, request(t, "POST", "https://"+r.https+"/api/media", io.LimitReader(zeros{}, size)))
			if want := fmt.Sprintf("console says hello to nobody, %d bytes, <nil>", size); body != want {
				t.Errorf("upload: %q", body)
			}
		})
	}
	t.Run("WebSocket", func(t *testing.T) {
		for path, want := range map[string]string{"/ws": "anna: hi", "/api/events": "nobody: hi"} {
			c := dialWebSocket(t, r, path)
			if got, err := say(t, c, "hi"); err != nil || got != want {
				t.Errorf("%s: %q, %v", path, got, err)
			}
			c.Close(websocket.StatusNormalClosure, "")
		}
	})
	t.Run("dead process", func(t *testing.T) {
		stopSignaling()
		c := browser(t, "h2")
		res, body := fetch(t, c, request(t, "GET", "https://"+r.https+"/livestream/viewer", nil))
		if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, `"process":"signaling"`) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		if res, _ := fetch(t, c, request(t, "GET", "https://"+r.https+"/", nil)); res.StatusCode != http.StatusOK {
			t.Errorf("console while signaling is dead: %d", res.StatusCode)
		}
		r.serve(t, "signaling", echo("signaling"))
		if res, _ := fetch(t, c, request(t, "GET", "https://"+r.https+"/livestream/viewer", nil)); res.StatusCode != http.StatusOK {
			t.Errorf("signaling is back: %d", res.StatusCode)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func dialWebSocket(t *testing.T, r *rig, path string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(tr.CloseIdleConnections)
	c, _, err := websocket.Dial(ctx, "wss://"+r.https+path, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: tr},
		HTTPHeader: http.Header{"Cookie": {"session=anna"}, "Origin": {"https://" + r.https}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func say(t *testing.T, c *websocket.Conn, msg string) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
		return "", err
	}
	_, got, err := c.Read(ctx)
	return string(got), err
}

func TestPlainPorts(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console", echo("console"))
	r.start(t)
	c := browser(t, "http/1.1")
	for from, to := range map[string]string{
		"http://" + r.http + "/login?next=/":  "https://" + r.https + "/login?next=/",
		"http://" + r.https + "/login?next=/": "https://" + r.https + "/login?next=/",
	} {
		res, _ := fetch(t, c, request(t, "GET", from, nil))
		if res.StatusCode != http.StatusFound || res.Header.Get("Location") != to {
			t.Errorf("%s: %d %s", from, res.StatusCode, res.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/api/health", "/api/playlists/7"} {
		if _, body := fetch(t, c, request(t, "GET", "http://"+r.http+path, nil)); !strings.HasPrefix(body, "console says hello") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if res, body := fetch(t, c, request(t, "GET", "http://"+r.https+"/api/health", nil)); res.StatusCode != http.StatusUpgradeRequired || !strings.Contains(body, `"https_url":"https://`+r.https+`/api/health"`) {
		t.Errorf("the API without TLS on the TLS port: %d %s", res.StatusCode, body)
	}
	if got := r.status(t).Handshakes; len(got) != 1 || got[0].Address != "127.0.0.1" || got[0].Reason != "plain HTTP on the TLS port" || got[0].Count == 0 || got[0].Last.IsZero() {
		t.Errorf("%+v", got)
	}
}

// TestTrustedProxies: who is listed in the settings is believed from then on, and no longer.
func TestTrustedProxies(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		fmt.Fprint(w, req.Header.Get("X-Forwarded-For"), " ", req.Header.Get("Porthole-Near"))
	}))
	o := newOffice(settings.Proxy{Revision: 1, PlainHTTP: true})
	r.serve(t, "console-internal", o)
	r.start(t)
	c := browser(t, "h2")
	seen := func() string {
		req := request(t, "GET", "https://"+r.https+"/", nil)
		req.Header.Set("X-Forwarded-For", "192.168.77.9")
		_, body := fetch(t, c, req)
		return body
	}
	if got := seen(); got != "127.0.0.1 1" {
		t.Errorf("not listed: %q", got)
	}
	o.change(func(s *settings.Proxy) { s.Access.TrustedProxies = []string{"127.0.0.0/8"} })
	until(t, "loopback is believed", func() bool { return seen() == "192.168.77.9 1" })
	o.change(func(s *settings.Proxy) { s.Access.TrustedProxies = nil })
	until(t, "loopback is not believed any more", func() bool { return seen() == "127.0.0.1 1" })
}

// TestCertificate: proxy waits for the first pair and takes a new one without dropping who is there.
func TestCertificate(t *testing.T) {
	r := newRig(t)
	r.serve(t, "console", echo("console"))
	r.start(t)
	// While there is no certificate the plain port answers already.
	c := browser(t, "http/1.1")
	if _, body := fetch(t, c, request(t, "GET", "http://"+r.http+"/api/health", nil)); !strings.HasPrefix(body, "console says hello") {
		t.Errorf("health: %s", body)
	}
	served := func() string {
		c, err := tls.Dial("tcp", r.https, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	r.publish(t, "first")
	if got := served(); got != "first" {
		t.Errorf("serves %s", got)
	}
	ws := dialWebSocket(t, r, "/api/events")
	r.publish(t, "second")
	until(t, "the second certificate", func() bool { return served() == "second" })
	if got, err := say(t, ws, "still here"); err != nil || got != "nobody: still here" {
		t.Errorf("a connection from before: %q, %v", got, err)
	}
}

// TestEnd: when proxy is asked to end, a request that runs gets its answer and open-ended ones are cut.
func TestEnd(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	asked, release := make(chan struct{}), make(chan struct{})
	var socket atomic.Bool
	r.serve(t, "console", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/slow" {
			close(asked)
			<-release
		}
		socket.CompareAndSwap(false, req.Header.Get("Upgrade") != "")
		echo("console").ServeHTTP(w, req)
	}))
	r.start(t)
	ws := dialWebSocket(t, r, "/api/events")
	if _, err := say(t, ws, "hi"); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		res, err := browser(t, "h2").Get("https://" + r.https + "/slow")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(string(body), err)
	}()
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	until(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", r.https)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-answer; !strings.HasPrefix(got, "console says hello") {
		t.Errorf("running request: %s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	until(t, "the WebSocket is cut", func() bool {
		_, err := say(t, ws, "hi")
		return err != nil
	})
}
