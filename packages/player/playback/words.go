package playback

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"porthole/media/decode"
	"porthole/packages/internal/program"
	"porthole/packages/player/picture"
)

const (
	// maxSkipped bounds State.Skipped.
	maxSkipped = 20
	// complainEvery bounds how often the server hears the same of an item, and maxComplaints of how many items that is remembered.
	complainEvery, maxComplaints = time.Hour, 1000
)

var errDecoder = errors.New("the decoder cannot be started; player's log says why")

var errLate = errors.New("it was not ready in time")

// complaint is what was last said of an item.
type complaint struct {
	reason string
	at     time.Time
}

// skip notes an item that cannot be played. The caller holds e.mu.
func (e *Engine) skip(i program.Item, err error) {
	now := e.cfg.Now()
	s := Skipped{Item: i.ID, Name: name(i), Reason: words(err), Time: now}
	list := []Skipped{s}
	for _, o := range e.skipped {
		if (o.Item != s.Item || o.Reason != s.Reason) && len(list) < maxSkipped {
			list = append(list, o)
		}
	}
	e.skipped = list
	said := e.reported[i.ID]
	if said.reason == s.Reason && time.Since(said.at) < complainEvery {
		return
	}
	if len(e.reported) >= maxComplaints {
		clear(e.reported)
	}
	e.reported[i.ID] = complaint{s.Reason, time.Now()}
	e.cfg.Log.Warn("item is passed over", "item", i.ID, "name", s.Name, "err", err)
	ev := Event{Status: "error", Message: fmt.Sprintf("%s cannot be shown: %s.", s.Name, s.Reason), Item: i.ID, Time: now}
	if l := e.now.Playlist; l != nil {
		ev.Version = l.Version
	}
	e.say(ev)
}

// maxUnsaid bounds the events that were not handed on yet.
const maxUnsaid = 1000

// say keeps an event for tell. The caller holds e.mu.
func (e *Engine) say(ev Event) {
	if len(e.unsaid) < maxUnsaid {
		e.unsaid = append(e.unsaid, ev)
	}
}

// tell hands on what was said, without e.mu: whoever takes it may be slow.
func (e *Engine) tell() {
	e.mu.Lock()
	events := e.unsaid
	e.unsaid = nil
	e.mu.Unlock()
	for _, ev := range events {
		e.cfg.Report(ev)
	}
}

// words says err to the owner of the screen.
func words(err error) string {
	var video *decode.Error
	var l *errLive
	switch {
	case errors.As(err, &l), errors.Is(err, errKind), errors.Is(err, errLate):
		return err.Error()
	case errors.Is(err, fs.ErrNotExist):
		return "its file is not here"
	case errors.Is(err, errDecoder):
		return errDecoder.Error()
	}
	for _, known := range []error{picture.ErrMissing, picture.ErrLarge, picture.ErrFormat} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if errors.As(err, &video) {
		return video.Kind.Error()
	}
	for _, known := range []error{decode.ErrHung, decode.ErrUnsupported} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "it cannot be read; player's log says why"
}
