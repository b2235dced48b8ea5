package playback

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/player/stage"
)

// show is an item that can be played: its first frame is there. But for run, the stage's goroutine and the planner call it
// with the Engine's mutex held, so nothing may block.
type show interface {
	// begin lets it begin at a time of the stage, or go on from there for another round.
	begin(at time.Duration)
	// next is what is new at a refresh, and how many frames were never shown as that one had overtaken them.
	next(r stage.Refresh) (c stage.Change, dropped int)
	// all is what is on the screen, as far as it can be given again: stills.
	all() stage.Change
	// end is when its time is over; false while that is not known. An error says why it cannot go on.
	end(r stage.Refresh) (end time.Duration, known bool, err error)
	// left is about how long it still takes; negative while that is not known.
	left(r stage.Refresh) time.Duration
	// seams are the times it began anew by itself since they were asked for last: how many refreshes each took too long.
	seams() []uint64
	// starved is for how long it should have had a frame and had none.
	starved() time.Duration
	// run does what takes time until ctx ends, and leaves nothing behind.
	run(ctx context.Context)
}

// phase is how far an act is.
type phase int

const (
	preparing phase = iota
	ready
	failed
)

// due is why an item plays.
type due struct {
	program.Now
}

// same reports whether another one plays the same items.
func (d due) same(o due) bool {
	if d.Interrupt != o.Interrupt || d.Text != o.Text || (d.Playlist == nil) != (o.Playlist == nil) {
		return false
	}
	a, b := d.Playlist, o.Playlist
	return a == b || a.ID == b.ID && a.Version == b.Version && a.Transition == b.Transition && sameItems(a.Items, b.Items)
}

func sameItems(a, b []program.Item) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameItem(a[i], b[i]) {
			return false
		}
	}
	return true
}

// sameItem compares what is shown: addresses of media change from time to time.
func sameItem(a, b program.Item) bool {
	if a.Kind != "stream" && a.SHA256 != "" {
		a.URL, b.URL = "", ""
	}
	return a == b
}

// act is an item on its way to the screen, or on it. All but the first lines is guarded by the Engine's mutex.
type act struct {
	item   program.Item
	due    due
	cancel context.CancelFunc
	began  time.Time

	place place
	phase phase
	show  show
	err   error
	// extends is the act on the screen if this one is the same once more, which goes on then.
	extends *act

	since              time.Time
	presented, dropped uint64
}

func (a *act) state() *ItemState {
	return &ItemState{
		ID: a.item.ID, Kind: a.item.Kind, Name: name(a.item), Since: a.since, Presented: a.presented, Dropped: a.dropped,
	}
}

// length is how long the item is shown; 0 means a video's own length.
func (a *act) length() time.Duration { return time.Duration(a.item.DurationMS) * time.Millisecond }

// name is what people call an item.
func name(i program.Item) string {
	switch {
	case i.FileName != "":
		return i.FileName
	case i.Kind == "camera":
		return i.Camera
	case i.Kind == "stream":
		return redacted(i.URL)
	case i.Description != "":
		return i.Description
	}
	const most = 60
	text := []rune(strings.Join(strings.Fields(i.Text), " "))
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

// redacted is an address without user, password and query.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "a stream"
	}
	return fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, u.Path)
}

// place is an item's in its playlist.
type place struct {
	playlist int64
	index    int
	item     int64
}

// following is the index of the item after p in a playlist; the first where p is of another.
func (p place) following(l *program.Playlist) int {
	if p.playlist != l.ID || len(l.Items) == 0 {
		return 0
	}
	if p.index < len(l.Items) && l.Items[p.index].ID == p.item {
		return (p.index + 1) % len(l.Items)
	}
	for i := range l.Items {
		if l.Items[i].ID == p.item {
			return (i + 1) % len(l.Items)
		}
	}
	return p.index % len(l.Items)
}
