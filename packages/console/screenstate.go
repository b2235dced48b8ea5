package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/program"
)

const (
	// quietAfter is how long a player may be silent before that is said, lostAfter before it is a problem. Players of all
	// kinds ask at least once a minute or so.
	quietAfter, lostAfter = 3 * time.Minute, 15 * time.Minute
	// knocksFor is how long it is shown that somebody was turned away.
	knocksFor = 24 * time.Hour
)

// screens is what the pages of screens are made of, at one time.
type screens struct {
	now time.Time
	// host is how who looks reached this device.
	host string
	// forAdmin says that who looks may change what is wrong.
	forAdmin  bool
	players   []signage.Player
	groups    []signage.Group
	playlists []signage.Playlist
	knocks    []knocker
	// away says why it is not known who fails at TLS, or is empty.
	away string
	own  playerStatus
	// ownErr says that player does not answer.
	ownErr error
	// ownShow says what the own screen is told to show, ownServer whom it follows; empty for this device.
	ownShow, ownServer string
}

// knocker is a device that was turned away.
type knocker struct {
	hostname, address string
	// tls says that it did not even get to ask; status is the answer that it got else.
	tls            bool
	status         int
	reason, advice string
	count          uint64
	last           time.Time
	// owner is the screen that it belongs to, 0 for none.
	owner int64
}

// of reports whether it belongs to a screen that was not let in since.
func (k knocker) of(p signage.Player) bool { return k.owner == p.ID && k.last.After(p.LastSeen) }

// knock is a knocker in words, and what to do.
type knock struct {
	Who, What, How, Do string
	Link, LinkText     string
	Download           bool
}

// readScreens gathers all of it, asking everybody at once.
func (c *console) readScreens(ctx context.Context, host string) (*screens, error) {
	s := &screens{now: time.Now(), host: host}
	var proxy proxyStatus
	var proxyErr error
	var wg sync.WaitGroup
	wg.Go(func() { proxy, proxyErr = c.backends.cameras.answer(ctx) })
	wg.Go(func() { s.own, s.ownErr = c.backends.screen.answer(ctx) })
	wg.Wait()
	if proxyErr != nil {
		s.away = "proxy does not answer, so it is not known which players fail at TLS. It may be restarting; this page keeps asking."
	}
	var err error
	if s.players, err = c.signage.Players(ctx); err != nil {
		return nil, err
	}
	if s.groups, err = c.signage.Groups(ctx); err != nil {
		return nil, err
	}
	if s.playlists, err = c.signage.Playlists(ctx); err != nil {
		return nil, err
	}
	if s.ownShow, s.ownServer, err = c.ownShows(ctx); err != nil {
		return nil, err
	}
	c.present(s.players)
	s.knocks = c.turnedAway(proxy.Handshakes, s.now)
	for i, k := range s.knocks {
		s.knocks[i].owner = s.ownerOf(k)
	}
	return s, nil
}

// ownShows says what the own screen is told to show, and whose program that is; empty for this device's.
func (c *console) ownShows(ctx context.Context) (show, server string, err error) {
	own, err := playerSettings(ctx, c.store.r)
	if err != nil {
		return "", "", err
	}
	cameras, err := c.cameras(ctx, c.store.r)
	if err != nil {
		return "", "", err
	}
	for _, o := range screenChoices(own, cameras) {
		if o.Chosen {
			show = o.Text
		}
	}
	return show, own.Server, nil
}

func (s *screens) player(id int64) (signage.Player, bool) {
	i := slices.IndexFunc(s.players, func(p signage.Player) bool { return p.ID == id })
	if i < 0 {
		return signage.Player{}, false
	}
	return s.players[i], true
}

func (s *screens) playlist(id int64) (signage.Playlist, bool) {
	i := slices.IndexFunc(s.playlists, func(p signage.Playlist) bool { return p.ID == id })
	if i < 0 {
		return signage.Playlist{}, false
	}
	return s.playlists[i], true
}

func (s *screens) group(id int64) string {
	for _, g := range s.groups {
		if g.ID == id {
			return g.Name
		}
	}
	return ""
}

// ago says how long ago something was.
func (s *screens) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := s.now.Sub(t)
	if d < 10*time.Second {
		return "just now"
	}
	return durationText(d) + " ago"
}

// state says in words how a screen is.
func (s *screens) state(p signage.Player) state {
	switch {
	case p.Own && s.ownErr != nil:
		return state{"player does not answer", toneBusy}
	case p.Own && s.own.Display.Kind != "offscreen" && !s.own.Display.Connected:
		return state{"no display is plugged in", toneBusy}
	case p.Own:
		return state{"on", toneGood}
	case !p.Enabled:
		return state{"switched off", toneMuted}
	case p.LastSeen.IsZero():
		return state{"never seen", toneMuted}
	}
	quiet := s.now.Sub(p.LastSeen)
	switch {
	case quiet >= lostAfter:
		return state{"silent for " + durationText(quiet), toneBad}
	case quiet >= quietAfter:
		return state{"silent for " + durationText(quiet), toneBusy}
	case p.Status == "error":
		return state{"error", toneBad}
	case p.Status == "playing":
		return state{"playing", toneGood}
	case p.Status != "":
		return state{printable(p.Status), toneBusy}
	}
	return state{"connected", toneGood}
}

// troubled reports whether somebody should look after a screen.
func (s *screens) troubled(p signage.Player) bool {
	t := s.state(p).Tone
	return t == toneBad || t == toneBusy || slices.ContainsFunc(s.knocks, func(k knocker) bool { return k.of(p) })
}

// says is what the screen shows, or what it says is wrong.
func (s *screens) says(p signage.Player) string {
	switch {
	case p.Own:
		return s.ownSays()
	case p.Status == "error" && p.Message != "":
		return "It says: " + printable(p.Message)
	case p.Item != "" && s.state(p).Tone == toneGood:
		return "Shows " + printable(p.Item)
	case p.Message != "" && s.state(p).Tone == toneGood:
		return printable(p.Message)
	}
	return ""
}

// ownSays is what the own screen shows.
func (s *screens) ownSays() string {
	switch item := s.own.Playback.Item; {
	case s.ownErr != nil:
		return ""
	case s.own.Playback.Playing && item != nil:
		return "Shows " + printable(itemWords(*item))
	case s.ownShow == programWords:
		return "" // what that says now stands below
	}
	return "Shows: " + s.ownShow
}

// showing is what a screen is to show now, and why.
type showing struct {
	What, Why string
	// playlist is what plays, nil for none.
	playlist *program.Playlist
}

// showing resolves the program of a screen.
func (s *screens) showing(p signage.Player, prog program.Program) showing {
	if p.Own && s.ownServer != "" {
		return showing{What: "Follows " + s.ownServer + ", not this device."}
	}
	r := program.Resolve(prog, s.now)
	v := showing{playlist: r.Playlist}
	until := ""
	if !r.Until.IsZero() {
		zone, _ := program.Zone(prog.Timezone)
		at := r.Until.In(zone)
		until = " until " + at.Format("15:04")
		if at.YearDay() != s.now.In(zone).YearDay() || at.Year() != s.now.In(zone).Year() {
			until = " until " + at.Format("Monday, 2 January, 15:04")
		}
	}
	switch {
	case r.Text != "":
		v.What = "Is to show the text “" + r.Text + "”."
	case r.Playlist != nil:
		v.What = fmt.Sprintf("Is to show %s, version %d.", r.Playlist.Name, r.Playlist.Version)
	case prog.Base != 0:
		v.What = "Has nothing to show: " + s.nameOf(prog.Base) + " is empty, or was never published."
	default:
		v.What = "Has nothing to show: give it a playlist, or its group."
	}
	switch {
	case r.Interrupt != 0:
		v.Why = "An interruption goes before everything else" + until + "."
	case r.Rule != 0:
		v.Why = "The schedule says so: " + nameOfRule(prog, r.Rule) + until + "."
	case prog.Base == 0:
	case p.Playlist == prog.Base:
		v.Why = "It is the screen’s own playlist" + until + "."
	case p.Group != 0 && s.playlistOf(p.Group) == prog.Base:
		v.Why = "It is the playlist of the group " + s.group(p.Group) + until + "."
	default:
		v.Why = "It is the default playlist" + until + "."
	}
	return v
}

func nameOfRule(prog program.Program, id int64) string {
	for _, r := range prog.Rules {
		if r.ID == id {
			return r.Name
		}
	}
	return "a rule"
}

func (s *screens) nameOf(playlist int64) string {
	if p, ok := s.playlist(playlist); ok {
		return p.Name
	}
	return "its playlist"
}

func (s *screens) playlistOf(group int64) int64 {
	for _, g := range s.groups {
		if g.ID == group {
			return g.Playlist
		}
	}
	return 0
}

// version says whether a screen has what it is to show.
func (s *screens) version(p signage.Player, v showing) string {
	if v.playlist == nil || p.Own || p.LastSeen.IsZero() {
		return ""
	}
	want := v.playlist.Version
	switch p.PlayingVersion {
	case want:
		return "It has this version."
	case 0:
		return fmt.Sprintf("Gets version %d when it asks.", want)
	}
	return fmt.Sprintf("Has version %d; gets version %d at its next poll.", p.PlayingVersion, want)
}

// knocksOf returns in words how a screen was turned away since it was last let in.
func (s *screens) knocksOf(p signage.Player) []knock {
	var list []knock
	for _, k := range s.knocks {
		if k.of(p) {
			list = append(list, s.words(k, p.ID))
		}
	}
	return list
}

// strangers are those turned away that belong to no screen.
func (s *screens) strangers() []knock {
	var list []knock
	for _, k := range s.knocks {
		if k.owner == 0 {
			list = append(list, s.words(k, 0))
		}
	}
	return list
}

// ownerOf returns the screen that was turned away, by what it calls itself or where it came from when it was let in; 0 for
// none.
func (s *screens) ownerOf(k knocker) int64 {
	for _, p := range s.players {
		if k.hostname != "" && strings.EqualFold(p.Hostname, k.hostname) {
			return p.ID
		}
	}
	if k.hostname != "" {
		return 0
	}
	at, err := netip.ParseAddr(k.address)
	var owner int64
	for _, p := range s.players {
		if a, e := netip.ParseAddr(p.Address); err == nil && e == nil && !p.Own && a.Unmap() == at.Unmap() {
			if owner != 0 {
				return 0 // several share the address, so it may be any of them
			}
			owner = p.ID
		}
	}
	return owner
}

// recentKnocks sorts knockers, the last one first, and leaves out what is over.
func recentKnocks(list []knocker, now time.Time) []knocker {
	list = slices.DeleteFunc(list, func(k knocker) bool { return now.Sub(k.last) > knocksFor })
	slices.SortStableFunc(list, func(a, b knocker) int {
		return cmp.Or(b.last.Compare(a.last), cmp.Compare(a.address, b.address), cmp.Compare(a.hostname, b.hostname))
	})
	return list
}

// count says how many of the screens are well.
func (s *screens) count() (total, troubled, online int) {
	for _, p := range s.players {
		total++
		if s.state(p).Tone == toneGood {
			online++
		}
		if s.troubled(p) {
			troubled++
		}
	}
	return total, troubled, online
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
