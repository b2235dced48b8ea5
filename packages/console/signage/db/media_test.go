package db_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

func TestMedia(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	a := film("a.mp4")
	a.Probe.FPS, a.Parent = 29.97, 7
	a = addMedia(t, s, a)
	if d := cmp.Diff(a, must(s.Media(ctx, a.ID))(t)); d != "" || a.Version != 1 || time.Since(a.Created) > time.Hour {
		t.Errorf("%s\n%+v", d, a)
	}
	for _, want := range []string{"a (2).mp4", "a (3).mp4"} {
		if m := addMedia(t, s, film("a.mp4")); m.Name != want {
			t.Errorf("name %q, want %q", m.Name, want)
		}
	}
	long := addMedia(t, s, picture(strings.Repeat("ä", 98)+".jpg"))
	if m := addMedia(t, s, picture(long.Name)); m.Name != strings.Repeat("ä", 96)+" (2).jpg" {
		t.Errorf("a long name: %q", m.Name)
	}
	if m := addMedia(t, s, picture("no extension")); m.Name != "no extension" {
		t.Errorf("%q", m.Name)
	}
	for _, bad := range []string{"", ".htaccess", "../x.jpg", `a\b.jpg`, "a\nb", "x.", strings.Repeat("x", 201), "\xff.jpg"} {
		_, err := s.AddMedia(ctx, picture(bad))
		field(t, err, "name")
		field(t, s.RenameMedia(ctx, a.ID, bad), "name")
	}
	is(t, s.RenameMedia(ctx, a.ID, "a (2).mp4"), signage.ErrTaken)
	is(t, s.RenameMedia(ctx, 4711, "b.mp4"), signage.ErrNotFound)
	ok(t, s.RenameMedia(ctx, a.ID, "a.mp4"))
	ok(t, s.RenameMedia(ctx, a.ID, "b.mp4"))
	if m := must(s.Media(ctx, a.ID))(t); m.Name != "b.mp4" {
		t.Errorf("%+v", m)
	}
	if all := must(s.AllMedia(ctx))(t); len(all) != 6 {
		t.Errorf("%d media", len(all))
	}
	_, err := s.Media(ctx, 4711)
	is(t, err, signage.ErrNotFound)
}

// TestDeleteMedia: what stands in a playlist, also only in what is live, stays.
func TestDeleteMedia(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	m := addMedia(t, s, picture("a.jpg"))
	var lists []signage.Playlist
	for _, name := range []string{"Shop", "Door"} {
		p := must(s.CreatePlaylist(ctx, name))(t)
		must(s.AddItems(ctx, p.ID, 0, []signage.Item{mediaItem(m), mediaItem(m)}))(t)
		must(s.Publish(ctx, p.ID))(t)
		lists = append(lists, p)
	}
	inUse := func(want ...string) {
		t.Helper()
		var e *db.InUseError
		if err := s.DeleteMedia(ctx, m.ID); !errors.As(err, &e) || !cmp.Equal(e.Playlists, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	inUse("Door", "Shop")
	for _, i := range must(s.Items(ctx, lists[0].ID, signage.Draft))(t) {
		ok(t, s.RemoveItem(ctx, lists[0].ID, i.ID))
	}
	inUse("Door", "Shop")
	must(s.Publish(ctx, lists[0].ID))(t)
	inUse("Door")
	ok(t, s.DeletePlaylist(ctx, lists[1].ID))
	if used := must(s.HashesInUse(ctx))(t); !used[m.SHA256] || len(used) != 1 {
		t.Errorf("in use: %v", used)
	}
	ok(t, s.DeleteMedia(ctx, m.ID))
	is(t, s.DeleteMedia(ctx, m.ID), signage.ErrNotFound)
	if used := must(s.HashesInUse(ctx))(t); len(used) != 0 {
		t.Errorf("in use: %v", used)
	}
}
