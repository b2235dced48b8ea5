package db_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/signage"
)

func TestRules(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	list := published(t, s, "base")
	g := must(s.CreateGroup(ctx, signage.Group{Name: "g"}))(t)
	p := newPlayer(t, s, "tv")
	r := must(s.CreateRule(ctx, signage.Rule{
		Name: " Morning ", Playlist: list.ID, Target: signage.Target{Group: g.ID}, FromDate: "2027-02-01", ToDate: "2027-02-01",
		FromMinute: 1439, ToMinute: 1, Weekdays: 127, Priority: 9, Enabled: true,
	}))(t)
	if got := must(s.Rule(ctx, r.ID))(t); !cmp.Equal(got, r) || got.Name != "Morning" {
		t.Error(cmp.Diff(r, got))
	}
	for want, spoil := range map[string]func(*signage.Rule){
		"playlist":    func(r *signage.Rule) { r.Playlist = 0 },
		"from_date":   func(r *signage.Rule) { r.FromDate = "2027-2-1" },
		"to_date":     func(r *signage.Rule) { r.ToDate = "2027-01-31" },
		"from_minute": func(r *signage.Rule) { r.FromMinute = 1440 },
		"to_minute":   func(r *signage.Rule) { r.ToMinute = 0 },
		"weekdays":    func(r *signage.Rule) { r.Weekdays = 0 },
		"priority":    func(r *signage.Rule) { r.Priority = 0 },
		"target":      func(r *signage.Rule) { r.Target.Player = p.ID },
		"name":        func(r *signage.Rule) { r.Name = "a\nb" },
	} {
		bad := r
		spoil(&bad)
		_, err := s.CreateRule(ctx, bad)
		field(t, err, want)
		field(t, s.UpdateRule(ctx, bad), want)
	}
	for want, spoil := range map[string]func(*signage.Rule){
		"playlist": func(r *signage.Rule) { r.Playlist = 99 },
		"target":   func(r *signage.Rule) { r.Target = signage.Target{Player: 99} },
		"to_date":  func(r *signage.Rule) { r.ToDate = "0000-12-31" },
	} {
		bad := r
		spoil(&bad)
		_, err := s.CreateRule(ctx, bad)
		field(t, err, want)
	}
	r.Target, r.Enabled = signage.Target{Player: p.ID}, false
	ok(t, s.UpdateRule(ctx, r))
	if d := cmp.Diff([]signage.Rule{r}, must(s.Rules(ctx))(t)); d != "" {
		t.Error(d)
	}
	ok(t, s.DeletePlayer(ctx, p.ID))
	is(t, s.UpdateRule(ctx, signage.Rule{ID: r.ID, Playlist: list.ID, ToMinute: 1, Weekdays: 1, Priority: 1}), signage.ErrNotFound)
	is(t, s.DeleteRule(ctx, r.ID), signage.ErrNotFound)
	if all := must(s.Rules(ctx))(t); len(all) != 0 {
		t.Errorf("rules of a deleted player: %+v", all)
	}
}

func TestInterrupts(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	list := published(t, s, "base")
	for want, bad := range map[string]signage.Interrupt{
		"playlist": {Begins: noon, Ends: noon.Add(time.Minute)},
		"ends":     {Text: "x", Begins: noon, Ends: noon},
		"target":   {Text: "x", Target: signage.Target{Group: 99}, Begins: noon, Ends: noon.Add(time.Minute)},
		"text":     {Text: "a\x00b", Begins: noon, Ends: noon.Add(time.Minute)},
	} {
		_, err := s.CreateInterrupt(ctx, bad)
		field(t, err, want)
	}
	_, err := s.CreateInterrupt(ctx, signage.Interrupt{Text: "x", Playlist: list.ID, Begins: noon, Ends: noon.Add(time.Minute)})
	field(t, err, "playlist")
	_, err = s.CreateInterrupt(ctx, signage.Interrupt{Text: "x", Begins: noon, Ends: noon.AddDate(0, 2, 0)})
	field(t, err, "ends")
	a := must(s.CreateInterrupt(ctx, signage.Interrupt{Text: "fire\nrun", Begins: noon, Ends: noon.Add(time.Hour), By: "admin"}))(t)
	b := must(s.CreateInterrupt(ctx, signage.Interrupt{Playlist: list.ID, Begins: noon.Add(time.Hour), Ends: noon.Add(2 * time.Hour)}))(t)
	if d := cmp.Diff([]signage.Interrupt{b, a}, must(s.Interrupts(ctx, noon))(t)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]signage.Interrupt{b}, must(s.Interrupts(ctx, noon.Add(time.Hour)))(t)); d != "" {
		t.Error(d)
	}
	ok(t, s.EndInterrupt(ctx, b.ID, noon)) // before it begins
	if d := cmp.Diff([]signage.Interrupt{a}, must(s.Interrupts(ctx, noon.Add(-time.Hour)))(t)); d != "" {
		t.Error(d)
	}
	ok(t, s.DeletePlaylist(ctx, list.ID))
}

func TestSettings(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	if zone := must(s.Timezone(ctx))(t); zone != "UTC" {
		t.Errorf("zone %q", zone)
	}
	for _, bad := range []string{"", "Local", "Mars/Olympus"} {
		field(t, s.SetTimezone(ctx, bad), "timezone")
	}
	ok(t, s.SetTimezone(ctx, "America/New_York"))
	if zone := must(s.Timezone(ctx))(t); zone != "America/New_York" {
		t.Errorf("zone %q", zone)
	}
	list := published(t, s, "base")
	field(t, s.SetDefaultPlaylist(ctx, 99), "default_playlist")
	ok(t, s.SetDefaultPlaylist(ctx, list.ID))
	if id := must(s.DefaultPlaylist(ctx))(t); id != list.ID {
		t.Errorf("default %d", id)
	}
	ok(t, s.DeletePlaylist(ctx, list.ID))
	if id := must(s.DefaultPlaylist(ctx))(t); id != 0 {
		t.Errorf("default %d is deleted", id)
	}
	ok(t, s.SetOrigins(ctx, []string{" https://Example.org/ ", "", "http://192.168.1.9:8080", "https://example.org"}))
	if d := cmp.Diff([]string{"https://example.org", "http://192.168.1.9:8080"}, must(s.Origins(ctx))(t)); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"*", "null", "example.org", "https://example.org/x", "https://a@b", "https://", "file:///x"} {
		field(t, s.SetOrigins(ctx, []string{bad}), "cors_origins")
	}
	ok(t, s.SetOrigins(ctx, nil))
	if o := must(s.Origins(ctx))(t); len(o) != 0 {
		t.Errorf("%q", o)
	}
}
