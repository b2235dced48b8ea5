package update_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	shared "porthole/packages/internal/update"
	"porthole/packages/system/update"
)

// onTrial returns a rig whose new version has just been started.
func onTrial(r *rig) {
	r.t.Helper()
	r.install(r.start("power", ""), newVersion)
}

// TestHealthBreaks: the healthy time begins anew after a failed check.
func TestHealthBreaks(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		onTrial(r)
		r.healthy("console")
		e := r.start("software", "")
		stop := run(t, e)
		defer func() { stop() }()
		pass(30 * time.Second)
		if s := e.Status(); s.HealthyFor != 0 || s.Phase != shared.Trying {
			t.Fatalf("unhealthy: %+v", s)
		}
		r.healthy()
		pass(59 * time.Second)
		r.healthy("processes")
		pass(2 * time.Second)
		r.healthy()
		pass(59 * time.Second)
		if s := e.Status(); s.Phase != shared.Trying || s.HealthyFor > 60 {
			t.Fatalf("kept too early: %+v", s)
		}
		pass(3 * time.Second)
		if s := e.Status(); s.Phase != shared.Kept {
			t.Fatalf("not kept: %+v", s)
		}
	})
}

// TestDeadline: a version that is not well is given up, with the failing checks as the reason, and the former one runs again.
func TestDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		onTrial(r)
		r.healthy("console", "screen")
		e := r.start("software", "")
		stop := run(t, e)
		defer func() { stop() }()
		pass(4 * time.Minute)
		stop()
		// The process starts anew: the deadline does not.
		e = r.start("software", "")
		stop = run(t, e)
		pass(5*time.Minute + 58*time.Second)
		if s := e.Status(); s.Phase != shared.Trying || s.Left > 3 || s.Left <= 0 || len(r.wanted()) != 0 {
			t.Fatalf("before the deadline: %+v", s)
		}
		if journal := string(r.read("perm/update/trial.log")); strings.Count(journal, "not healthy: The console is not well. The screen is not well.") != 2 {
			t.Errorf("the journal has, once for each process:\n%s", journal)
		}
		pass(5 * time.Second)
		if got := r.wanted(); !slices.Equal(got, []bool{false}) {
			t.Fatalf("restarts: %v", got)
		}
		stop()
		// The process is one of those that end; should it run again, it does not go on watching.
		if e := r.start("software", ""); !r.state().Undo || e.Status().Reason == "" {
			t.Error("the decision is lost")
		} else if other, wanted := e.Wish(); other || !wanted {
			t.Error("it does not restart")
		}
		r.restart(false)
		e = r.start("software", "")
		s := e.Status()
		want := "It was not healthy for a minute within 10 minutes. The console is not well. The screen is not well."
		if s.Phase != shared.RolledBack || s.Reason != want || r.slot != shared.SlotA || len(s.History) != 1 || !strings.Contains(s.History[0].Detail, "given up") {
			t.Errorf("afterwards: %+v", s)
		}
		if r.restart(true); r.slot != shared.SlotA {
			t.Error("what was given up is armed")
		}
	})
}

// TestNotAskedFor: what was not so before the update is not asked of the new version; what was is.
func TestNotAskedFor(t *testing.T) {
	r := newRig(t)
	r.healthy("screen")
	onTrial(r)
	e := r.start("software", "")
	e.Look(t.Context())
	s := e.Status()
	i := slices.IndexFunc(s.Checks, func(c shared.Check) bool { return c.Name == "screen" })
	if i < 0 || !s.Checks[i].Waived || s.Checks[i].OK {
		t.Errorf("checks: %+v", s.Checks)
	}
	r.keep(e)
	// Its turn: with a screen now, the next version must show something; a gateway that is missing then is asked for.
	r.healthy()
	r.restart(false)
	e = r.start("software", "")
	r.install(e, "v1.2.0")
	e = r.start("software", "")
	for _, missing := range []string{"screen", "gateway", "processes", "console", "storage"} {
		r.healthy(missing)
		e.Look(t.Context())
		if e.Look(t.Context()) || e.Status().Phase != shared.Trying {
			t.Errorf("kept without %s", missing)
		}
	}
	// The version's own are asked for whatever was before.
	r = newRig(t)
	r.healthy("processes", "console", "storage")
	onTrial(r)
	e = r.start("software", "")
	for range 3 {
		if e.Look(t.Context()) {
			t.Error("kept without processes")
		}
	}
}

// TestNothingChecked is not health.
func TestNothingChecked(t *testing.T) {
	r := newRig(t)
	onTrial(r)
	r.checks = nil
	e := r.start("software", "")
	for range 3 {
		if e.Look(t.Context()) {
			t.Fatal("kept without a look")
		}
	}
}

// TestCannotBeKept: a loader that does not take it is asked again; in the end the version is given up, with that as the reason.
func TestCannotBeKept(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		onTrial(r)
		var broken atomic.Bool
		broken.Store(true)
		r.setFault(func(device, op string, _ int64, _ []byte) error {
			if device == "boot" && op == "write" && broken.Load() {
				return errors.New("input/output error")
			}
			return nil
		})
		e := r.start("software", "")
		stop := run(t, e)
		pass(2 * time.Minute)
		if s := e.Status(); s.Phase != shared.Trying {
			t.Fatalf("with a broken card: %+v", s)
		}
		broken.Store(false)
		pass(2 * time.Second)
		stop()
		if s := e.Status(); s.Phase != shared.Kept {
			t.Fatalf("with a card that works again: %+v", s)
		}
		broken.Store(true)
		r.setFault(nil)
		r.install(e, "v1.2.0")
		r.setFault(func(device, op string, _ int64, _ []byte) error {
			if device == "boot" && op == "write" {
				return errors.New("input/output error")
			}
			return nil
		})
		e = r.start("software", "")
		stop = run(t, e)
		defer func() { stop() }()
		pass(10*time.Minute + 5*time.Second)
		if got := r.wanted(); !slices.Equal(got, []bool{false}) {
			t.Fatalf("restarts: %v", got)
		}
		if s := e.Status(); !strings.Contains(s.Reason, "does not take that it is kept") {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

// TestCannotBeArmed: a card that does not take it ends the update, and the reason is told.
func TestCannotBeArmed(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	r.send(e, newVersion)
	r.setFault(func(device, op string, _ int64, _ []byte) error {
		if device == "boot" && op == "write" {
			return errors.New("input/output error")
		}
		return nil
	})
	refused(t, e.Install(t.Context(), "owner"), false, "could not be armed")
	r.setFault(nil)
	s := e.Status()
	if _, wanted := e.Wish(); wanted || s.Phase != shared.Failed || len(s.History) != 1 || s.History[0].What != shared.Failed || !strings.Contains(e.Problem(), "could not be installed") {
		t.Errorf("afterwards: %+v, %q, restart %v", s, e.Problem(), wanted)
	}
	if r.read("perm/update/trial.log") != nil {
		t.Error("the journal is still there")
	}
	// Everything is there: offered again, it goes.
	r.install(e, newVersion)
	if r.slot != shared.SlotB {
		t.Error("it was not armed")
	}
}

// TestRestartFails: a device that does not restart is asked again.
func TestRestartFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		e := r.start("power", "")
		r.send(e, newVersion)
		var asked atomic.Int32
		cfg := r.config()
		cfg.Restart = func(ctx context.Context, other bool) error {
			if asked.Add(1) < 3 || !other {
				return errors.New("the supervisor does not answer")
			}
			<-ctx.Done()
			return ctx.Err()
		}
		e = update.New(cfg)
		stop := run(t, e)
		defer stop()
		if err := e.Install(t.Context(), "owner"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if n := asked.Load(); n != 0 {
			t.Errorf("restarted before the answer can have been read")
		}
		pass(time.Minute)
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d times", n)
		}
	})
}
