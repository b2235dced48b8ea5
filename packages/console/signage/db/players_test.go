package db_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

func newPlayer(t testing.TB, s *db.Store, hostname string) signage.Player {
	t.Helper()
	return must(s.CreatePlayer(t.Context(), signage.Player{Hostname: hostname, Enabled: true, MayEdit: true}))(t)
}

func TestPlayers(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	list := must(s.CreatePlaylist(ctx, "Shop"))(t)
	g := must(s.CreateGroup(ctx, signage.Group{Name: "Windows", Playlist: list.ID}))(t)
	p := must(s.CreatePlayer(ctx, signage.Player{Hostname: " tv-1 ", Group: g.ID, Own: true}))(t)
	want := signage.Player{ID: p.ID, Name: "tv-1", Hostname: "tv-1", Group: g.ID, Orientation: "landscape"}
	if d := cmp.Diff(want, p, cmpopts.IgnoreFields(signage.Player{}, "Created")); d != "" || time.Since(p.Created) > time.Hour {
		t.Errorf("%s\n%s", d, p.Created)
	}
	_, err := s.CreatePlayer(ctx, signage.Player{Hostname: "tv-1"})
	is(t, err, signage.ErrTaken)
	for want, bad := range map[string]signage.Player{
		"hostname": {Hostname: ""}, "name": {Hostname: "x", Name: "a\tb"}, "orientation": {Hostname: "x", Orientation: "up"},
		"group": {Hostname: "x", Group: 99}, "playlist": {Hostname: "x", Playlist: 99},
	} {
		_, err := s.CreatePlayer(ctx, bad)
		field(t, err, want)
	}
	before := s.Revision()
	p.Name, p.Playlist, p.Group, p.PlainHTTP, p.Orientation, p.Enabled = "Door", list.ID, 0, true, "portrait", true
	ok(t, s.UpdatePlayer(ctx, p))
	if d := cmp.Diff(p, must(s.PlayerByHostname(ctx, "tv-1"))(t)); d != "" {
		t.Error(d)
	}
	if s.Revision() != before+1 {
		t.Error("a player's new playlist is no news")
	}
	ok(t, s.SavePresence(ctx, []signage.Player{{ID: p.ID, LastSeen: time.Unix(1000, 0), Agent: "Kiwy", Status: "playing", PlayingVersion: 3}, {ID: 4711}}))
	if p = must(s.Player(ctx, p.ID))(t); p.LastSeen.Unix() != 1000 || p.Agent != "Kiwy" || p.PlayingVersion != 3 || p.Name != "Door" {
		t.Errorf("presence: %+v", p)
	}
	if s.Revision() != before+1 {
		t.Error("a player's presence is news to players")
	}
	ok(t, s.DeletePlaylist(ctx, list.ID))
	if p = must(s.Player(ctx, p.ID))(t); p.Playlist != 0 {
		t.Errorf("with a deleted playlist: %+v", p)
	}
	if g = must(s.Group(ctx, g.ID))(t); g.Playlist != 0 || g.Players != 0 {
		t.Errorf("with a deleted playlist: %+v", g)
	}
	ok(t, s.DeletePlayer(ctx, p.ID))
	is(t, s.DeletePlayer(ctx, p.ID), signage.ErrNotFound)
	is(t, s.UpdatePlayer(ctx, p), signage.ErrNotFound)
	_, err = s.Player(ctx, p.ID)
	is(t, err, signage.ErrNotFound)
}

func TestGroups(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	g := must(s.CreateGroup(ctx, signage.Group{Name: "Windows"}))(t)
	_, err := s.CreateGroup(ctx, signage.Group{Name: "Windows"})
	is(t, err, signage.ErrTaken)
	_, err = s.CreateGroup(ctx, signage.Group{Name: "x", Playlist: 9})
	field(t, err, "playlist")
	p := newPlayer(t, s, "tv")
	p.Group = g.ID
	ok(t, s.UpdatePlayer(ctx, p))
	g.Name = "Doors"
	ok(t, s.UpdateGroup(ctx, g))
	g.Players = 1
	if d := cmp.Diff([]signage.Group{g}, must(s.Groups(ctx))(t)); d != "" {
		t.Error(d)
	}
	ok(t, s.DeleteGroup(ctx, g.ID))
	is(t, s.DeleteGroup(ctx, g.ID), signage.ErrNotFound)
	is(t, s.UpdateGroup(ctx, g), signage.ErrNotFound)
	if p = must(s.Player(ctx, p.ID))(t); p.Group != 0 {
		t.Errorf("in a deleted group: %+v", p)
	}
}

// TestOwn: the own screen has the device's name, whoever had it before.
func TestOwn(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	_, err := s.Own(ctx)
	is(t, err, signage.ErrNotFound)
	own := must(s.EnsureOwn(ctx, "porthole"))(t)
	revision := s.Revision()
	if again := must(s.EnsureOwn(ctx, "porthole"))(t); again.ID != own.ID || s.Revision() != revision || !own.Own || !own.Enabled {
		t.Errorf("again: %+v, revision %d after %d", again, s.Revision(), revision)
	}
	other := newPlayer(t, s, "shop")
	if own = must(s.EnsureOwn(ctx, "shop"))(t); own.Hostname != "shop" {
		t.Errorf("after the device's name changed: %+v", own)
	}
	if other = must(s.Player(ctx, other.ID))(t); other.Hostname != fmt.Sprintf("shop-%d", other.ID) || other.Own {
		t.Errorf("who had the name: %+v", other)
	}
	own.Hostname, own.Name, own.Enabled = "mine", "Entrance", false
	ok(t, s.UpdatePlayer(ctx, own))
	if own = must(s.Own(ctx))(t); own.Hostname != "shop" || own.Name != "Entrance" || !own.Enabled {
		t.Errorf("after an edit: %+v", own)
	}
	field(t, s.DeletePlayer(ctx, own.ID), "player")

	// A player of before, with the device's name, becomes the own screen.
	s, _ = newStore(t)
	was := newPlayer(t, s, "porthole")
	if own = must(s.EnsureOwn(ctx, "porthole"))(t); own.ID != was.ID || !own.Own {
		t.Errorf("%+v", own)
	}
}

func TestAuthCodes(t *testing.T) {
	s, f := newStore(t)
	ctx := t.Context()
	p := newPlayer(t, s, "tv")
	hash := func(n int) [32]byte { return sha256.Sum256([]byte{byte(n)}) }
	now := time.Now()
	is(t, s.AddAuthCode(ctx, 4711, hash(0), now.Add(time.Hour)), signage.ErrNotFound)
	for n := range 20 {
		ok(t, s.AddAuthCode(ctx, p.ID, hash(n), now.Add(time.Hour+time.Duration(n)*time.Minute)))
	}
	_, err := s.PlayerByAuthCode(ctx, hash(11), now)
	is(t, err, signage.ErrNotFound) // only the last 8
	for n := 12; n < 20; n++ {
		if got := must(s.PlayerByAuthCode(ctx, hash(n), now))(t); got.ID != p.ID {
			t.Errorf("code %d: %+v", n, got)
		}
	}
	_, err = s.PlayerByAuthCode(ctx, hash(12), now.Add(time.Hour+12*time.Minute))
	is(t, err, signage.ErrNotFound)
	ok(t, s.DropAuthCodes(ctx, p.ID, now.Add(-time.Hour)))
	must(s.PlayerByAuthCode(ctx, hash(19), now))(t)
	ok(t, s.DropAuthCodes(ctx, p.ID, now.Add(time.Hour)))
	_, err = s.PlayerByAuthCode(ctx, hash(19), now)
	is(t, err, signage.ErrNotFound)

	ok(t, s.AddAuthCode(ctx, p.ID, hash(1), now.Add(time.Hour)))
	ok(t, s.SetCode(ctx, p.ID, "$argon2id$code"))
	ok(t, s.SetPassword(ctx, p.ID, "$argon2id$password"))
	is(t, s.SetCode(ctx, 4711, "x"), signage.ErrNotFound)
	code, password, err := s.Hashes(ctx, p.ID)
	if err != nil || code != "$argon2id$code" || password != "$argon2id$password" {
		t.Errorf("%q, %q, %v", code, password, err)
	}
	if p = must(s.Player(ctx, p.ID))(t); !p.HasCode || !p.HasPassword {
		t.Errorf("%+v", p)
	}
	ok(t, s.DeletePlayer(ctx, p.ID))
	var left int
	if err := f.r.QueryRow("SELECT count(*) FROM player_auth_codes").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d codes of a deleted player, %v", left, err)
	}
}

func TestFeedback(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	p, q := newPlayer(t, s, "tv"), newPlayer(t, s, "other")
	var many []signage.Feedback
	for n := range db.MaxFeedback + 20 {
		many = append(many, signage.Feedback{Player: p.ID, MessageID: fmt.Sprint(n / 2), Received: time.Unix(int64(n), 0), Status: "playing"})
	}
	ok(t, s.AddFeedback(ctx, many))
	if n := len(must(s.Feedbacks(ctx, p.ID, 1000))(t)); n != len(many)/2 {
		t.Errorf("%d reports; each second was a repetition", n)
	}
	for n := range many {
		many[n].MessageID = ""
	}
	ok(t, s.AddFeedback(ctx, append(many, signage.Feedback{Player: q.ID, Received: time.Unix(5, 0), Status: "error"}, signage.Feedback{Player: 4711})))
	if n := len(must(s.Feedbacks(ctx, p.ID, 1000))(t)); n != db.MaxFeedback {
		t.Errorf("%d reports are kept", n)
	}
	if last := must(s.Feedbacks(ctx, p.ID, 1))(t); len(last) != 1 || last[0].Received.Unix() != int64(len(many)-1) || !last[0].At.IsZero() {
		t.Errorf("last: %+v", last)
	}
	if other := must(s.Feedbacks(ctx, q.ID, 10))(t); len(other) != 1 || other[0].Status != "error" {
		t.Errorf("other: %+v", other)
	}
	if n := len(must(s.Feedbacks(ctx, 0, 1000))(t)); n != db.MaxFeedback+1 {
		t.Errorf("%d reports of all", n)
	}
}

// TestAuthCodesTogether: what is kept in memory is what the database holds, in whatever order codes come and go.
func TestAuthCodesTogether(t *testing.T) {
	s, f := newStore(t)
	ctx := t.Context()
	players := []signage.Player{newPlayer(t, s, "a"), newPlayer(t, s, "b"), newPlayer(t, s, "c")}
	var wg sync.WaitGroup
	hash := func(worker, n int) [32]byte { return sha256.Sum256([]byte{byte(worker), byte(n)}) }
	const workers, rounds = 6, 20
	for worker := range workers {
		wg.Go(func() {
			p := players[worker%len(players)]
			for n := range rounds {
				err := s.AddAuthCode(ctx, p.ID, hash(worker, n), time.Now().Add(time.Hour))
				if err == nil && n%7 == 3 {
					err = s.DropAuthCodes(ctx, p.ID, time.Now().Add(time.Hour))
				}
				if err != nil {
					t.Error(err)
				}
				if _, err := s.PlayerByAuthCode(ctx, hash(worker, n), time.Now()); err != nil && !errors.Is(err, signage.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	fresh, left := db.New(f), 0
	for worker := range workers {
		for n := range rounds {
			p, err := s.PlayerByAuthCode(ctx, hash(worker, n), time.Now())
			q, wantErr := fresh.PlayerByAuthCode(ctx, hash(worker, n), time.Now())
			if p.ID != q.ID || !errors.Is(err, wantErr) {
				t.Errorf("code %d of %d: player %d, %v; the database says player %d, %v", n, worker, p.ID, err, q.ID, wantErr)
			}
			if err == nil {
				left++
			}
		}
	}
	if left == 0 {
		t.Error("no code is left; this test tests nothing")
	}
}
