package playerapi_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/playerapi"
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
	for i := range 10 {
		for range 32 {
			s.do("POST", "/api/pair", "{}", "X-Forwarded-For", fmt.Sprint("203.0.113.", i))
		}
	}
	if n := len(s.api.Pairings()); n > 65 {
		t.Errorf("%d pairings, most of them from the internet", n)
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
			if a := s.do("POST", "/api/player-feedback", `{"hostname":"player1","quickconnect_code":"`+code+`","status":"playing","message":"same"}`, "User-Agent", "Kiwy-Signage-Player/1.0"); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		// Who was seen and what it was told, and the report: once.
		if n := s.file.written() - before; n > 3 {
			t.Errorf("%d writes in ten minutes", n)
		}
		s.do("POST", "/api/player-feedback", `{"hostname":"player1","quickconnect_code":"`+code+`","status":"paused","message":"same"}`, "User-Agent", "Kiwy-Signage-Player/1.0").want(200)
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
