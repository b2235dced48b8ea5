package playerapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/playerapi"
)

// TestCORS: any site's script may ask, with its visitors' credentials only those that are listed.
func TestCORS(t *testing.T) {
	s := newServer(t)
	s.player("player1")
	s.origins = []string{"https://signs.example"}
	for _, c := range []struct{ method, target, origin, allow string }{
		{"GET", "/api/health", "", "*"},
		{"GET", "/api/health", "*", "*"},
		{"GET", legacy, "http://192.168.0.121", "*"},
		{"GET", legacy, "null", "*"},
		{"GET", legacy, "https://signs.example", "https://signs.example"},
		{"GET", legacy, "https://signs.example.evil", "*"},
		{"GET", "/api/playlists", "https://evil.example", "*"},
		{"POST", "/api/player-feedback", "https://evil.example", "*"},
		{"GET", "/api/media/x/y.jpg", "https://evil.example", "*"},
		{"OPTIONS", "/api/playlists", "", "*"},
		{"OPTIONS", "/api/playlists", "http://192.168.0.121", "*"},
		{"OPTIONS", "/api/player-feedback", "https://signs.example", "https://signs.example"},
		{"OPTIONS", "/api/media/x/y.jpg", "https://evil.example", "*"},
	} {
		var headers []string
		if c.origin != "" {
			headers = append(headers, "Origin", c.origin, "Access-Control-Request-Method", "GET")
		}
		h := s.do(c.method, c.target, "", headers...).header
		if h.Get("Access-Control-Allow-Origin") != c.allow || (h.Get("Access-Control-Allow-Credentials") == "true") != (c.allow != "*") || h.Get("Vary") != "Origin" {
			t.Errorf("%s %s from %q: %v", c.method, c.target, c.origin, h)
		}
		if c.method != "OPTIONS" {
			continue
		}
		methods := "GET, POST, OPTIONS"
		if strings.Contains(c.target, "media") {
			methods = "GET, HEAD, OPTIONS"
		}
		if h.Get("Access-Control-Allow-Methods") != methods || h.Get("Access-Control-Max-Age") != "3600" ||
			!strings.HasPrefix(h.Get("Access-Control-Allow-Headers"), "Content-Type, Authorization") {
			t.Errorf("%s: %v", c.target, h)
		}
		s.do(c.method, c.target, "", headers...).want(204)
	}
}

// TestMedia: ranges, validators and headers; and an address is good for one player and one file only, for a while.
func TestMedia(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg"})
	p := s.player("player1", func(p *signage.Player) { p.Playlist = list.ID })
	address := func(headers ...string) *url.URL {
		t.Helper()
		var got playlist
		s.do("GET", legacy, "", headers...).want(200).into(&got)
		u, err := url.Parse(got.Playlist[0].URL)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := address("X-Forwarded-Host", "[fd00::7]:8443"); u.Host != "[fd00::7]:8443" || u.Scheme != "https" {
		t.Errorf("address %s", u)
	}
	u := address()
	whole := s.do("GET", u.RequestURI(), "").want(200)
	tag, data := whole.header.Get("ETag"), jpegBytes("menu.jpg")
	if string(whole.body) != string(data) {
		t.Fatalf("got %q", whole.body)
	}
	for k, v := range map[string]string{
		"Content-Type": "image/jpeg", "X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=1209600, immutable",
		"Accept-Ranges": "bytes", "Content-Length": strconv.Itoa(len(data)), "Content-Security-Policy": "default-src 'none'; sandbox",
		"Content-Disposition": "inline; filename=" + u.Path[strings.LastIndexByte(u.Path, '/')+1:], "Access-Control-Allow-Origin": "*",
	} {
		if whole.header.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, whole.header.Get(k), v)
		}
	}
	for _, c := range []struct {
		method  string
		headers []string
		status  int
		body    string
	}{
		{"HEAD", nil, 200, ""},
		{"GET", []string{"Range", "bytes=4-7"}, 206, "menu"},
		{"GET", []string{"Range", "bytes=-4"}, 206, ".jpg"},
		{"GET", []string{"Range", "bytes=4-7", "If-Range", tag}, 206, "menu"},
		{"GET", []string{"Range", "bytes=4-7", "If-Range", `"other"`}, 200, string(data)},
		{"GET", []string{"Range", "bytes=900-"}, 416, ""},
		{"GET", []string{"If-None-Match", tag}, 304, ""},
	} {
		a := s.do(c.method, u.RequestURI(), "", c.headers...)
		if a.status != c.status || (c.status != 416 && string(a.body) != c.body) {
			t.Errorf("%s %q: %d %q", c.method, c.headers, a.status, a.body)
		}
	}
	token := strings.Split(u.Path, "/")[3]
	for i := range len(token) {
		for _, c := range []byte{'A', '_'} {
			if bent := token[:i] + string(c) + token[i+1:]; bent != token {
				s.do("GET", "/api/media/"+bent+"/menu.jpg", "").want(404)
			}
		}
		s.do("GET", "/api/media/"+token[:i]+"x/menu.jpg", "").want(404)
	}
	p.Enabled = false
	if err := s.store.UpdatePlayer(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.do("GET", u.RequestURI(), "").want(404)
	p.Enabled = true
	if err := s.store.UpdatePlayer(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.do("GET", u.RequestURI(), "").want(200)
	// Another key is another server.
	key := s.config.Key
	s.config.Key = []byte(strings.Repeat("k", 32))
	s.restart()
	s.do("GET", u.RequestURI(), "").want(404)
	s.config.Key = key
	s.restart()
	if err := s.store.DeletePlayer(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	s.do("GET", u.RequestURI(), "").want(404)
}

// TestExpiry: an address stays the same for a week and is good for one to two.
func TestExpiry(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for player := range int64(500) {
		last, changes := playerapi.Expiry(player, at), 0
		for hour := range 14 * 24 {
			now := at.Add(time.Duration(hour) * time.Hour)
			e := playerapi.Expiry(player, now)
			if left := e.Sub(now); left <= 7*24*time.Hour-time.Second || left > 14*24*time.Hour {
				t.Fatalf("player %d: %s left", player, left)
			}
			if !e.Equal(last) {
				last = e
				changes++
			}
		}
		if changes < 1 || changes > 2 {
			t.Fatalf("player %d: %d changes in two weeks", player, changes)
		}
	}
}

// TestPlain: without TLS only the players that are let in, and only from near; others are told where to go, without what
// stood in the query.
func TestPlain(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg"})
	old := s.player("player1", func(p *signage.Player) { p.Playlist, p.PlainHTTP = list.ID, true })
	s.player("player2", func(p *signage.Player) { p.Playlist = list.ID })
	plain, near := []string{"X-Forwarded-Proto", "http"}, []string{"X-Forwarded-Proto", "http", "Porthole-Near", "1"}
	s.do("GET", "/api/health", "", plain...).want(200)
	for name, c := range map[string]struct {
		method, target, body string
		headers              []string
	}{
		"from far":     {"GET", legacy, "", plain},
		"not let in":   {"GET", "/api/playlists?hostname=player2&quickconnect_code=" + code, "", near},
		"wrong code":   {"GET", "/api/playlists?hostname=player2&quickconnect_code=no", "", near},
		"unknown":      {"GET", "/api/playlists?hostname=nobody&quickconnect_code=no", "", near},
		"no code":      {"GET", "/api/playlists", "", near},
		"feedback":     {"POST", "/api/player-feedback", "{}", near},
		"authenticate": {"POST", "/api/auth/player", `{"hostname":"player2","quickconnect_code":"` + code + `"}`, near},
		"pair":         {"POST", "/api/pair", "{}", near},
		"token":        {"POST", "/api/pair/token", `{"device_code":"x"}`, near},
	} {
		a := s.do(c.method, c.target, c.body, append(c.headers, "Porthole-HTTPS-Port", "8443")...).want(426)
		var e struct {
			URL string `json:"https_url"`
		}
		path, _, _ := strings.Cut(c.target, "?")
		if a.into(&e); e.URL != "https://192.168.0.121:8443"+path || a.header.Get("Upgrade") != "TLS/1.2, HTTP/1.1" || a.header.Get("Connection") != "Upgrade" {
			t.Errorf("%s: %s %v", name, a.body, a.header)
		}
	}
	s.do("GET", "/api/playlists?hostname=player1&quickconnect_code=no", "", near...).want(401)
	var got playlist
	s.do("GET", legacy, "", near...).want(200).into(&got)
	u, err := url.Parse(got.Playlist[0].URL)
	if err != nil || u.Scheme != "http" || u.Host != "192.168.0.121" {
		t.Fatalf("%s, %v", u, err)
	}
	s.do("GET", u.RequestURI(), "", near...).want(200)
	s.do("GET", u.RequestURI(), "", plain...).want(426)
	if now := s.api.Presence(old.ID); now.PlainCount != 1 || time.Since(now.LastPlain) > time.Hour {
		t.Errorf("%+v", now)
	}
}

// TestLimits: 60 requests a minute of a player; a wrong code does not count as a new guess each time, and keeps nobody else
// behind the same address out.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.player("player1")
		s.player("player2")
		token := s.login("player2")
		limited := func(method, target, body string, headers ...string) (n int) {
			t.Helper()
			for ; n < 500; n++ {
				a := s.do(method, target, body, headers...)
				if a.status == 429 {
					if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 || after > 60 {
						t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
					}
					return n
				}
			}
			t.Fatalf("%s is not limited", target)
			return n
		}
		if n := limited("GET", "/api/playlists", "", "Authorization", "Bearer "+token); n != 60 {
			t.Errorf("%d requests in a row", n)
		}
		s.do("POST", "/api/player-feedback", `{"status":"ok"}`, "Authorization", "Bearer "+token).want(200)
		const far = "203.0.113.5"
		// The same wrong code again and again, as a screen does that is set up wrongly.
		if n := limited("GET", "/api/playlists?hostname=player1&quickconnect_code=other-code", "", "X-Forwarded-For", far); n != 60 {
			t.Errorf("%d tries of a screen", n)
		}
		s.do("POST", "/api/auth/player", `{"hostname":"player2","quickconnect_code":"`+code+`"}`, "X-Forwarded-For", far).want(200)
		s.do("GET", legacy, "", "X-Forwarded-For", far).want(200)
		// Guesses differ.
		guess := func(from, hostname string) (n int) {
			for i := range 100 {
				a := s.do("GET", "/api/playlists?hostname="+hostname+"&quickconnect_code=guess"+from+strconv.Itoa(i), "", "X-Forwarded-For", from)
				if a.status == 429 {
					return i
				}
			}
			return 100
		}
		if n := guess("198.51.100.7", "player1"); n != 5 {
			t.Errorf("%d guesses of a screen's code", n)
		}
		// Who has its code right goes on, at the same address and under the same name.
		s.do("GET", legacy, "", "X-Forwarded-For", "198.51.100.7").want(200)
		if n := guess("198.51.100.7", "player2"); n != 5 {
			t.Errorf("%d guesses of another screen's code", n)
		}
		all := 0
		for i := range 10 {
			all += guess("198.51.100."+strconv.Itoa(20+i), "player2")
		}
		if all > 20 {
			t.Errorf("%d guesses from many addresses", all)
		}
		if n := limited("POST", "/api/pair/token", `{"device_code":"x"}`); n != 120 {
			t.Errorf("%d calls of a stranger", n)
		}
		s.stop()
	})
}

// TestStrangersArePushedOut: whoever knocks from the internet under a thousand names is forgotten before the house's screens.
func TestStrangersArePushedOut(t *testing.T) {
	s := newServer(t)
	s.do("GET", "/api/playlists?hostname=till", "").want(401)
	for i := range 1000 {
		s.do("GET", "/api/playlists?hostname=h"+strconv.Itoa(i), "", "X-Forwarded-For", "203.0.113.9")
	}
	all := s.api.Refusals()
	if len(all) != 200 || all[199].Hostname != "till" || all[0].Hostname != "h999" {
		t.Errorf("%d refusals, the first %+v, the last %+v", len(all), all[0], all[len(all)-1])
	}
}

// TestRightCodesAreRemembered: a player that sends its code with every request costs one hash.
func TestRightCodesAreRemembered(t *testing.T) {
	s := newServer(t)
	p := s.player("player1")
	counted := &countingHasher{next: s.hasher}
	s.config.Hasher = counted
	s.restart()
	for range 30 {
		s.do("GET", legacy, "").want(200)
	}
	if n := counted.count(); n != 1 {
		t.Errorf("%d hashes", n)
	}
	phc, err := s.hasher.Hash(t.Context(), "other-code")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.SetCode(t.Context(), p.ID, phc); err != nil {
		t.Fatal(err)
	}
	s.do("GET", legacy, "").want(401)
	s.do("GET", "/api/playlists?hostname=player1&quickconnect_code=other-code", "").want(200)
}

// TestAuthCodes: they end with the secret, with the player, and with the first use of a later one.
func TestAuthCodes(t *testing.T) {
	s := newServer(t)
	p := s.player("player1")
	try := func(token string) int {
		return s.do("GET", "/api/playlists", "", "Authorization", "Bearer "+token).status
	}
	first := s.login("player1")
	if try(first) != 200 {
		t.Fatal("a new auth code is not good")
	}
	phc, err := codeHash()
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func() error{
		"code":     func() error { return s.store.SetCode(t.Context(), p.ID, phc) },
		"password": func() error { return s.store.SetPassword(t.Context(), p.ID, phc) },
		"off": func() error {
			off := p
			off.Enabled = false
			if err := s.store.UpdatePlayer(t.Context(), off); err != nil {
				return err
			}
			return s.store.UpdatePlayer(t.Context(), p)
		},
	} {
		token := s.login("player1")
		if status := try(token); status != 200 {
			t.Errorf("%s: before: %d", name, status)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if status := try(token); status != 401 {
			t.Errorf("%s: after: %d", name, status)
		}
	}
	// The password is as good as the code.
	s.do("POST", "/api/auth/player", `{"hostname":"player1","password":"`+code+`"}`).want(200)
	s.do("POST", "/api/auth/player", `{"hostname":"player1","password":"`+code+`","quickconnect_code":"x"}`).want(200)
}

// TestRace: many at once, while people change things.
func TestRace(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg"})
	var players []signage.Player
	for i := range 8 {
		players = append(players, s.player("player"+strconv.Itoa(i), func(p *signage.Player) { p.Playlist = list.ID }))
	}
	var wg sync.WaitGroup
	for i, p := range players {
		wg.Go(func() {
			for n := range 20 {
				a := s.do("GET", fmt.Sprintf("/api/playlists?hostname=%s&quickconnect_code=%s", p.Hostname, code), "")
				b := s.do("POST", "/api/player-feedback", fmt.Sprintf(`{"hostname":%q,"quickconnect_code":%q,"status":"s%d"}`, p.Hostname, code, n/10))
				if a.status != 200 || b.status != 200 {
					t.Errorf("%d %s, %d %s", a.status, a.body, b.status, b.body)
				}
				if n%5 == i%5 {
					p.Name = fmt.Sprint("name ", n)
					if err := s.store.UpdatePlayer(t.Context(), p); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(s.api.PresenceAll()) != 8 {
		t.Errorf("%v", s.api.PresenceAll())
	}
}

var _ http.Handler = (*playerapi.API)(nil)
