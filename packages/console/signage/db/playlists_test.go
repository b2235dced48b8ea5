package db_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

func names(items []signage.Item) []string {
	var all []string
	for _, i := range items {
		all = append(all, fmt.Sprint(i.Position, i.Text))
	}
	return all
}

func text(s string) signage.Item { return signage.Item{Kind: signage.ItemText, Text: s} }

func TestOrderOfItems(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	p := must(s.CreatePlaylist(ctx, " Shop "))(t)
	added := must(s.AddItems(ctx, p.ID, 0, []signage.Item{text("a"), text("b"), text("c")}))(t)
	id := map[string]int64{}
	for _, i := range added {
		id[i.Text] = i.ID
	}
	check := func(want ...string) {
		t.Helper()
		if d := cmp.Diff(want, names(must(s.Items(ctx, p.ID, signage.Draft))(t))); d != "" {
			t.Error(d)
		}
	}
	check("1a", "2b", "3c")
	must(s.AddItems(ctx, p.ID, 2, []signage.Item{text("x"), text("y")}))(t)
	check("1a", "2x", "3y", "4b", "5c")
	must(s.AddItems(ctx, p.ID, 99, []signage.Item{text("z")}))(t)
	check("1a", "2x", "3y", "4b", "5c", "6z")
	ok(t, s.MoveItem(ctx, p.ID, id["c"], 1))
	check("1c", "2a", "3x", "4y", "5b", "6z")
	ok(t, s.MoveItem(ctx, p.ID, id["c"], 99))
	check("1a", "2x", "3y", "4b", "5z", "6c")
	ok(t, s.MoveItem(ctx, p.ID, id["b"], -5))
	check("1b", "2a", "3x", "4y", "5z", "6c")
	ok(t, s.RemoveItem(ctx, p.ID, id["a"]))
	check("1b", "2x", "3y", "4z", "5c")
	is(t, s.RemoveItem(ctx, p.ID, id["a"]), signage.ErrNotFound)
	is(t, s.MoveItem(ctx, p.ID, id["a"], 1), signage.ErrNotFound)
	is(t, s.OrderItems(ctx, p.ID, []int64{id["c"], id["b"]}), signage.ErrNotFound)
	other := must(s.CreatePlaylist(ctx, "Other"))(t)
	is(t, s.MoveItem(ctx, other.ID, id["b"], 1), signage.ErrNotFound)
	is(t, s.RemoveItem(ctx, 4711, id["b"]), signage.ErrNotFound)
	check("1b", "2x", "3y", "4z", "5c")
	all := must(s.Items(ctx, p.ID, signage.Draft))(t)
	ok(t, s.OrderItems(ctx, p.ID, []int64{all[4].ID, all[3].ID, all[2].ID, all[1].ID, all[0].ID}))
	check("1c", "2z", "3y", "4x", "5b")
}

// TestPublishAndRevert: players get what was published, and items keep their ids over it all.
func TestPublishAndRevert(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	p := must(s.CreatePlaylist(ctx, "Shop"))(t)
	m := addMedia(t, s, film("film.mp4"))
	field(t, s.Revert(ctx, p.ID), "playlist")
	must(s.AddItems(ctx, p.ID, 0, []signage.Item{mediaItem(m), text("b"), {Kind: signage.ItemCamera, Camera: "yard", Duration: 30 * time.Second}}))(t)
	before := s.Revision()
	if items := must(s.Items(ctx, p.ID, signage.Live))(t); len(items) != 0 {
		t.Errorf("live before the first publication: %v", items)
	}
	p = must(s.Publish(ctx, p.ID))(t)
	if p.Version != 1 || p.Changed || p.Items != 3 || p.Total != 130*time.Second {
		t.Errorf("after publishing: %+v", p)
	}
	if s.Revision() <= before {
		t.Error("publishing is no news to players")
	}
	draft := must(s.Items(ctx, p.ID, signage.Draft))(t)
	if d := cmp.Diff(draft, must(s.Items(ctx, p.ID, signage.Live))(t)); d != "" {
		t.Error(d)
	}
	if draft[0].Media == nil || draft[0].Media.Probe.Codec != "jpeg" || draft[1].Duration != db.DefaultDuration {
		t.Errorf("%+v", draft)
	}
	changed := draft[1]
	changed.Text = "other"
	ok(t, s.UpdateItem(ctx, p.ID, changed))
	ok(t, s.RemoveItem(ctx, p.ID, draft[0].ID))
	if q := must(s.Playlist(ctx, p.ID))(t); !q.Changed || q.Version != 1 {
		t.Errorf("after an edit: %+v", q)
	}
	if d := cmp.Diff(draft, must(s.Items(ctx, p.ID, signage.Live))(t)); d != "" {
		t.Errorf("an edit is live before its publication: %s", d)
	}
	ok(t, s.Revert(ctx, p.ID))
	if d := cmp.Diff(draft, must(s.Items(ctx, p.ID, signage.Draft))(t)); d != "" {
		t.Error(d)
	}
	if q := must(s.Playlist(ctx, p.ID))(t); q.Changed {
		t.Error("still changed after going back")
	}
	must(s.AddItems(ctx, p.ID, 1, []signage.Item{text("new")}))(t)
	if p = must(s.Publish(ctx, p.ID))(t); p.Version != 2 {
		t.Errorf("second publication: %+v", p)
	}
	if got := names(must(s.Items(ctx, p.ID, signage.Live))(t)); got[0] != "1new" || len(got) != 4 {
		t.Errorf("live: %q", got)
	}
	_, err := s.Publish(ctx, 4711)
	is(t, err, signage.ErrNotFound)
}

func TestWrongItems(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	p := must(s.CreatePlaylist(ctx, "Shop"))(t)
	for want, i := range map[string]signage.Item{
		"kind":        {Kind: "web"},
		"camera":      {Kind: signage.ItemCamera, Camera: "../x"},
		"url":         {Kind: signage.ItemStream, URL: "http://h/"},
		"text":        {Kind: signage.ItemText, Text: " "},
		"duration":    {Kind: signage.ItemText, Text: "x", Duration: -time.Second},
		"fit":         {Kind: signage.ItemText, Text: "x", Fit: "zoom"},
		"description": {Kind: signage.ItemText, Text: "x", Description: "\x00"},
	} {
		_, err := s.AddItems(ctx, p.ID, 0, []signage.Item{text("fine"), i})
		field(t, err, want)
	}
	_, err := s.AddItems(ctx, p.ID, 0, []signage.Item{{Kind: signage.ItemMedia, MediaID: 4711}})
	is(t, err, signage.ErrNotFound)
	if items := must(s.Items(ctx, p.ID, signage.Draft))(t); len(items) != 0 {
		t.Errorf("half of a refused addition stayed: %v", items)
	}
	_, err = s.AddItems(ctx, p.ID, 0, make([]signage.Item, db.MaxItems+1))
	field(t, err, "items")
}

// TestConcurrentEdits: whatever order edits come in, positions stay 1, 2, 3 and so on.
func TestConcurrentEdits(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	p := must(s.CreatePlaylist(ctx, "Shop"))(t)
	must(s.AddItems(ctx, p.ID, 0, []signage.Item{text("1"), text("2"), text("3"), text("4")}))(t)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(n)))
			for range 12 {
				items, err := s.Items(ctx, p.ID, signage.Draft)
				if err != nil {
					t.Error(err)
					return
				}
				switch at := r.IntN(len(items) + 1); {
				case at == len(items) || len(items) < 3:
					_, err = s.AddItems(ctx, p.ID, r.IntN(len(items)+2), []signage.Item{text("new")})
				case r.IntN(3) == 0:
					err = s.RemoveItem(ctx, p.ID, items[at].ID)
				default:
					err = s.MoveItem(ctx, p.ID, items[at].ID, r.IntN(len(items)+2))
				}
				if err != nil && !errors.Is(err, signage.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for n, i := range must(s.Items(ctx, p.ID, signage.Draft))(t) {
		if i.Position != n+1 {
			t.Fatalf("item %d has position %d", n+1, i.Position)
		}
	}
}

func TestPlaylistNames(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	p := must(s.CreatePlaylist(ctx, "Shop"))(t)
	_, err := s.CreatePlaylist(ctx, "Shop ")
	is(t, err, signage.ErrTaken)
	_, err = s.CreatePlaylist(ctx, " ")
	field(t, err, "name")
	q := must(s.CopyPlaylist(ctx, p.ID, ""))(t)
	if q.Name != "Shop (2)" || q.Changed {
		t.Errorf("a copy of nothing: %+v", q)
	}
	q.Name = "Shop"
	is(t, s.UpdatePlaylist(ctx, q), signage.ErrTaken)
	q.Name, q.Transition = "Window", "wipe"
	field(t, s.UpdatePlaylist(ctx, q), "transition")
	q.Transition = "crossfade"
	ok(t, s.UpdatePlaylist(ctx, q))
	must(s.AddItems(ctx, q.ID, 0, []signage.Item{text("a"), text("b")}))(t)
	c := must(s.CopyPlaylist(ctx, q.ID, "Door"))(t)
	if c.Transition != "crossfade" || !c.Changed || c.Items != 2 || c.Version != 0 {
		t.Errorf("a copy: %+v", c)
	}
	if d := cmp.Diff([]string{"1a", "2b"}, names(must(s.Items(ctx, c.ID, signage.Draft))(t))); d != "" {
		t.Error(d)
	}
	_, err = s.CopyPlaylist(ctx, 4711, "X")
	is(t, err, signage.ErrNotFound)
	ok(t, s.DeletePlaylist(ctx, p.ID))
	is(t, s.DeletePlaylist(ctx, p.ID), signage.ErrNotFound)
	var all []string
	for _, p := range must(s.Playlists(ctx))(t) {
		all = append(all, p.Name)
	}
	if d := cmp.Diff([]string{"Door", "Window"}, all); d != "" {
		t.Error(d)
	}
}
