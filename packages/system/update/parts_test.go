package update_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"porthole/packages/internal/bootpart"
	shared "porthole/packages/internal/update"
	"porthole/packages/internal/update/updatetest"
)

// TestPartRefused: a part that is not what was announced says why, is not recorded, and can be sent again.
func TestPartRefused(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	r.accept(e, newVersion)
	content := r.update(newVersion).Content
	flipped := func(name string, at int) []byte {
		b := bytes.Clone(content[name])
		b[at] ^= 0x40
		return b
	}
	for name, c := range map[string]struct {
		part string
		body []byte
		size int
		text string
		left shared.Step
	}{
		"root, a bit":      {"root", flipped("root", 1<<19), rootBytes, "was damaged on its way", shared.Waiting},
		"root, last bit":   {"root", flipped("root", rootBytes-1), rootBytes, "was damaged on its way", shared.Waiting},
		"boot, a header":   {"boot", flipped("boot", 0), len(content["boot"]), "was damaged on its way", shared.Waiting},
		"boot, a file":     {"boot", flipped("boot", 100000), len(content["boot"]), "was damaged on its way", shared.Waiting},
		"boot, the end":    {"boot", flipped("boot", len(content["boot"])-1), len(content["boot"]), "was damaged on its way", shared.Waiting},
		"root, cut":        {"root", content["root"][:1000], rootBytes, "ended after 1000 of 1179648 bytes", shared.Waiting},
		"boot, cut":        {"boot", content["boot"][:1000], len(content["boot"]), "ended after 1000 of", shared.Waiting},
		"nothing":          {"root", nil, rootBytes, "ended after 0 of", shared.Waiting},
		"another size":     {"root", content["root"], 1<<20 + 1, "were announced", shared.Waiting},
		"another part":     {"data", nil, 0, `no part "data"`, ""},
		"the other's part": {"root", bytes.Repeat([]byte{0}, rootBytes), rootBytes, "was damaged on its way", shared.Waiting},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.PutPart(t.Context(), c.part, bytes.NewReader(c.body), int64(c.size))
			refused(t, err, false, c.text)
			s := e.Status()
			if s.Phase != shared.Receiving || steps(s)[c.part] != c.left {
				t.Errorf("afterwards: %+v", s)
			}
			if c.left != "" && c.size == len(content[c.part]) && s.Reason != err.Error() {
				t.Errorf("the status says %q", s.Reason)
			}
		})
	}
	for _, name := range []string{"boot", "root"} {
		if err := r.put(e, newVersion, name); err != nil {
			t.Fatal(err)
		}
	}
	if s := e.Status(); s.Phase != shared.Ready || s.Reason != "" || r.slotVersion(shared.SlotB) != newVersion {
		t.Errorf("sent again: %+v, the slot holds %q", s, r.slotVersion(shared.SlotB))
	}
}

// TestPartNobodyCanWrite: what is signed and yet no boot part is refused with what is wrong with it.
func TestPartNobodyCanWrite(t *testing.T) {
	r := newRig(t)
	u := updatetest.New(t, bootpart.BoardPi, newVersion, bytes.Repeat([]byte("no tar"), 1000), []byte("root"))
	r.updates[newVersion] = u
	e := r.start("power", "")
	r.accept(e, newVersion)
	refused(t, r.put(e, newVersion, "boot"), false, "cannot be written")
	if s := e.Status(); steps(s)["boot"] != shared.Waiting {
		t.Errorf("afterwards: %+v", s)
	}
}

// TestCardFails: a card that does not write, or does not give back what was written, is told of; nothing is armed.
func TestCardFails(t *testing.T) {
	broken := errors.New("input/output error")
	for name, c := range map[string]struct {
		part  string
		fault func(device, op string, at int64, p []byte) error
		text  string
	}{
		"root, write": {"root", func(device, op string, at int64, _ []byte) error {
			if device == "root-b" && op == "write" && at > 0 {
				return broken
			}
			return nil
		}, "could not be written: input/output error"},
		"root, sync": {"root", func(device, op string, _ int64, _ []byte) error {
			if device == "root-b" && op == "sync" {
				return broken
			}
			return nil
		}, "could not be written: input/output error"},
		"root, other bytes": {"root", func(device, op string, at int64, p []byte) error {
			if device == "root-b" && op == "read" && len(p) > 100 {
				p[100] ^= 1
			}
			return nil
		}, "does not give back what was written"},
		"root, read": {"root", func(device, op string, _ int64, _ []byte) error {
			if device == "root-b" && op == "read" {
				return broken
			}
			return nil
		}, "does not give back what was written"},
		"boot, write": {"boot", func(device, op string, at int64, _ []byte) error {
			if device == "boot" && op == "write" && at > 1<<20 {
				return broken
			}
			return nil
		}, "input/output error"},
		"boot, other bytes": {"boot", func(device, op string, at int64, p []byte) error {
			if device == "boot" && op == "read" && at > 1<<20 && len(p) > 2048 {
				p[len(p)/2] ^= 1
			}
			return nil
		}, "does not give back what was written"},
		"open": {"root", func(device, op string, _ int64, _ []byte) error {
			if device == "root-b" && op == "open" {
				return broken
			}
			return nil
		}, "could not be written"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			e := r.start("power", "")
			r.accept(e, newVersion)
			r.setFault(c.fault)
			refused(t, r.put(e, newVersion, c.part), false, c.text)
			if s := e.Status(); s.Phase != shared.Receiving || steps(s)[c.part] != shared.Waiting || !strings.Contains(s.Reason, c.text) {
				t.Errorf("afterwards: %+v", s)
			}
			refused(t, e.Install(t.Context(), "owner"), true, "Not all parts")
			r.setFault(nil)
			r.send(e, newVersion)
			if got := r.slotVersion(shared.SlotB); got != newVersion {
				t.Errorf("sent again, the slot holds %q", got)
			}
			if got := r.slotVersion(shared.SlotA); got != oldVersion {
				t.Errorf("the running slot holds %q", got)
			}
		})
	}
}

// TestRunningSlotIsNeverWritten, whatever happens: an update with errors, called off, sent, kept, and one after it.
func TestRunningSlotIsNeverWritten(t *testing.T) {
	r := newRig(t)
	r.setFault(func(device, op string, at int64, _ []byte) error {
		if op == "write" && device == rootOf(r.slot) {
			t.Errorf("the running root was written at %d", at)
		}
		return nil
	})
	e := r.start("power", "")
	r.accept(e, newVersion)
	if err := e.PutPart(t.Context(), "root", strings.NewReader("short"), rootBytes); err == nil {
		t.Error("a cut part was taken")
	}
	if err := e.CallOff("owner"); err != nil {
		t.Fatal(err)
	}
	r.install(e, newVersion)
	e = r.start("software", "")
	refused(t, r.put(e, newVersion, "root"), true, "offer an update first")
	e = r.keep(e)
	r.install(e, "v1.2.0")
	e = r.keep(r.start("software", ""))
	if s := e.Status(); s.Version != "v1.2.0" || s.Slot != shared.SlotA || s.Other != newVersion {
		t.Errorf("at the end: %+v", s)
	}
}

// slow is a body whose bytes come when the test says.
type slow struct {
	*io.PipeReader
	once        *sync.Once
	interrupted chan struct{}
}

func newSlow(r *io.PipeReader) slow { return slow{r, &sync.Once{}, make(chan struct{})} }

func (s slow) Interrupt() {
	s.once.Do(func() {
		s.CloseWithError(errors.New("interrupted"))
		close(s.interrupted)
	})
}

// TestCallOffDuringPart: whoever sends is let go, also if nothing comes of it, and the next update begins at once.
func TestCallOffDuringPart(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	r.accept(e, newVersion)
	pr, pw := io.Pipe()
	body := newSlow(pr)
	sent := make(chan error, 1)
	go func() { sent <- e.PutPart(context.Background(), "root", body, rootBytes) }()
	if _, err := pw.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	until(t, "it is being written", func() bool { return e.Status().Parts[1].Done == 1000 })
	refused(t, r.put(e, newVersion, "root"), true, "or on its way")
	// Another part waits its turn, and is let go too.
	waiting := make(chan error, 1)
	go func() { waiting <- r.put(e, newVersion, "boot") }()
	until(t, "the other part waits", func() bool { return steps(e.Status())["boot"] == shared.Writing })
	if err := e.CallOff("owner"); err != nil {
		t.Fatal(err)
	}
	<-body.interrupted
	refused(t, <-sent, true, "called off")
	if err := <-waiting; err == nil {
		t.Error("a part was written after the end")
	}
	if s := e.Status(); s.Phase != shared.Idle || s.ID != "" || len(s.Parts) != 0 {
		t.Errorf("called off: %+v", s)
	}
	if s := r.start("power", "").Status(); s.Phase != shared.Idle {
		t.Errorf("after a restart: %+v", s)
	}
	r.send(e, "v1.2.0")
}

// TestSenderGoes: the part can be sent again, the other one goes on.
func TestSenderGoes(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	r.accept(e, newVersion)
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	body := newSlow(pr)
	sent := make(chan error, 1)
	go func() { sent <- e.PutPart(ctx, "root", body, rootBytes) }()
	if _, err := pw.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-sent; err == nil {
		t.Error("it was taken")
	}
	if s := e.Status(); s.Phase != shared.Receiving || steps(s)["root"] != shared.Waiting {
		t.Errorf("afterwards: %+v", s)
	}
	r.send(e, newVersion)
}

// TestTwoOffers: of two at once, one is accepted.
func TestTwoOffers(t *testing.T) {
	r := newRig(t)
	e := r.start("power", "")
	offers := []string{newVersion, "v1.2.0"}
	errs := make(chan error, len(offers))
	for _, v := range offers {
		o := r.offer(v)
		go func() {
			_, err := e.Offer(context.Background(), o)
			errs <- err
		}()
	}
	a, b := <-errs, <-errs
	if a == nil {
		a, b = b, a
	}
	if b != nil {
		t.Errorf("both were refused: %v", b)
	}
	refused(t, a, true, "is on its way")
}

// TestStorageFull: what cannot be recorded is not done, and says why.
func TestStorageFull(t *testing.T) {
	r := newRig(t)
	fill := tinyStorage(t, r.path("perm"))
	e := r.start("power", "")
	free := fill()
	_, err := e.Offer(t.Context(), r.offer(newVersion))
	refused(t, err, false, "storage is full")
	if s := e.Status(); s.Phase != shared.Idle {
		t.Errorf("afterwards: %+v", s)
	}
	free()
	r.accept(e, newVersion)
	free = fill()
	refused(t, r.put(e, newVersion, "root"), false, "storage is full")
	free()
	r.send(e, newVersion)
	free = fill()
	refused(t, e.Install(t.Context(), "owner"), false, "storage is full")
	if armed, _, err := r.loader().Armed(shared.SlotB); armed || err != nil {
		t.Errorf("armed %v, %v", armed, err)
	}
	if s := e.Status(); s.Phase != shared.Ready {
		t.Errorf("afterwards: %+v", s)
	}
	// Also a full one is called off, and it stays so as far as this process knows.
	if err := e.CallOff("owner"); err != nil {
		t.Error(err)
	}
	free()
	r.install(e, newVersion)
	// A healthy version is kept although nothing can be written, and the record follows.
	e = r.start("software", "")
	free = fill()
	r.keep(e)
	if def, err := r.loader().Default(); def != shared.SlotB || err != nil {
		t.Errorf("%s is what starts, %v", def, err)
	}
	if s := e.Status(); s.Phase != shared.Kept {
		t.Errorf("kept: %+v", s)
	}
	r.restart(false)
	if s := r.start("power", "").Status(); s.Phase != shared.Kept {
		t.Errorf("kept, after a restart: %+v", s)
	}
	free()
	// Nor is the reason lost of one that is given up.
	r.install(r.start("power", ""), "v1.2.0")
	r.deadline = 1
	r.healthy("console")
	e = r.start("software", "")
	free = fill()
	if !e.Look(t.Context()) || r.state().Undo {
		t.Error("it was not given up, or that could be recorded")
	}
	free()
	r.restart(false)
	if s := r.start("software", "").Status(); s.Phase != shared.RolledBack || !strings.Contains(s.Reason, "The console is not well.") {
		t.Errorf("given up: %+v", s)
	}
}
