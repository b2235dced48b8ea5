package link_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/player/link"
)

// listen answers connections with f until the test ends.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return l.Addr().String()
}

// TestCauses: what goes wrong on the way to the server is told apart, in words, and with what to do.
func TestCauses(t *testing.T) {
	closed := listen(t, func(net.Conn) {})
	if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		closed = l.Addr().String()
		l.Close()
	}
	silent := listen(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	gone := listen(t, func(net.Conn) {})
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	rubbish := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1000))
		c.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
	})
	old := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1000))
		c.Write([]byte{21, 3, 1, 0, 2, 2, 70}) // fatal alert protocol_version
	})
	for name, c := range map[string]struct {
		server string
		cause  link.Cause
		words  string
	}{
		"refused":         {"https://" + closed, link.CauseRefused, "connection is refused|firewall"},
		"no such name":    {"https://signage.invalid", link.CauseDNS, "signage.invalid"},
		"no answer":       {"https://" + silent, link.CauseNetwork, "does not answer within 1 seconds"},
		"hangs up":        {"https://" + gone, link.CauseNetwork, "broke"},
		"no TLS":          {strings.Replace(plain.URL, "http:", "https:", 1), link.CauseTLS, "speaks no TLS"},
		"something else":  {"https://" + rubbish, link.CauseTLS, "speaks no TLS"},
		"old TLS":         {"https://" + old, link.CauseTLS, "protocol version"},
		"no network":      {"http://[2001:db8::1]", link.CauseNetwork, "[2001:db8::1]:80"},
		"no address":      {"ftp://x", link.CauseDNS, "cannot be read"},
		"no server there": {plain.URL, link.CauseServer, "signage server"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayer(t)
			p.to(settings.PlayerSettings{Server: c.server, Timeout: 1, QuickConnectCode: "ABC123XYZ"})
			s := p.trouble(c.cause, strings.Split(c.words, "|")...)
			if s.Connected || s.Attempts < 1 || s.Next.IsZero() {
				t.Errorf("state %+v", s)
			}
			p.Retry()
			eventually(t, "another attempt", func() bool { return p.State().Attempts > 1 })
		})
	}
}

// TestAnswers: what goes wrong at the server.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		answer http.HandlerFunc
		cause  link.Cause
		words  string
	}{
		"wrong code":       {"/api/auth/player", fail(401, `{"error":"hostname and code do not belong together"}`), link.CauseAuth, "hostname and code|till|quick-connect code"},
		"switched off":     {"/api/", fail(403, `{"error":"this screen is switched off"}`), link.CauseAuth, "switched off|Switch it on"},
		"server's fault":   {"/api/players/", fail(500, "<html>oops"), link.CauseServer, "500|log"},
		"starting":         {"/api/", fail(503, "", "Retry-After", "1"), link.CauseBusy, "too much"},
		"too often":        {"/api/players/", fail(429, `{"error":"too many requests"}`, "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), link.CauseBusy, "too many requests"},
		"hotspot":          {"/", fail(302, "", "Location", "https://login.hotspot.example/"), link.CauseServer, "login.hotspot.example"},
		"tells secrets":    {"/api/auth/player", fail(401, `{"error":"no screen till with ABC123XYZ"}`), link.CauseAuth, "no screen till with …"},
		"sends it on":      {"/api/auth/player", fail(307, "", "Location", "https://elsewhere.example/x?quickconnect_code=ABC123XYZ"), link.CauseServer, "to https://elsewhere.example/x."},
		"hotspot's page":   {"/", fail(200, "<html>Log in"), link.CauseServer, "no signage server|hotspot"},
		"another program":  {"/api/players/", fail(200, `{"playlists":[{"id":0}]}`), link.CauseServer, "cannot be understood"},
		"half a program":   {"/api/players/", fail(200, `{"playlists":[`), link.CauseServer, "cannot be understood"},
		"too long":         {"/api/health", func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, 2<<20) }, link.CauseServer, "too long"},
		"no auth code":     {"/api/auth/player", fail(200, `{"success":true,"player_id":7}`), link.CauseServer, "auth code"},
		"nobody":           {"/api/auth/player", fail(200, `{"success":true,"auth_code":"x"}`), link.CauseServer, "as whom"},
		"no success":       {"/api/auth/player", fail(200, `{"success":false,"error":"unknown  screen\n"}`), link.CauseAuth, "unknown screen"},
		"control sequence": {"/api/players/", fail(500, `{"error":"\u001b[2J\u202etxt"}`), link.CauseServer, "[2J"},
	} {
		t.Run(name, func(t *testing.T) {
			srv, p := newPorthole(t), newPlayer(t)
			srv.answerWith(c.path, c.answer)
			p.to(srv.settings())
			s := p.trouble(c.cause, strings.Split(c.words, "|")...)
			if strings.ContainsAny(s.Problem, "\x1b\n\u202e") {
				t.Errorf("it says %q", s.Problem)
			}
			srv.answerWith("/", nil)
			p.Retry()
			p.well()
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// TestEmpty: a server with nothing to play is connected, and that is said.
func TestEmpty(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	srv.program = program.Program{Revision: 1, Timezone: "UTC", PlayerID: 7, PlayerName: "Shop TV"}
	p.to(srv.settings())
	if s := p.trouble(link.CauseEmpty, "nothing", "playlist"); !s.Connected {
		t.Errorf("state %+v", s)
	}
	p.next()
	srv.publish(func(p *program.Program) { *p = oneList("menu.jpg") })
	p.next()
	p.well()
}

// TestTLSIsWanted: a server that was set up without TLS and wants it gets it; the code goes nowhere without.
func TestTLSIsWanted(t *testing.T) {
	for name, answer := range map[string]func(url string) http.HandlerFunc{
		"426": func(url string) http.HandlerFunc {
			return fail(426, `{"error":"come with TLS","https_url":"`+url+`/api/health"}`)
		},
		"redirect": func(url string) http.HandlerFunc { return fail(301, "", "Location", url+"/api/health") },
	} {
		t.Run(name, func(t *testing.T) {
			srv, p := newPorthole(t), newPlayer(t)
			var mu sync.Mutex
			var told []string
			plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				mu.Lock()
				told = append(told, r.URL.String()+string(b)+r.Header.Get("Authorization"))
				mu.Unlock()
				answer(srv.url)(w, r)
			}))
			t.Cleanup(plain.Close)
			s := srv.settings()
			s.Server = plain.URL
			p.to(s)
			p.next()
			p.well()
			mu.Lock()
			defer mu.Unlock()
			if len(told) != 1 || told[0] != "/api/health" {
				t.Errorf("told without TLS: %q", told)
			}
			if s := p.State(); s.Trust != "pinned ca" || s.Fingerprint == "" {
				t.Errorf("state %+v", s)
			}
		})
	}
}

// TestOwn: this device's own server, which needs no network, no code and no certificate.
func TestOwn(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	p.to(settings.PlayerSettings{})
	s := p.trouble(link.CauseServer, "This device’s signage server")
	if s.Kind != link.Own || s.Server != "" {
		t.Errorf("state %+v", s)
	}
	l, err := unixsock.Listen(p.dir+"/console.sock", unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	var reports, bad sync.Map
	own := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || strings.Contains(r.URL.RawQuery, "code") {
			bad.Store(r.URL.String(), true)
		}
		switch r.URL.Path {
		case "/signage/program":
			srv.serveProgram(w, r)
		case "/signage/feedback":
			b, _ := io.ReadAll(r.Body)
			reports.Store(string(b), true)
			io.WriteString(w, `{"success":true}`)
		case "/signage/media/abc":
			w.Header().Set("ETag", `"abc"`)
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
		default:
			http.NotFound(w, r)
		}
	})}
	var work sync.WaitGroup
	work.Go(func() { own.Serve(l) })
	t.Cleanup(func() {
		p.stop()
		own.Close()
		work.Wait()
	})
	p.Retry()
	p.next()
	p.well()
	srv.publish(func(p *program.Program) { *p = oneList("a.jpg", "b.jpg") })
	if prog := p.next(); len(prog.Playlists[0].Items) != 2 {
		t.Errorf("program %+v", prog)
	}
	p.Report(event("playing", "b.jpg"))
	eventually(t, "the report", func() bool {
		n := 0
		reports.Range(func(k, _ any) bool { n++; return strings.Contains(k.(string), "b.jpg") })
		return n == 1 && p.State().Spooled == 0
	})
	part, err := p.Get(t.Context(), "/signage/media/abc", 4, `"abc"`)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(part.Body); string(b) != "456789" || err != nil || part.From != 4 || part.Size != 10 || part.Tag != `"abc"` {
		t.Errorf("%q, %v, %+v", b, err, part)
	}
	part.Body.Close()
	if _, err := p.Get(t.Context(), "/settings/player", 0, ""); err == nil {
		t.Error("what is no medium was got")
	}
	bad.Range(func(k, _ any) bool { t.Errorf("credentials in %v", k); return true })
	own.Close()
	p.trouble(link.CauseServer)
}

// TestWrongPin: a pin that cannot be read is said, and opens no door.
func TestWrongPin(t *testing.T) {
	srv, p := newPorthole(t), newPlayer(t)
	s := srv.settings()
	s.Pin = "not a pin"
	p.to(s)
	p.trouble(link.CauseTrust, "neither", "Correct or remove")
	if n := len(srv.seen("/")); n != 0 {
		t.Errorf("%d calls", n)
	}
	s.Pin = ""
	p.to(s)
	p.well()
	s.Trust, s.Pin = settings.TrustPinned, "00"+strings.Repeat(":11", 31)
	p.to(s)
	p.trouble(link.CauseTrust, "another certificate")
	s.Pin = pinOf(srv.cert)
	p.to(s)
	p.well()
	if s := p.State(); s.Trust != "preset" {
		t.Errorf("state %+v", s)
	}
}

func pinOf(c *tls.Certificate) string { return fingerprint(c.Certificate[len(c.Certificate)-1]) }
