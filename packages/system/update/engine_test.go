package update_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/bootpart"
	shared "porthole/packages/internal/update"
	"porthole/packages/internal/update/updatetest"
	"porthole/packages/system/update"
)

// run runs an engine until the test, or what it returns, ends it.
func run(t *testing.T, e *update.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := contextWithCancel(t)
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return stop
}

// TestUpdateIsKept goes all the way, by the clock.
func TestUpdateIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		e := r.start("power", "")
		stop := run(t, e)
		defer func() { stop() }()
		if s := e.Status(); !s.Supported || s.Phase != shared.Idle || s.Version != oldVersion || s.Slot != shared.SlotA || s.Other != "" || s.Board != "pi" || !s.Built.Equal(built) {
			t.Fatalf("at first: %+v", s)
		}
		s := r.accept(e, newVersion)
		if s.Phase != shared.Receiving || s.Target != newVersion || s.Who != "owner" || steps(s)["boot"] != shared.Waiting || steps(s)["root"] != shared.Waiting {
			t.Fatalf("accepted: %+v", s)
		}
		if err := r.put(e, newVersion, "boot"); err != nil {
			t.Fatal(err)
		}
		if s := e.Status(); s.Phase != shared.Receiving || steps(s)["boot"] != shared.Done || steps(s)["root"] != shared.Waiting {
			t.Fatalf("half: %+v", s)
		}
		refused(t, e.Install(t.Context(), "owner"), true, "Not all parts")
		if err := r.put(e, newVersion, "root"); err != nil {
			t.Fatal(err)
		}
		if s := e.Status(); s.Phase != shared.Ready {
			t.Fatalf("ready: %+v", s)
		}
		if armed, _, err := r.loader().Armed(shared.SlotB); armed || err != nil {
			t.Fatalf("armed before it was to be installed: %v, %v", armed, err)
		}
		if err := e.Install(t.Context(), "owner"); err != nil {
			t.Fatal(err)
		}
		if s := e.Status(); s.Phase != shared.Restarting || s.Try != 1 || s.MaxTries != update.MaxTries {
			t.Fatalf("restarting: %+v", s)
		}
		pass(3 * time.Second)
		if got := r.wanted(); len(got) != 1 || !got[0] {
			t.Fatalf("restarts: %v", got)
		}
		stop()
		r.restart(true)
		if r.slot != shared.SlotB {
			t.Fatal("the firmware did not start the other slot")
		}
		e = r.start("software", "")
		stop = run(t, e)
		pass(59500 * time.Millisecond)
		s = e.Status()
		if s.Phase != shared.Trying || s.Version != newVersion || s.HealthyFor < 59 || s.HealthyFor >= 60 || s.HealthyNeeded != 60 || len(s.Checks) != 5 || s.Left > 541 || s.Left < 540 {
			t.Fatalf("on trial: %+v", s)
		}
		if def, err := r.loader().Default(); def != shared.SlotA || err != nil {
			t.Fatalf("kept too early: %s, %v", def, err)
		}
		_, err := e.Offer(t.Context(), r.offer("v1.2.0"))
		refused(t, err, true, "being tried")
		refused(t, e.CallOff("owner"), true, "cannot be called off")
		refused(t, e.Back(t.Context(), "owner"), true, "being tried")
		pass(time.Second)
		s = e.Status()
		if s.Phase != shared.Kept || s.Other != oldVersion || len(s.History) != 1 || s.History[0].What != shared.Kept || s.History[0].To != newVersion || s.History[0].From != oldVersion {
			t.Fatalf("kept: %+v", s)
		}
		if def, err := r.loader().Default(); def != shared.SlotB || err != nil {
			t.Fatalf("%s, %v", def, err)
		}
		if r.read("perm/update/trial.log") != nil {
			t.Error("the trial's journal is still there")
		}
		stop()
		r.restart(false)
		e = r.start("software", "")
		if s := e.Status(); r.slot != shared.SlotB || s.Phase != shared.Kept || s.Version != newVersion || e.Problem() != "" {
			t.Errorf("afterwards: %+v, %q", s, e.Problem())
		}
	})
}

// TestRefusals: each has its own sentence, and nothing is written.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	before := map[string][]byte{}
	for _, f := range []string{"boot", "root-a", "root-b"} {
		before[f] = r.read(f)
	}
	stranger := updatetest.NewKey(t)
	signed := func(change func(*updatetest.Update), key updatetest.Key) update.Offer {
		u := updatetest.New(t, bootpart.BoardPi, newVersion, bootPart(t, newVersion), []byte("root"))
		if change != nil {
			change(u)
		}
		manifest, signature := u.Signed(t, key)
		return update.Offer{Manifest: manifest, Signature: string(signature), Who: "owner"}
	}
	changed := signed(nil, r.key)
	changed.Manifest = bytes.Replace(changed.Manifest, []byte(newVersion), []byte("v9.9.9"), 1)
	garbled := signed(nil, r.key)
	garbled.Signature = "no signature"
	for name, c := range map[string]struct {
		offer update.Offer
		text  string
	}{
		"stranger": {signed(nil, stranger), "does not trust"},
		"changed":  {changed, "was changed or damaged"},
		"garbled":  {garbled, "signature cannot be read"},
		"no offer": {update.Offer{Who: "owner"}, "signature"},
		"board":    {signed(func(u *updatetest.Update) { u.Manifest.Board = "vm" }, r.key), `for the board "vm", this device is "pi"`},
		"older":    {signed(func(u *updatetest.Update) { u.Manifest.Version = "v0.9.0" }, r.key), "is older than the running v1.0.0"},
		"minimum":  {signed(func(u *updatetest.Update) { u.Manifest.Minimum = "v1.0.1" }, r.key), "needs at least version v1.0.1"},
		"root size": {signed(func(u *updatetest.Update) {
			u.Manifest.Parts[1].Size, u.Manifest.Parts[1].Stored = rootSize+1, rootSize+1
		}, r.key), "has room for 1572864"},
		"boot size": {signed(func(u *updatetest.Update) { u.Manifest.Parts[0].Size = 200 << 20 }, r.key), "has room for"},
	} {
		t.Run(name, func(t *testing.T) {
			e := r.start("power", "")
			_, err := e.Offer(t.Context(), c.offer)
			refused(t, err, false, c.text)
			if s := e.Status(); s.Phase != shared.Idle || len(s.History) != 0 || e.Problem() != "" {
				t.Errorf("afterwards: %+v, %q", s, e.Problem())
			}
			refused(t, e.PutPart(t.Context(), "root", strings.NewReader("root"), 4), true, "offer an update first")
			refused(t, e.Install(t.Context(), "owner"), true, "offer one first")
			refused(t, e.CallOff("owner"), true, "No update is on its way")
			for f, want := range before {
				if !bytes.Equal(r.read(f), want) {
					t.Errorf("%s has changed", f)
				}
			}
			if r.read("perm/update/state.json") != nil {
				t.Error("a refused offer was recorded")
			}
		})
	}
	older := signed(func(u *updatetest.Update) { u.Manifest.Version = "v0.9.0" }, r.key)
	older.Downgrade = true
	if s, err := r.start("power", "").Offer(t.Context(), older); err != nil || s.Target != "v0.9.0" {
		t.Errorf("a downgrade that is asked for: %+v, %v", s, err)
	}
}

// TestUnsupported: where there are no slots, or not what is needed, it says so and nothing else.
func TestUnsupported(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig)
		text   string
	}{
		"no build":         {func(r *rig) { os.Remove(r.path("build.json")) }, "like any program"},
		"no boot status":   {func(r *rig) { os.Remove(r.path("boot-status.json")) }, "like any program"},
		"a damaged build":  {func(r *rig) { r.write("build.json", []byte("{")) }, "does not say which version"},
		"a damaged status": {func(r *rig) { r.write("boot-status.json", []byte("{")) }, "not known from which part"},
		"no slot":          {func(r *rig) { r.slot = ""; r.describe(oldVersion, "power", "") }, "two slots"},
		"no devices":       {func(r *rig) { r.writeJSON("boot-status.json", map[string]any{"slot": shared.SlotA}) }, "not laid out"},
		"another card":     {func(r *rig) { r.write("boot", make([]byte, small.Size)) }, "not laid out"},
		"no card": {func(r *rig) {
			r.fault = func(string, string, int64, []byte) error { return errors.New("input/output error") }
		}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.describe(oldVersion, "power", "")
			c.change(r)
			e := update.New(r.config())
			s := e.Status()
			if s.Supported || !strings.Contains(s.Why, c.text) || s.Phase != shared.Idle || s.History == nil {
				t.Errorf("status %+v, want why with %q", s, c.text)
			}
			_, err := e.Offer(t.Context(), r.offer(newVersion))
			refused(t, err, true, s.Why)
			refused(t, e.PutPart(t.Context(), "root", strings.NewReader("x"), 1), true, s.Why)
			refused(t, e.Back(t.Context(), "owner"), true, s.Why)
			if e.Problem() != "" || e.Seen("owner") != nil {
				t.Error("a problem without updates")
			}
			run(t, e)()
		})
	}
	r := newRig(t)
	os.RemoveAll(r.path("keys"))
	e := r.start("power", "")
	_, err := e.Offer(t.Context(), r.offer(newVersion))
	refused(t, err, false, "without keys")
}

// TestLocalParts: what the running slot has need not be sent, nor what the other slot holds already.
func TestLocalParts(t *testing.T) {
	r := newRig(t)
	u := updatetest.New(t, bootpart.BoardPi, newVersion, bootPart(t, newVersion), r.update(oldVersion).Content[shared.PartRoot])
	r.updates[newVersion] = u
	e := r.start("power", "")
	s := r.accept(e, newVersion)
	if steps(s)["root"] != shared.Copying || steps(s)["boot"] != shared.Waiting {
		t.Fatalf("parts: %+v", s.Parts)
	}
	refused(t, r.put(e, newVersion, "root"), true, "need not be sent")
	stop := run(t, e)
	if err := r.put(e, newVersion, "boot"); err != nil {
		t.Fatal(err)
	}
	until(t, "it is ready", func() bool { return e.Status().Phase == shared.Ready })
	stop()
	if got := r.slotVersion(shared.SlotB); got != newVersion {
		t.Fatalf("the other slot holds %q", got)
	}
	// Called off, the slot still holds it: nothing has to be sent when it is offered again, and nothing is written.
	if err := e.CallOff("owner"); err != nil {
		t.Fatal(err)
	}
	r.setFault(func(device, op string, _ int64, _ []byte) error {
		if op == "write" {
			t.Errorf("%s was written", device)
		}
		return nil
	})
	if s := r.accept(e, newVersion); s.Phase != shared.Ready || steps(s)["root"] != shared.Done || steps(s)["boot"] != shared.Done {
		t.Errorf("offered again: %+v", s)
	}
	// What it is said to hold is looked at: a medium that has changed is not believed.
	if err := e.CallOff("owner"); err != nil {
		t.Fatal(err)
	}
	b := r.read("root-b")
	b[1000] ^= 1
	r.write("root-b", b)
	if s := r.accept(e, newVersion); steps(s)["root"] != shared.Copying || steps(s)["boot"] != shared.Done {
		t.Errorf("with a flipped bit: %+v", s)
	}
}

// TestSameVersion: a repair of the running version is copied as a whole.
func TestSameVersion(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	s := r.accept(e, oldVersion)
	if steps(s)["root"] != shared.Copying || steps(s)["boot"] != shared.Copying {
		t.Fatalf("parts: %+v", s.Parts)
	}
	e.CopyAll(t.Context())
	if s := e.Status(); s.Phase != shared.Ready || r.slotVersion(shared.SlotB) != oldVersion {
		t.Errorf("afterwards: %+v, slot-b holds %q", s, r.slotVersion(shared.SlotB))
	}
}

// TestGoesOn: a part that was written is not sent again after a restart of the process, or of the device.
func TestGoesOn(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	r.accept(e, newVersion)
	if err := r.put(e, newVersion, "root"); err != nil {
		t.Fatal(err)
	}
	id := e.Status().ID
	e = r.start("power", "")
	if s := e.Status(); s.Phase != shared.Receiving || s.ID != id || steps(s)["root"] != shared.Done || steps(s)["boot"] != shared.Waiting {
		t.Fatalf("after a restart: %+v", s)
	}
	if s := r.accept(e, newVersion); s.ID != id || steps(s)["root"] != shared.Done {
		t.Errorf("offered again: %+v", s)
	}
	_, err := e.Offer(t.Context(), r.offer("v1.2.0"))
	refused(t, err, true, "Install it, or call it off first")
	refused(t, e.Back(t.Context(), "owner"), true, "on its way")
	if err := r.put(e, newVersion, "boot"); err != nil {
		t.Fatal(err)
	}
	// Ready, and restarted once more: what is there is read again before it is armed.
	e = r.start("power", "")
	if s := e.Status(); s.Phase != shared.Ready {
		t.Fatalf("ready: %+v", s)
	}
	b := r.read("root-b")
	b[1<<19] ^= 1
	r.write("root-b", b)
	refused(t, e.Install(t.Context(), "owner"), false, "does not give back")
	if armed, _, err := r.loader().Armed(shared.SlotB); armed || err != nil {
		t.Errorf("armed %v, %v", armed, err)
	}
	if s := e.Status(); s.Phase != shared.Receiving || steps(s)["root"] != shared.Waiting || steps(s)["boot"] != shared.Done {
		t.Fatalf("with a flipped bit: %+v", s)
	}
	if err := r.put(e, newVersion, "root"); err != nil {
		t.Fatal(err)
	}
	if err := e.Install(t.Context(), "owner"); err != nil {
		t.Error(err)
	}
}

// TestBack: the former version is started again, on trial, if it is still whole.
func TestBack(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	refused(t, e.Back(t.Context(), "owner"), true, "no former version")
	r.install(e, newVersion)
	e = r.keep(r.start("software", ""))
	if s := e.Status(); s.Other != oldVersion {
		t.Fatalf("kept: %+v", s)
	}
	b := r.read("root-a")
	b[5] ^= 1
	r.write("root-a", b)
	refused(t, e.Back(t.Context(), "owner"), true, "not whole")
	b[5] ^= 1
	r.write("root-a", b)
	if err := e.Back(t.Context(), "owner"); err != nil {
		t.Fatal(err)
	}
	if other, wanted := e.Wish(); !other || !wanted {
		t.Fatal("no restart into the other slot")
	}
	r.restart(true)
	e = r.keep(r.start("software", ""))
	if s := e.Status(); s.Version != oldVersion || s.Other != newVersion || len(s.History) != 2 || s.History[0].To != oldVersion || s.History[0].What != shared.Kept {
		t.Errorf("back: %+v", s)
	}
	// A slot that is written to holds no former version any more.
	r.accept(e, "v1.2.0")
	if err := r.put(e, "v1.2.0", "root"); err != nil {
		t.Fatal(err)
	}
	if err := e.CallOff("owner"); err != nil {
		t.Fatal(err)
	}
	if s := e.Status(); s.Other != "" {
		t.Errorf("a slot that was written to holds %q", s.Other)
	}
	refused(t, e.Back(t.Context(), "owner"), true, "no former version")
}
