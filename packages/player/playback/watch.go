package playback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"porthole/packages/internal/durable"
)

const (
	// overdue is how long a frame may be missing before everything begins anew, and then before the process does.
	overdue = 10 * time.Second
	// unready is how long candidates may take to be ready or fail: longer than each of them is bounded.
	unready = 60 * time.Second
	// frozen is how long the planner may take for a round.
	frozen    = 30 * time.Second
	watchEach = time.Second
)

// ErrStuck means that frames do not come on the screen, and that beginning anew has not helped.
var ErrStuck = errors.New("nothing comes on the screen any more")

// watch is the watchdog. It returns an error when nothing helps, else when ctx ends.
func (e *Engine) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEach)
	defer tick.Stop()
	beat, since := e.beat.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if b := e.beat.Load(); b != beat {
			beat, since = b, time.Now()
		} else if time.Since(since) > frozen {
			reason := fmt.Sprintf("what plans the next item has hung for %.0f s", frozen.Seconds())
			e.keep(kept{Restarts: 1, Reason: reason, Time: time.Now()})
			return fmt.Errorf("%w: %s", ErrStuck, reason)
		}
		asked, lit := e.cfg.Stage.Plays(e)
		if err := e.judge(asked, lit); err != nil {
			return err
		}
	}
}

// judge restarts what hangs; an error when that was done already and has not helped.
func (e *Engine) judge(asked, lit bool) error {
	e.mu.Lock()
	reason, screen := e.missing(asked, lit)
	if reason == "" || time.Since(e.seen.restarted) < overdue {
		e.mu.Unlock()
		return nil
	}
	again := !e.seen.restarted.IsZero()
	e.restarts++
	e.restart = reason
	k := kept{Restarts: e.restarts, Reason: reason, Time: e.cfg.Now()}
	if !again {
		if e.cur != nil {
			e.place = e.cur.place
		}
		e.clear()
		e.seen = seen{restarted: time.Now(), asked: time.Now(), refresh: e.seen.refresh}
		e.failed, e.hold = 0, time.Time{}
	}
	e.say(Event{Status: "restarting", Message: "Playing begins anew: " + reason + ".", Time: k.Time})
	e.mu.Unlock()
	e.keep(k)
	if again {
		e.tell()
		return fmt.Errorf("%w: %s", ErrStuck, reason)
	}
	e.cfg.Log.Error("a frame is overdue; playing begins anew", "reason", reason)
	if screen {
		e.cfg.Stage.Reopen()
	}
	e.poke()
	return nil
}

// missing says what should have happened long ago and has not, and whether that is the screen's fault. The caller holds e.mu.
func (e *Engine) missing(asked, lit bool) (reason string, screen bool) {
	long := func(t time.Time, most time.Duration) bool { return !t.IsZero() && time.Since(t) > most }
	if !lit || !asked && e.cur == nil && len(e.queue) == 0 {
		e.seen.asked, e.seen.waiting = time.Time{}, time.Time{}
		return "", false
	}
	if asked && e.seen.asked.IsZero() {
		e.seen.asked = time.Now()
	}
	late := overdue.Seconds()
	switch {
	case asked && long(e.seen.asked, overdue):
		return fmt.Sprintf("the screen has not refreshed for %.0f s", late), true
	case asked && long(e.seen.waiting, overdue):
		return fmt.Sprintf("a frame has not come on the screen for %.0f s", late), true
	case e.cur != nil && !e.change.ended && e.cur.show.starved() > overdue:
		return fmt.Sprintf("no picture of %s has come for %.0f s", name(e.cur.item), late), false
	case len(e.queue) > 0 && (e.cur == nil || e.change.ended):
		for _, a := range e.queue {
			if a.phase == ready || !long(a.began, unready) {
				return "", false
			}
		}
		return fmt.Sprintf("%s is neither ready nor given up after %.0f s", name(e.queue[0].item), unready.Seconds()), false
	}
	return "", false
}

// kept is what is remembered over restarts of the process.
type kept struct {
	Restarts int       `json:"restarts"`
	Reason   string    `json:"reason"`
	Time     time.Time `json:"time"`
}

const keptName = "playback.json"

// keep remembers a restart.
func (e *Engine) keep(k kept) {
	b, err := json.Marshal(k)
	if err == nil {
		err = durable.WriteFile(filepath.Join(e.cfg.Dir, keptName), b, 0o600)
	}
	if err != nil {
		e.cfg.Log.Warn("cannot keep why playing began anew", "err", err)
	}
}

// recall reads what keep has written; nothing where there is none, or what is none.
func (e *Engine) recall() (restarts int, reason string) {
	f, err := os.Open(filepath.Join(e.cfg.Dir, keptName))
	if err != nil {
		return 0, ""
	}
	defer f.Close()
	return parseKept(f)
}

func parseKept(r io.Reader) (restarts int, reason string) {
	const most = 4096
	var k kept
	b, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil || json.Unmarshal(b, &k) != nil || k.Restarts < 0 {
		return 0, ""
	}
	return k.Restarts, k.Reason
}
