package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/retry"
)

// idle is how long nothing is looked at while nothing is missing.
const idle = 10 * time.Minute

// enough is how many media in a row have to fail for the server not to be there.
const enough = 3

// work fetches what is wanted until ctx ends.
func (c *Cache) work(ctx context.Context) {
	network := 0 // failures to reach the server, in a row
	for ctx.Err() == nil {
		wait := c.round(ctx, &network)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
			network = 0
		case <-t.C:
		}
		t.Stop()
	}
}

// round tries once whatever is missing, and says how long to wait then.
func (c *Cache) round(ctx context.Context, network *int) time.Duration {
	prepared := c.disk.prepare()
	if prepared != nil {
		c.storageProblem(prepared)
	}
	c.settle()
	c.trim()
	turn, todo := c.plan()
	begun, unreachable := time.Now(), []medium(nil)
	var last error
	for _, m := range todo {
		err := c.fetch(ctx, m, turn)
		if ctx.Err() != nil {
			return 0
		}
		if c.turned(turn) {
			return 0
		}
		switch {
		case err == nil:
			c.arrived(m)
		case storage(err):
			c.storageProblem(err)
			return retry.Backoff(1, mostPause, mostPause)
		default:
			if errors.Is(err, errNetwork) {
				unreachable, last = append(unreachable, m), err
			}
			c.failed(m, err, c.metSince(begun))
		}
		if len(unreachable) >= enough && !c.metSince(begun) {
			break // the others wait, too
		}
		c.settle()
	}
	if len(unreachable) > 0 && !c.metSince(begun) {
		if !c.probe(ctx) {
			*network++
			c.serverProblem(last)
			return retry.Backoff(*network, leastPause, mostPause)
		}
		for _, m := range unreachable {
			c.failed(m, last, true)
		}
		c.settle()
	}
	if c.metSince(begun) {
		*network = 0
		c.serverProblem(nil)
	}
	if prepared == nil {
		c.works()
	}
	return c.pause()
}

// plan is what to fetch now, for the program that is counted so.
func (c *Cache) plan() (turn int, todo []medium) {
	c.mu.Lock()
	defer c.mu.Unlock()
	target := c.target()
	if target == nil {
		return c.turn, nil
	}
	for _, m := range c.media(*target) {
		if f := c.failures[m.key]; !c.fresh(m) && (f == nil || !time.Now().Before(f.next)) {
			todo = append(todo, m)
		}
	}
	// Whatever failed comes after what did not.
	slices.SortStableFunc(todo, func(a, b medium) int { return c.lastFailure(a).Compare(c.lastFailure(b)) })
	return c.turn, todo
}

// lastFailure is when a medium failed, the zero time if it did not. It needs mu.
func (c *Cache) lastFailure(m medium) time.Time {
	if f := c.failures[m.key]; f != nil {
		return f.last
	}
	return time.Time{}
}

// target is the program that media are fetched for. It needs mu.
func (c *Cache) target() *program.Program {
	if c.coming != nil {
		return c.coming
	}
	return c.playing
}

func (c *Cache) turned(turn int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.turn != turn
}

// pause is how long nothing is to be done.
func (c *Cache) pause() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait := idle
	if c.unsaved {
		wait = mostPause
	}
	target := c.target()
	if target == nil {
		return wait
	}
	for _, m := range c.media(*target) {
		if c.fresh(m) {
			continue
		}
		if f := c.failures[m.key]; f != nil {
			wait = min(wait, time.Until(f.next))
		} else {
			wait = 0
		}
	}
	return max(wait, 0)
}

// metSince reports whether the server has answered since then.
func (c *Cache) metSince(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.met.Before(t)
}

// probe asks for a byte of what is here already: if the server has an answer to that, it is there, and what cannot be reached
// lies elsewhere.
func (c *Cache) probe(ctx context.Context) bool {
	c.mu.Lock()
	url, size, tag := "", int64(0), ""
	for _, p := range []*program.Program{c.playing, c.coming} {
		if p == nil {
			continue
		}
		for _, m := range c.media(*p) {
			if len(m.urls) == 0 || !c.here(m) {
				continue
			}
			// As our own servers have it; another's tag only makes the answer start at the beginning.
			url, size, tag = m.urls[0], c.disk.files[c.content(m)].size, strconv.Quote(c.content(m))
		}
	}
	c.mu.Unlock()
	if url == "" {
		return false
	}
	begun := time.Now()
	part, err := c.get(ctx, url, size-1, tag)
	if err == nil {
		part.Body.Close()
	}
	return ctx.Err() == nil && c.metSince(begun)
}

// arrived takes note of a medium that is here now.
func (c *Cache) arrived(m medium) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failures, m.key)
	c.problems.storage = ""
}

// settle takes the coming program if all of it is here that can be had, else what cannot wait of it, and tells who plays.
func (c *Cache) settle() {
	c.mu.Lock()
	next := c.next()
	if next == nil {
		c.mu.Unlock()
		return
	}
	filled := c.fill(*next)
	if c.playing == nil || !same(filled, *c.playing) {
		if !c.unsaved {
			c.stored = c.playing
		}
		c.playing, c.unsaved = &filled, true
	}
	ready, unsaved := c.onScreen(filled), c.unsaved
	if !unsaved && c.coming == nil && c.whole(filled) {
		c.problems.damage = ""
	}
	news := c.shown == nil || !same(ready, *c.shown)
	c.shown = &ready
	c.mu.Unlock()
	if unsaved {
		c.save(filled)
	}
	if news {
		c.cfg.Ready(clone(ready))
	}
}

// same reports whether two programs differ in nothing but when they were asked for.
func same(a, b program.Program) bool {
	a.Time, b.Time = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

// whole reports whether nothing of a program is missing. It needs mu.
func (c *Cache) whole(p program.Program) bool {
	return !slices.ContainsFunc(c.media(p), func(m medium) bool { return !c.here(m) })
}

// next is the program that is to play now; coming is taken if it is complete. It needs mu.
func (c *Cache) next() *program.Program {
	if c.coming == nil {
		return c.playing
	}
	waiting, files := false, 0
	for _, m := range c.media(*c.coming) {
		files++
		// What failed before is tried once more for each program, before that is taken.
		if f := c.failures[m.key]; !c.fresh(m) && (f == nil || !f.out || f.next.IsZero()) {
			waiting = true
		}
	}
	empty := c.playing == nil || c.starving == starved || !shows(c.onScreen(*c.playing))
	if empty || !waiting && (files == 0 || shows(c.playable(*c.coming))) {
		p := c.coming
		c.coming, c.starving, c.problems.program = nil, fed, ""
		c.freed(p)
		return p
	}
	if !waiting && !c.starve() {
		c.problems.program = "Nothing of the server's new program can be had, so the old one goes on. " + c.firstReason()
	}
	if c.starving == starved {
		return c.next() // with nothing of the old one left
	}
	b := c.bridge(*c.playing, *c.coming)
	return &b
}

// firstReason is why a medium of the coming program cannot be had. It needs mu.
func (c *Cache) firstReason() string {
	for _, m := range c.media(*c.coming) {
		if f := c.failures[m.key]; f != nil && f.out {
			return m.name + ": " + f.reason
		}
	}
	return ""
}

// freed gives up what only the old program has needed. It needs mu.
func (c *Cache) freed(p *program.Program) {
	for _, f := range c.failures {
		if f.full {
			f.again()
		}
	}
	keep := map[string]bool{}
	for _, m := range c.media(*p) {
		keep[m.key] = true
	}
	for key := range c.disk.parts {
		if !keep[key] {
			c.disk.removePart(key)
		}
	}
}

// save writes what plays. Where that fails it plays all the same, and is written later.
func (c *Cache) save(p program.Program) {
	err := c.disk.saveProgram(p)
	for isNoSpace(err) && c.drop() {
		err = c.disk.saveProgram(p)
	}
	if err != nil {
		c.storageProblem(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsaved, c.stored, c.problems.storage = false, nil, ""
}

func (c *Cache) storageProblem(err error) {
	text := "The program and its media cannot be kept (" + err.Error() + "). Restart the device; if this comes back, replace the SD card."
	if isFull(err) {
		text = "The disk is full, so the program cannot be kept. Use a larger SD card, or fewer or smaller media."
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problems.storage != text {
		c.cfg.Log.Error("cannot keep the program and its media", "err", err)
	}
	c.problems.storage = text
}

// works notes that nothing is wrong with the disk, if what plays is there.
func (c *Cache) works() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.unsaved {
		c.problems.storage = ""
	}
}

// serverProblem notes that the server cannot be reached for media; nil: it can.
func (c *Cache) serverProblem(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.problems.server = ""
		return
	}
	if c.problems.server == "" {
		c.cfg.Log.Warn("media cannot be fetched; what is here goes on", "err", err)
	}
	c.problems.server = fmt.Sprintf("Media cannot be fetched (%v); what is here goes on. It is tried again until it works.", err)
}
