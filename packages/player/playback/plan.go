package playback

import (
	"context"
	"slices"
	"time"

	"porthole/packages/internal/program"
)

const (
	// planEvery bounds how late it is noticed that something else is due.
	planEvery = 200 * time.Millisecond
	// lead and liveLead are how long before it is due the next item is made ready; what lives comes over the network all
	// that time.
	lead, liveLead = 20 * time.Second, 8 * time.Second
	// close is how near the end another candidate is made ready too, for one that is not after slow.
	closing, slow = 5 * time.Second, 2 * time.Second
	// tooSlow is how long a candidate may take when there are so many that no other can be tried.
	tooSlow = 15 * time.Second
	// maxQueue bounds the candidates: each may be a decoder with its memory.
	maxQueue = 3
	// patience is how long an item stays whose playlist is not due any more: items end by themselves, but some last for hours.
	patience = time.Minute
	// darkFor is how long the screen is off before everything is put away.
	darkFor = 10 * time.Second
	// near is how far the prediction of an item's end may be off.
	near = 2 * time.Second
)

// planner keeps the next item ready until ctx ends.
func (e *Engine) planner(ctx context.Context) {
	tick := time.NewTicker(planEvery)
	defer tick.Stop()
	for {
		e.plan(ctx)
		e.tell()
		e.beat.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.wake:
		}
	}
}

// plan looks what is due and what has to be made ready for it.
func (e *Engine) plan(ctx context.Context) {
	asked, lit := e.cfg.Stage.Plays(e)
	e.mu.Lock()
	attach, detach, tell := false, false, func() {}
	switch {
	case ctx.Err() != nil || e.schedule == nil:
	case e.rest(lit):
	default:
		now := e.cfg.Now()
		e.now = e.at(now)
		if !e.aim(ctx, now) {
			e.clear()
			tell = e.play(false)
			detach = asked
			break
		}
		waits := e.cur == nil && slices.ContainsFunc(e.queue, func(a *act) bool { return a.phase == ready })
		switch {
		case asked:
			// The stage may rest.
			attach = waits || e.cur != nil && e.cutting()
		case waits || e.cur != nil:
			attach = true
			e.change.begin = e.cur != nil
			e.seen.asked = time.Now()
		}
	}
	e.mu.Unlock()
	switch {
	case attach:
		e.cfg.Stage.Play(e)
	case detach:
		e.cfg.Stage.Play(nil)
	}
	tell()
}

// rest puts everything away while the screen is off, and reports that.
func (e *Engine) rest(lit bool) bool {
	if lit {
		e.dark = time.Time{}
		return false
	}
	if e.dark.IsZero() {
		e.dark = time.Now()
	}
	if time.Since(e.dark) < darkFor {
		return false
	}
	if e.cur != nil {
		e.place = e.cur.place
	}
	e.clear()
	return true
}

// aim decides what comes next; false when there is nothing to show at all.
func (e *Engine) aim(ctx context.Context, now time.Time) bool {
	if empty(e.now) {
		e.drop(0)
		return e.cur != nil && e.linger(now)
	}
	remains := e.left(now)
	want := due{e.at(now.Add(max(remains, 0)))}
	if e.cur == nil || e.urgent() {
		want, remains = due{e.now}, 0
	}
	e.cut = e.cur != nil && !e.cur.due.same(due{e.now}) && !e.linger(now)
	if e.cut {
		want, remains = due{e.now}, 0
	}
	if e.cur == nil || e.cur.due.same(due{e.now}) {
		e.stale = time.Time{}
		if e.cur != nil {
			e.cur.due = due{e.now} // perhaps by another rule
		}
	}
	for i, a := range e.queue {
		if !e.fits(a, want, now, remains) {
			e.drop(i)
			e.place = e.last()
			break
		}
	}
	if l := want.Playlist; l != nil || want.Text != "" {
		e.topUp(ctx, want, remains)
	}
	return e.cur != nil || len(e.queue) > 0
}

// linger reports whether an item may stay though its playlist is not due any more: it may end by itself, within bounds.
func (e *Engine) linger(now time.Time) bool {
	if e.stale.IsZero() {
		e.stale = time.Now()
	}
	return e.cur.due.Interrupt == 0 && !e.change.ended && time.Since(e.stale) < patience
}

func empty(n program.Now) bool { return n.Playlist == nil && n.Text == "" }

// last is the place after which the next candidate comes.
func (e *Engine) last() place {
	if n := len(e.queue); n > 0 {
		return e.queue[n-1].place
	}
	if e.cur != nil {
		return e.cur.place
	}
	return e.place
}

// left is how long the item on the screen still takes: 0 when it is over, negative while that is not known.
func (e *Engine) left(now time.Time) time.Duration {
	if e.cur == nil || e.change.ended {
		return 0
	}
	own := e.cur.show.left(e.seen.refresh)
	// A still is asked for seldom. What is more is a wall clock that was put right.
	if since := now.Sub(e.seen.wall); own > 0 && since > 0 && since < near {
		own = max(own-since, 0)
	}
	if e.cur.due.Interrupt == 0 || e.now.Until.IsZero() {
		return own
	}
	if until := max(e.now.Until.Sub(now), 0); own < 0 || until < own {
		return until
	}
	return own
}

// fits reports whether a candidate is of what is due at the end of the item on the screen, which is known to within near.
func (e *Engine) fits(a *act, want due, now time.Time, remains time.Duration) bool {
	if a.due.same(want) {
		return true
	}
	at := now.Add(max(remains, 0))
	return a.due.Interrupt == e.now.Interrupt &&
		(a.due.same(due{e.at(at.Add(-near))}) || a.due.same(due{e.at(at.Add(near))}))
}

// topUp begins to make the next item ready, if it is time, and another one when that takes too long.
func (e *Engine) topUp(ctx context.Context, want due, remains time.Duration) {
	if time.Now().Before(e.hold) {
		return
	}
	patient := slow
	for _, a := range e.queue {
		// On a slow device they would only be in each other's way.
		if a.phase == ready || time.Since(a.began) < patient || remains > closing || remains < 0 {
			return
		}
		patient *= 2
	}
	if len(e.queue) >= maxQueue {
		oldest := e.queue[0]
		if time.Since(oldest.began) < tooSlow {
			return
		}
		e.skip(oldest.item, errLate)
		oldest.cancel()
		e.queue = slices.Delete(e.queue, 0, 1)
	}
	item, at, ok := e.choose(want)
	ahead := lead
	if item.Kind == "camera" || item.Kind == "stream" {
		ahead = liveLead
	}
	if !ok || len(e.queue) == 0 && remains > ahead {
		return
	}
	e.place = at
	if want.Interrupt == 0 {
		e.resume = place{}
	}
	e.queue = append(e.queue, e.begin(ctx, item, want, at))
}

// choose is the next item of what is due that is not a candidate already.
func (e *Engine) choose(want due) (item program.Item, at place, ok bool) {
	waits := func(at place) bool { return slices.ContainsFunc(e.queue, func(a *act) bool { return a.place == at }) }
	l := want.Playlist
	if l == nil {
		return program.Item{Kind: "text", Text: want.Text, Fit: "stretch"}, place{}, !waits(place{})
	}
	i := e.place.following(l)
	if r := e.resume; want.Interrupt == 0 && r.playlist == l.ID && r.index < len(l.Items) && l.Items[r.index].ID == r.item {
		i = r.index // what was cut off begins anew
	}
	for range l.Items {
		if at := (place{l.ID, i, l.Items[i].ID}); !waits(at) {
			return l.Items[i], at, true
		}
		i = (i + 1) % len(l.Items)
	}
	return program.Item{}, place{}, false
}

// begin makes an item ready.
func (e *Engine) begin(ctx context.Context, item program.Item, want due, at place) *act {
	a := &act{item: item, due: want, place: at, began: time.Now()}
	if c := e.cur; c != nil && c.err == nil && item.Kind != "video" && sameItem(item, c.item) && want.Interrupt == c.due.Interrupt {
		a.extends, a.phase, a.cancel = c, ready, func() {}
		return a
	}
	ctx, a.cancel = context.WithCancel(ctx)
	e.work.Go(func() { e.perform(ctx, a) })
	return a
}

// perform makes an item ready and keeps it going until ctx ends.
func (e *Engine) perform(ctx context.Context, a *act) {
	defer a.cancel()
	s, err := e.open(ctx, a.item)
	if !e.settle(a, s, err) {
		a.cancel()
	}
	if s != nil {
		s.run(ctx)
	}
}

// settle takes note of an item that is ready, or failed.
func (e *Engine) settle(a *act, s show, err error) bool {
	defer e.poke()
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.Index(e.queue, a)
	if i < 0 {
		return false // nobody wants it any more
	}
	if err == nil {
		a.show, a.phase = s, ready
		return true
	}
	a.phase = failed
	e.queue = slices.Delete(e.queue, i, i+1)
	e.skip(a.item, err)
	e.failed++
	if n := itemCount(a.due); e.failed >= n && e.bar(a.due) {
		e.failed = 0
	} else if e.failed >= n {
		e.hold = time.Now().Add(min(time.Second<<min(e.failed/n-1, 5), 30*time.Second))
	}
	return false
}

// barFor is how long a playlist is passed over of which nothing can be played.
const barFor = time.Minute

// bar passes a playlist over for a while, if there is another to play instead.
func (e *Engine) bar(d due) bool {
	if d.Playlist == nil || e.base == nil || e.base.ID == d.Playlist.ID {
		return false
	}
	e.barred = barred{d.Playlist.ID, time.Now().Add(barFor)}
	return true
}

// at is what is due at a time; the base in place of a playlist that is passed over.
func (e *Engine) at(t time.Time) program.Now {
	n := e.schedule.At(t)
	if n.Playlist != nil && n.Playlist.ID == e.barred.playlist && time.Now().Before(e.barred.until) {
		return program.Now{Playlist: e.base, Until: n.Until}
	}
	return n
}

func itemCount(d due) int {
	if d.Playlist == nil {
		return 1
	}
	return max(len(d.Playlist.Items), 1)
}
