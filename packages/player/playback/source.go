package playback

import (
	"fmt"
	"slices"
	"time"

	"porthole/packages/player/stage"
)

// fadeLength is how long a crossfade takes, or half of what is shown then.
const fadeLength = 500 * time.Millisecond

// full is the share of a crossfade that is over.
const full = 256

// Next implements stage.Source.
func (e *Engine) Next(r stage.Refresh) stage.Change {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen.asked, e.seen.refresh, e.seen.wall = time.Now(), r, e.cfg.Now()
	if e.over(r) {
		if n := e.pick(); n != nil {
			e.enter(n, r)
			e.poke()
		}
	}
	c := e.frame(r)
	if e.change.unshown > 0 && e.seen.waiting.IsZero() {
		e.seen.waiting = e.seen.asked
	}
	if s, ok := e.still(); ok {
		c.Rest = s.rest(r)
	}
	return c
}

// still is the picture on the screen, if nothing else is going on.
func (e *Engine) still() (s *still, ok bool) {
	if c := e.change; e.cur == nil || c.ended || c.begin || c.pending || c.fading || c.unshown > 0 || e.cut {
		return nil, false
	}
	s, ok = e.cur.show.(*still)
	return s, ok
}

// over reports whether the next item's time has come.
func (e *Engine) over(r stage.Refresh) bool {
	c := &e.change
	switch {
	case c.ended:
	case e.cur == nil || e.cutting():
		c.ended, c.over, c.at = true, r, r.Time
	default:
		end, known, err := e.cur.show.end(r)
		if err != nil {
			e.cur.err = err
			e.skip(e.cur.item, err)
			end, known = min(end, r.Time), true
		}
		late := r.Time - end
		if !known || late < -r.Interval/2 {
			return false
		}
		c.ended, c.over, c.at = true, r, end
		// The stage may have had no time to ask at the right refresh.
		if missed := (late + r.Interval/2) / r.Interval; missed > 0 && err == nil {
			c.over.Time -= missed * r.Interval
		}
		e.poke()
	}
	return true
}

// cutting says that the item on the screen has to go before its time is over.
func (e *Engine) cutting() bool {
	if e.cut {
		return true
	}
	if !e.urgent() {
		return false
	}
	for _, a := range e.queue {
		if a.phase == ready && a.due.Interrupt == e.now.Interrupt && a.due.Text == e.now.Text {
			return true
		}
	}
	return false
}

// urgent says that an interruption has begun or ended, which does not wait for the end of an item.
func (e *Engine) urgent() bool {
	return e.cur.due.Interrupt != e.now.Interrupt || e.cur.due.Text != e.now.Text
}

// pick takes the first candidate that is ready from the queue. Those before it stay there: slow is not bad.
func (e *Engine) pick() *act {
	for i, a := range e.queue {
		if a.phase == ready && (a.extends == nil || a.extends == e.cur && e.cur.err == nil) {
			e.queue = slices.Delete(e.queue, i, i+1)
			return a
		}
	}
	return nil
}

// enter puts an item on the screen.
func (e *Engine) enter(n *act, r stage.Refresh) {
	old := e.cur
	start := r.Time
	if d := r.Time - e.change.at; old != nil && d > -r.Interval && d < r.Interval {
		start = e.change.at // so that nothing adds up
	}
	e.failed, e.cut = 0, false
	if n.extends != nil {
		n.extends.show.begin(start)
		old.item, old.due, old.place = n.item, n.due, n.place
		e.change.ended = false
		if e.change.unshown == 0 && !e.change.pending {
			e.announce(old)
		}
		return
	}
	if old != nil && n.due.Interrupt != 0 && old.due.Interrupt == 0 {
		e.resume = old.place
	}
	n.show.begin(start)
	e.cur = n
	last := e.change
	e.change = change{over: last.over, pending: true, begin: true, counts: old != nil, unshown: last.unshown}
	if l := n.due.Playlist; old != nil && l != nil && l.Transition == "crossfade" && n.due.Interrupt == old.due.Interrupt {
		e.change.fading, e.change.fade, e.change.length = true, r.Time, fadeLength
		if n.length() > 0 {
			e.change.length = min(fadeLength, n.length()/2)
		}
	}
	if old != nil {
		old.cancel()
	}
	e.queue = slices.DeleteFunc(e.queue, func(a *act) bool { return a.extends != nil }) // of what is gone
}

// drop takes a candidate and those after it from the queue.
func (e *Engine) drop(from int) {
	for _, a := range e.queue[from:] {
		a.cancel()
	}
	e.queue = e.queue[:from]
}

// frame is what is new at a refresh.
func (e *Engine) frame(r stage.Refresh) stage.Change {
	if e.cur == nil {
		return stage.Change{}
	}
	c, dropped := e.cur.show.next(r)
	e.cur.dropped += uint64(dropped)
	for _, late := range e.cur.show.seams() {
		e.gaps.add(late)
	}
	if e.change.begin {
		if c.Still == nil && c.Video == nil {
			c = e.cur.show.all()
		}
		if c.Still != nil || c.Video != nil {
			c.Begin, e.change.begin = true, false
		}
	}
	if c.Still != nil || c.Video != nil {
		e.change.unshown++
	}
	if f := &e.change; f.fading && !f.begin {
		share := int((r.Time - f.fade + r.Interval) * full / max(f.length, r.Interval))
		c.Fading, c.Share = true, min(max(share, 1), full)
		f.fading = c.Share < full
	}
	return c
}

// Shown implements stage.Source.
func (e *Engine) Shown(r stage.Refresh) {
	e.mu.Lock()
	tell := func() {}
	e.seen.shown, e.seen.waiting = time.Now(), time.Time{}
	if a := e.cur; a != nil && e.change.unshown > 0 {
		a.presented++
		a.dropped += uint64(e.change.unshown - 1)
		e.change.unshown = 0
		e.seen.restarted = time.Time{}
		if e.change.pending {
			e.change.pending = false
			a.since = e.cfg.Now()
			if e.change.counts {
				e.gaps.count(r, e.change.over)
			}
			e.announce(a)
			e.poke()
			tell = e.play(true)
		}
	}
	e.mu.Unlock()
	tell()
}

// count notes a change that was on the screen at one refresh and could have been at another.
func (g *Gaps) count(shown, first stage.Refresh) {
	g.add(uint64(max(shown.Time-first.Time+shown.Interval/2, 0) / shown.Interval))
}

func (g *Gaps) add(late uint64) {
	g.Changes++
	g.Max = max(g.Max, late)
	if late > 0 {
		g.Late++
	}
}

// announce says which item is on the screen, once.
func (e *Engine) announce(a *act) {
	n := announced{item: a.item.ID, name: name(a.item)}
	if l := a.due.Playlist; l != nil {
		n.version, n.playlist = l.Version, l.ID
	}
	if n != e.announced {
		e.announced = n
		e.say(Event{Status: "playing", Message: fmt.Sprintf("Showing %s.", n.name), Item: n.item, Version: n.version, Time: a.since})
	}
}
