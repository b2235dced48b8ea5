package playerapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/playerapi"
	"porthole/packages/internal/program"
)

// TestPairing: a screen shows a code, an administrator types it, and the screen is let in.
func TestPairing(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg"})
	type offer struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		URI      string `json:"verification_uri"`
		Expires  int    `json:"expires_in"`
		Interval int
	}
	ask := func(body string) (o offer) {
		t.Helper()
		s.do("POST", "/api/pair", body, "User-Agent", "Porthole/1").want(200).into(&o)
		return o
	}
	poll := func(o offer) string {
		t.Helper()
		var e struct{ Error string }
		s.do("POST", "/api/pair/token", `{"device_code":"`+o.Device+`"}`).want(400).into(&e)
		return e.Error
	}
	first := ask(`{"hostname":"lobby","name":"Lobby"}`)
	if len(first.User) != 9 || first.User[4] != '-' || first.URI != "https://192.168.0.121/screens/pair" || first.Expires != 900 || first.Interval != 5 {
		t.Errorf("%+v", first)
	}
	for _, want := range []string{"authorization_pending", "slow_down"} {
		if e := poll(first); e != want {
			t.Errorf("%s, want %s", e, want)
		}
	}
	all := s.api.Pairings()
	if len(all) != 1 || all[0].UserCode != first.User || all[0].Hostname != "lobby" || all[0].Name != "Lobby" || all[0].Agent != "Porthole/1" || all[0].Address != "192.168.0.7" {
		t.Errorf("%+v", all)
	}
	if _, err := s.api.Approve(t.Context(), "AAAA-2222", signage.Player{}); !errors.Is(err, playerapi.ErrNoPairing) {
		t.Errorf("wrong code: %v", err)
	}
	typed := strings.ToLower(strings.ReplaceAll(first.User, "-", " "))
	made, err := s.api.Approve(t.Context(), typed, signage.Player{Playlist: list.ID, Enabled: true})
	if err != nil || made.ID == 0 || made.Hostname != "lobby" || made.Name != "Lobby" || len(s.api.Pairings()) != 0 {
		t.Fatalf("%+v, %v, %v", made, err, s.api.Pairings())
	}
	var auth struct {
		Success  bool
		PlayerID int64  `json:"player_id"`
		AuthCode string `json:"auth_code"`
	}
	s.do("POST", "/api/pair/token", `{"device_code":"`+first.Device+`"}`).want(200).into(&auth)
	if !auth.Success || auth.PlayerID != made.ID {
		t.Errorf("%+v", auth)
	}
	s.do("GET", fmt.Sprintf("/api/players/%d/program", made.ID), "", "Authorization", "Bearer "+auth.AuthCode).want(200)
	if e := poll(first); e != "expired_token" {
		t.Errorf("a second time: %s", e)
	}
	// One that is there already, one that is refused, one of a name that is taken.
	again := ask("")
	if p, err := s.api.Approve(t.Context(), again.User, signage.Player{ID: made.ID}); err != nil || p.Hostname != "lobby" {
		t.Errorf("%+v, %v", p, err)
	}
	s.do("POST", "/api/pair/token", `{"device_code":"`+again.Device+`"}`).want(200)
	other := ask(`{"hostname":"lobby"}`)
	if _, err := s.api.Approve(t.Context(), other.User, signage.Player{Enabled: true}); !errors.Is(err, signage.ErrTaken) {
		t.Errorf("a taken name: %v", err)
	}
	if err := s.api.Refuse(other.User); err != nil {
		t.Error(err)
	}
	if e := poll(other); e != "access_denied" {
		t.Errorf("refused: %s", e)
	}
	nameless := ask(`{}`)
	if p, err := s.api.Approve(t.Context(), nameless.User, signage.Player{Enabled: true}); err != nil || p.Hostname != "screen-"+strings.ToLower(nameless.User) {
		t.Errorf("%+v, %v", p, err)
	}
	// Somebody cannot fill the list.
	n := 0
	for ; n < 100 && s.do("POST", "/api/pair", "{}", "X-Forwarded-For", "203.0.113.4").status == 200; n++ {
	}
	if n > 32 {
		t.Errorf("%d pairings from one address", n)
	}
	ask(`{}`)
	s.do("POST", "/api/pair/token", `{}`).want(400)
}

// TestPairingEnds: a code is over after a quarter of an hour.
func TestPairingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		var o struct {
			Device string `json:"device_code"`
			User   string `json:"user_code"`
		}
		s.do("POST", "/api/pair", "{}").want(200).into(&o)
		for range 3 {
			<-time.After(5 * time.Second)
			if a := s.do("POST", "/api/pair/token", `{"device_code":"`+o.Device+`"}`); !strings.Contains(string(a.body), "authorization_pending") {
				t.Errorf("%s", a.body)
			}
		}
		<-time.After(15 * time.Minute)
		if a := s.do("POST", "/api/pair/token", `{"device_code":"`+o.Device+`"}`); !strings.Contains(string(a.body), "expired_token") {
			t.Errorf("%s", a.body)
		}
		if err := s.api.Refuse(o.User); !errors.Is(err, playerapi.ErrNoPairing) {
			t.Error(err)
		}
		s.stop()
	})
}

// TestRotation: from half of its life on an auth code can be replaced, by one a day; the old one is good until the new one
// is used; both end.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.player("player1")
		verify := func(token string) (status int, next string) {
			t.Helper()
			a := s.do("POST", "/api/auth/verify", "", "Authorization", "Bearer "+token)
			var v struct {
				AuthCode string    `json:"auth_code"`
				Expires  time.Time `json:"auth_code_expires"`
			}
			if a.status == 200 {
				if a.into(&v); v.Expires.Before(time.Now()) {
					t.Errorf("expires %s, it is %s", v.Expires, time.Now())
				}
			}
			return a.status, v.AuthCode
		}
		day := func(n int) { <-time.After(time.Duration(n) * 24 * time.Hour) }
		old := s.login("player1")
		day(14)
		if status, next := verify(old); status != 200 || next != "" {
			t.Errorf("too early: %d %q", status, next)
		}
		day(2)
		_, lost := verify(old)
		if lost == "" {
			t.Fatal("no new code")
		}
		if _, next := verify(old); next != "" {
			t.Error("two new codes on a day")
		}
		day(2)
		_, next := verify(old)
		if next == "" {
			t.Fatal("no other new code")
		}
		// The new one may never have arrived: the old one is good until it is used.
		if status, _ := verify(old); status != 200 {
			t.Errorf("the old code: %d", status)
		}
		if status, _ := verify(next); status != 200 {
			t.Errorf("the new code: %d", status)
		}
		for name, dead := range map[string]string{"old": old, "lost": lost} {
			if status, _ := verify(dead); status != 401 {
				t.Errorf("the %s code after the new one: %d", name, status)
			}
		}
		day(31)
		if status, _ := verify(next); status != 401 {
			t.Errorf("after its end: %d", status)
		}
		s.stop()
	})
}

// TestPresence: a player that asks each second for ten minutes is written ten times; the last word is kept at the end.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		p := s.player("player1")
		s.do("GET", legacy, "").want(200)
		before := s.file.written()
		for range 600 {
			<-time.After(time.Second)
			s.do("GET", legacy, "", "User-Agent", "Kiwy-Signage-Player/1.0").want(200)
			if a := s.do("POST", "/api/player-feedback", `{"hostname":"player1","quickconnect_code":"`+code+`","status":"playing","message":"same"}`); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		// Each minute who was seen and what it was told; the report once.
		if n := s.file.written() - before; n > 2*11+1 {
			t.Errorf("%d writes in ten minutes", n)
		}
		s.do("POST", "/api/player-feedback", `{"hostname":"player1","quickconnect_code":"`+code+`","status":"paused","message":"same"}`).want(200)
		s.stop()
		row, err := s.store.Player(t.Context(), p.ID)
		if err != nil || row.Status != "paused" || row.Agent != "Kiwy-Signage-Player/1.0" || row.Address != "192.168.0.7" || time.Since(row.LastSeen) > time.Minute {
			t.Errorf("%+v, %v", row, err)
		}
		all, err := s.store.Feedbacks(t.Context(), p.ID, 10)
		if err != nil || len(all) != 2 {
			t.Errorf("%+v, %v", all, err)
		}
		s.start()
		eventually(t, "the last run is known", func() bool { return s.api.Presence(p.ID).Status == "paused" })
		s.stop()
	})
}

// TestReportsShareWrites: what is acknowledged is written, many reports at a time, each with an id once.
func TestReportsShareWrites(t *testing.T) {
	s := newServer(t)
	var players []signage.Player
	var tokens []string
	for i := range 20 {
		players = append(players, s.player("player"+strconv.Itoa(i)))
		tokens = append(tokens, s.login("player"+strconv.Itoa(i)))
	}
	before := s.file.written()
	var wg sync.WaitGroup
	for i := range tokens {
		for n := range 3 {
			wg.Go(func() {
				body := fmt.Sprintf(`{"status":"played","message":"m","id":"%d","timestamp":1763753436,"item":"menu.jpg","version":4}`, n)
				for range 2 {
					if a := s.do("POST", "/api/player-feedback", body, "Authorization", "Bearer "+tokens[i]); a.status != 200 || !strings.Contains(string(a.body), `"kept":true`) {
						t.Errorf("%d %s", a.status, a.body)
					}
				}
			})
		}
	}
	wg.Wait()
	if n := s.file.written() - before; n > 40 {
		t.Errorf("%d writes for 120 reports", n)
	}
	for _, p := range players {
		all, err := s.store.Feedbacks(t.Context(), p.ID, 10)
		if err != nil || len(all) != 3 || all[0].Item != "menu.jpg" || all[0].At.Unix() != 1763753436 {
			t.Errorf("%+v, %v", all, err)
		}
	}
}

// TestProgram: a player gets all it needs, hears of news at once, and of nothing else.
func TestProgram(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg"}, signage.Item{Kind: signage.ItemCamera, Camera: "demo"})
	p := s.player("player1", func(p *signage.Player) { p.Playlist = list.ID })
	token := s.login("player1")
	path := fmt.Sprintf("/api/players/%d/program", p.ID)
	fetch := func(tag, wait string) (answer, program.Program) {
		t.Helper()
		a := s.do("GET", path+wait, "", "Authorization", "Bearer "+token, "If-None-Match", tag)
		var got program.Program
		if a.status == 200 {
			a.into(&got)
		}
		return a, got
	}
	a, got := fetch("", "?wait=50")
	if a.status != 200 || got.PlayerID != p.ID || got.Base != list.ID || len(got.Playlists) != 1 || got.Time.IsZero() {
		t.Fatalf("%d %s", a.status, a.body)
	}
	item := got.Playlists[0].Items[0]
	u, err := url.Parse(item.URL)
	if err != nil || u.Scheme != "https" || u.Host != "192.168.0.121" {
		t.Fatalf("%+v, %v", item, err)
	}
	if b := s.do("GET", u.RequestURI(), "").want(200); b.header.Get("ETag") != `"`+item.SHA256+`"` {
		t.Errorf("%v", b.header)
	}
	tag := a.header.Get("ETag")
	if b, _ := fetch(tag, ""); b.status != 304 || b.header.Get("ETag") != tag || len(b.body) != 0 {
		t.Errorf("unchanged: %d %v", b.status, b.header)
	}
	if b, _ := fetch(tag, "?wait=x"); b.status != 400 {
		t.Errorf("wait=x: %d", b.status)
	}
	until := time.Now().Add(time.Minute).Truncate(time.Second)
	for what, change := range map[string]func(){
		"identify":   func() { s.api.Identify(p.ID, until) },
		"screenshot": func() { s.api.WantScreenshot(p.ID) },
		"interrupt": func() {
			i := signage.Interrupt{Text: "Fire", Begins: time.Now(), Ends: time.Now().Add(time.Hour)}
			if _, err := s.store.CreateInterrupt(t.Context(), i); err != nil {
				t.Error(err)
			}
		},
	} {
		a, before := fetch("", "")
		waiting := make(chan struct{})
		var after program.Program
		go func() {
			defer close(waiting)
			var b answer
			if b, after = fetch(a.header.Get("ETag"), "?wait=50"); b.status != 200 || b.header.Get("ETag") == a.header.Get("ETag") {
				t.Errorf("%s: %d %v", what, b.status, b.header)
			}
		}()
		// Somebody else's news wake, but are none.
		s.api.Identify(p.ID+1, until)
		change()
		<-waiting
		switch {
		case what == "identify" && !after.IdentifyUntil.Equal(until),
			what == "screenshot" && after.Screenshot <= before.Screenshot,
			what == "interrupt" && len(after.Interrupts) != 1:
			t.Errorf("%s: %+v", what, after)
		}
	}
	s.do("GET", fmt.Sprintf("/api/players/%d/program", p.ID+1), "", "Authorization", "Bearer "+token).want(403)
	s.do("GET", path+"?hostname=player1&quickconnect_code="+code, "").want(401)
}

// TestProgramWaits: a long poll ends by itself.
func TestProgramWaits(t *testing.T) {
	s := newServer(t)
	p := s.player("player1")
	token := s.login("player1")
	s.config.LongPoll = 30 * time.Millisecond
	s.restart()
	path := fmt.Sprintf("/api/players/%d/program", p.ID)
	tag := s.do("GET", path, "", "Authorization", "Bearer "+token).want(200).header.Get("ETag")
	s.do("GET", path+"?wait=55", "", "Authorization", "Bearer "+token, "If-None-Match", `"x", `+tag).want(304)
}

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestScreenshot: the last picture of each screen is there, as many as fit.
func TestScreenshot(t *testing.T) {
	s := newServer(t)
	p := s.player("player1")
	token := s.login("player1")
	send := func(id int64, token, kind string, b []byte) answer {
		t.Helper()
		return s.do("POST", fmt.Sprintf("/api/players/%d/screenshot", id), string(b), "Authorization", "Bearer "+token, "Content-Type", kind)
	}
	if b, at := s.api.Screenshot(p.ID); b != nil || !at.IsZero() {
		t.Error("a picture from nowhere")
	}
	first, second := picture(t, 64, 36), picture(t, 128, 72)
	for _, b := range [][]byte{first, second} {
		send(p.ID, token, "image/jpeg", b).want(204)
		if got, at := s.api.Screenshot(p.ID); !bytes.Equal(got, b) || time.Since(at) > time.Hour {
			t.Errorf("%d bytes at %s", len(got), at)
		}
	}
	for name, c := range map[string]struct {
		id     int64
		token  string
		kind   string
		b      []byte
		status int
	}{
		"no type":  {p.ID, token, "image/png", first, 415},
		"a page":   {p.ID, token, "image/jpeg", []byte("<html>"), 400},
		"too wide": {p.ID, token, "image/jpeg", picture(t, 9000, 1), 400},
		"large":    {p.ID, token, "image/jpeg", append(bytes.Clone(first), make([]byte, 5<<20)...), 413},
		"another":  {p.ID + 1, token, "image/jpeg", first, 403},
		"nobody":   {p.ID, "x", "image/jpeg", first, 401},
	} {
		if a := send(c.id, c.token, c.kind, c.b); a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, c.status, a.body)
		}
	}
	if got, _ := s.api.Screenshot(p.ID); !bytes.Equal(got, second) {
		t.Error("a refused picture took the place of a good one")
	}
	large := append(bytes.Clone(first), make([]byte, 3<<20)...)
	var ids []int64
	for i := range 10 {
		q := s.player("many" + strconv.Itoa(i))
		ids = append(ids, q.ID)
		send(q.ID, s.login(q.Hostname), "image/jpeg", large).want(204)
	}
	have := 0
	for _, id := range ids {
		if b, _ := s.api.Screenshot(id); b != nil {
			have++
		}
	}
	if last, _ := s.api.Screenshot(ids[9]); have != 7 || last == nil {
		t.Errorf("%d of 10 pictures are kept", have)
	}
}
