package db_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/internal/program"
)

// published returns a playlist that shows one text, its name.
func published(t testing.TB, s *db.Store, name string) signage.Playlist {
	t.Helper()
	p := must(s.CreatePlaylist(t.Context(), name))(t)
	must(s.AddItems(t.Context(), p.ID, 0, []signage.Item{text(name)}))(t)
	return must(s.Publish(t.Context(), p.ID))(t)
}

func always(list int64, target signage.Target) signage.Rule {
	return signage.Rule{Playlist: list, Target: target, ToMinute: 1440, Weekdays: 127, Priority: 5, Enabled: true}
}

var noon = time.Date(2027, 6, 7, 12, 0, 0, 0, time.UTC)

func TestProgram(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	base, group, own, urgent := published(t, s, "base"), published(t, s, "group"), published(t, s, "own"), published(t, s, "urgent")
	other := published(t, s, "other")
	m := addMedia(t, s, film("a.mp4"))
	must(s.AddItems(ctx, base.ID, 1, []signage.Item{{Kind: signage.ItemMedia, MediaID: m.ID, Fit: "fill", Description: "d"}}))(t)
	must(s.Publish(ctx, base.ID))(t)
	must(s.AddItems(ctx, base.ID, 1, []signage.Item{text("only in the draft")}))(t)
	ok(t, s.SetDefaultPlaylist(ctx, base.ID))
	ok(t, s.SetTimezone(ctx, "Europe/Bucharest"))
	g := must(s.CreateGroup(ctx, signage.Group{Name: "g"}))(t)
	g2 := must(s.CreateGroup(ctx, signage.Group{Name: "g2", Playlist: other.ID}))(t)
	p := must(s.CreatePlayer(ctx, signage.Player{Hostname: "tv", Group: g.ID, Orientation: "portrait", Enabled: true}))(t)
	r1 := must(s.CreateRule(ctx, always(own.ID, signage.Target{Player: p.ID})))(t)
	r2 := must(s.CreateRule(ctx, always(group.ID, signage.Target{Group: g.ID})))(t)
	must(s.CreateRule(ctx, always(other.ID, signage.Target{Group: g2.ID})))(t)
	off := always(other.ID, signage.Target{})
	off.Enabled = false
	must(s.CreateRule(ctx, off))(t)
	i := must(s.CreateInterrupt(ctx, signage.Interrupt{Playlist: urgent.ID, Begins: noon, Ends: noon.Add(time.Minute)}))(t)
	must(s.CreateInterrupt(ctx, signage.Interrupt{Text: "x", Target: signage.Target{Group: g2.ID}, Begins: noon, Ends: noon.Add(time.Minute)}))(t)

	got := must(s.Program(ctx, p.ID, noon))(t)
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	items := must(s.Items(ctx, base.ID, signage.Live))(t)
	playlist := func(p signage.Playlist) program.Playlist {
		live := must(s.Items(ctx, p.ID, signage.Live))(t)
		return program.Playlist{ID: p.ID, Name: p.Name, Version: 1, Transition: "cut", Items: []program.Item{
			{ID: live[0].ID, Kind: "text", Text: p.Name, DurationMS: 10000, Fit: "fit"},
		}}
	}
	want := program.Program{
		Revision: s.Revision(), Time: noon, Timezone: "Europe/Bucharest", PlayerID: p.ID, PlayerName: "tv", Orientation: "portrait", Base: base.ID,
		Playlists: []program.Playlist{
			{ID: base.ID, Name: "base", Version: 2, Transition: "cut", Items: []program.Item{
				{ID: items[0].ID, Kind: "video", FileName: "a.mp4", MIME: "video/mp4", SHA256: m.SHA256, SizeBytes: 1000,
					MediaID: m.ID, LengthMS: 90000, Fit: "fill", Description: "d"},
				{ID: items[1].ID, Kind: "text", Text: "base", DurationMS: 10000, Fit: "fit"},
			}},
			playlist(group), playlist(own), playlist(urgent),
		},
		Rules: []program.Rule{
			{ID: r1.ID, Playlist: own.ID, ToMinute: 1440, Weekdays: 127, Priority: 5, Special: 2},
			{ID: r2.ID, Playlist: group.ID, ToMinute: 1440, Weekdays: 127, Priority: 5, Special: 1},
		},
		Interrupts: []program.Interrupt{{ID: i.ID, Playlist: urgent.ID, Begins: noon, Ends: noon.Add(time.Minute)}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// The caller may write addresses into it.
	got.Playlists[0].Items[0].URL = "spoiled"
	if d := cmp.Diff(want, must(s.Program(ctx, p.ID, noon))(t)); d != "" {
		t.Error(d)
	}
	if late := must(s.Program(ctx, p.ID, noon.Add(time.Minute)))(t); len(late.Interrupts) != 0 || len(late.Playlists) != 3 {
		t.Errorf("after the interruption: %+v", late)
	}
	if x := must(s.Preview(ctx, signage.Player{Group: g2.ID}, noon))(t); x.Base != other.ID || len(x.Rules) != 1 || len(x.Interrupts) != 2 {
		t.Errorf("of a group: %+v", x)
	}
	_, err := s.Program(ctx, 4711, noon)
	is(t, err, signage.ErrNotFound)
}

// TestPlaying: an answer that is kept is still right when its time is over, when the clock is set back, and when
// somebody changes something.
func TestPlaying(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	base, urgent := published(t, s, "base"), published(t, s, "urgent")
	p := newPlayer(t, s, "tv")
	show := func(when time.Time, want string) {
		t.Helper()
		n, err := s.Playing(ctx, p.ID, when)
		if err != nil || n.Revision != s.Revision() || n.Orientation != "landscape" {
			t.Fatalf("%+v, %v", n, err)
		}
		got := n.Text
		if n.Playlist != nil {
			got = n.Playlist.Name
		}
		if got != want {
			t.Errorf("at %s %q, want %q", when, got, want)
		}
	}
	show(noon, "")
	p.Playlist = base.ID
	ok(t, s.UpdatePlayer(ctx, p))
	show(noon, "base")
	i := must(s.CreateInterrupt(ctx, signage.Interrupt{Playlist: urgent.ID, Begins: noon.Add(time.Minute), Ends: noon.Add(time.Hour)}))(t)
	show(noon, "base")
	show(noon.Add(time.Minute), "urgent")
	show(noon.Add(2*time.Minute), "urgent")
	show(noon, "base")
	ok(t, s.EndInterrupt(ctx, i.ID, noon.Add(3*time.Minute)))
	is(t, s.EndInterrupt(ctx, i.ID, noon.Add(4*time.Minute)), signage.ErrNotFound)
	show(noon.Add(3*time.Minute), "base")
	must(s.CreateRule(ctx, always(urgent.ID, signage.Target{Player: p.ID})))(t)
	show(noon.Add(3*time.Minute), "urgent")
	ok(t, s.DeletePlaylist(ctx, urgent.ID))
	show(noon.Add(3*time.Minute), "base")
	_, err := s.Playing(ctx, 4711, noon)
	is(t, err, signage.ErrNotFound)
}

// TestProgramOfEveryKindOfChange: what is taken over from the revision before is never out of date.
func TestProgramOfEveryKindOfChange(t *testing.T) {
	s, f := newStore(t)
	ctx := t.Context()
	m, other := addMedia(t, s, picture("a.jpg")), addMedia(t, s, picture("b.jpg"))
	one, two := published(t, s, "one"), published(t, s, "two")
	must(s.AddItems(ctx, one.ID, 0, []signage.Item{mediaItem(m)}))(t)
	must(s.Publish(ctx, one.ID))(t)
	p := newPlayer(t, s, "tv")
	p.Playlist = one.ID
	ok(t, s.UpdatePlayer(ctx, p))
	must(s.CreateRule(ctx, always(two.ID, signage.Target{})))(t)
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"rename a medium", func() { ok(t, s.RenameMedia(ctx, m.ID, "renamed.jpg")) }},
		{"rename a playlist", func() {
			ok(t, s.UpdatePlaylist(ctx, signage.Playlist{ID: one.ID, Name: "uno", Transition: "crossfade"}))
		}},
		{"edit and publish", func() {
			must(s.AddItems(ctx, two.ID, 0, []signage.Item{mediaItem(other)}))(t)
			must(s.Publish(ctx, two.ID))(t)
		}},
		{"replace a medium", func() { must(s.ReplaceMedia(ctx, p.ID, m.ID, other.ID))(t) }},
		{"a player's setting", func() { p.Orientation = "portrait"; ok(t, s.UpdatePlayer(ctx, p)) }},
	} {
		before := must(s.Program(ctx, p.ID, noon))(t)
		c.change()
		after := must(s.Program(ctx, p.ID, noon))(t)
		if d := cmp.Diff(must(db.New(f).Program(ctx, p.ID, noon))(t), after); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		after.Revision = before.Revision
		if cmp.Equal(before, after) {
			t.Errorf("%s: no change", c.name)
		}
	}
}

func TestReplaceMedia(t *testing.T) {
	s, _ := newStore(t)
	ctx := t.Context()
	old, edited := addMedia(t, s, picture("a.jpg")), addMedia(t, s, picture("b.jpg"))
	var lists []signage.Playlist
	for _, name := range []string{"base", "mine", "not mine"} {
		l := must(s.CreatePlaylist(ctx, name))(t)
		must(s.AddItems(ctx, l.ID, 0, []signage.Item{mediaItem(old), text("x"), mediaItem(old)}))(t)
		lists = append(lists, must(s.Publish(ctx, l.ID))(t))
	}
	p := newPlayer(t, s, "tv")
	p.Playlist = lists[0].ID
	ok(t, s.UpdatePlayer(ctx, p))
	must(s.CreateRule(ctx, always(lists[1].ID, signage.Target{Player: p.ID})))(t)
	if l := must(s.ReplaceMedia(ctx, p.ID, old.ID, edited.ID))(t); l.ID != lists[0].ID || l.Version != 2 || l.Changed {
		t.Errorf("%+v", l)
	}
	for n, l := range lists {
		for _, stage := range []signage.Stage{signage.Draft, signage.Live} {
			items := must(s.Items(ctx, l.ID, stage))(t)
			want := edited.ID
			if n == 2 {
				want = old.ID
			}
			if items[0].MediaID != want || items[2].MediaID != want || items[1].MediaID != 0 {
				t.Errorf("%s of %s: %+v", stage, l.Name, items)
			}
		}
	}
	_, err := s.ReplaceMedia(ctx, p.ID, old.ID, edited.ID)
	is(t, err, signage.ErrNotFound)
	_, err = s.ReplaceMedia(ctx, p.ID, edited.ID, 4711)
	is(t, err, signage.ErrNotFound)
	if l := must(s.Playlist(ctx, lists[0].ID))(t); l.Version != 2 {
		t.Errorf("after what was refused: %+v", l)
	}
}

func TestWaitOther(t *testing.T) {
	s, _ := newStore(t)
	list := published(t, s, "base")
	ctx, cancel := context.WithCancel(t.Context())
	revision := s.Revision()
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if !s.WaitOther(ctx, revision) {
				t.Error("not woken")
			}
		})
	}
	must(s.Publish(ctx, list.ID))(t)
	wg.Wait()
	if !s.WaitOther(ctx, 99999) {
		t.Error("a revision from the future is not waited for")
	}
	cancel()
	if s.WaitOther(ctx, s.Revision()) {
		t.Error("news after the end")
	}
}

// TestDurable: another process finds everything, and the revision goes on.
func TestDurable(t *testing.T) {
	s, f := newStore(t)
	ctx := t.Context()
	list := published(t, s, "base")
	p := newPlayer(t, s, "tv")
	p.Playlist = list.ID
	ok(t, s.UpdatePlayer(ctx, p))
	before := must(s.Program(ctx, p.ID, noon))(t)
	var path string
	if err := f.r.QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		t.Fatal(err)
	}
	f.close()
	again := db.New(open(t, path))
	if d := cmp.Diff(before, must(again.Program(ctx, p.ID, noon))(t)); d != "" {
		t.Error(d)
	}
	must(again.Publish(ctx, list.ID))(t)
	if again.Revision() != before.Revision+1 {
		t.Errorf("revision %d after %d", again.Revision(), before.Revision)
	}
}

// benchStore has players, each in one of 10 groups, playlists with media, and rules.
func benchStore(b *testing.B, players int) (*db.Store, []int64) {
	s, _ := newStore(b)
	ctx := b.Context()
	var media []signage.Item
	for n := range 50 {
		media = append(media, mediaItem(addMedia(b, s, picture(fmt.Sprintf("%d.jpg", n)))))
	}
	var lists []int64
	for n := range 20 {
		l := must(s.CreatePlaylist(ctx, fmt.Sprint("list ", n)))(b)
		must(s.AddItems(ctx, l.ID, 0, media))(b)
		must(s.Publish(ctx, l.ID))(b)
		lists = append(lists, l.ID)
	}
	var groups []int64
	for n := range 10 {
		groups = append(groups, must(s.CreateGroup(ctx, signage.Group{Name: fmt.Sprint("g", n), Playlist: lists[n]}))(b).ID)
		must(s.CreateRule(ctx, always(lists[n+10], signage.Target{Group: groups[n]})))(b)
	}
	var ids []int64
	for n := range players {
		ids = append(ids, must(s.CreatePlayer(ctx, signage.Player{Hostname: fmt.Sprint("tv-", n), Group: groups[n%10], Enabled: true}))(b).ID)
	}
	return s, ids
}

func BenchmarkPlaying(b *testing.B) {
	s, ids := benchStore(b, 1000)
	n := 0
	for b.Loop() {
		must(s.Playing(b.Context(), ids[n%len(ids)], noon))(b)
		n++
	}
}

func BenchmarkProgram(b *testing.B) {
	s, ids := benchStore(b, 1000)
	n := 0
	for b.Loop() {
		must(s.Program(b.Context(), ids[n%len(ids)], noon))(b)
		n++
	}
}

// BenchmarkChange is an edit and the first question after it.
func BenchmarkChange(b *testing.B) {
	s, ids := benchStore(b, 1000)
	for b.Loop() {
		ok(b, s.SetTimezone(b.Context(), "Europe/Bucharest"))
		must(s.Playing(b.Context(), ids[0], noon))(b)
	}
}

func BenchmarkPlayerByAuthCode(b *testing.B) {
	s, ids := benchStore(b, 1000)
	for n, id := range ids {
		ok(b, s.AddAuthCode(b.Context(), id, [32]byte{byte(n), byte(n >> 8)}, time.Now().Add(time.Hour)))
	}
	n := 0
	for b.Loop() {
		must(s.PlayerByAuthCode(b.Context(), [32]byte{byte(n % 1000), byte(n % 1000 >> 8)}, time.Now()))(b)
		n++
	}
}
