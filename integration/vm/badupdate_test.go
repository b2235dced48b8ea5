package vm_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"porthole/gokrazy-instance/imager/keys"
	"porthole/integration/vm"
	"porthole/packages/updatekit"
)

// hasty are flags of system for versions that are to be given up.
var hasty = []string{"-trial-healthy=5s", "-trial-deadline=60s"}

// TestBadUpdates brings one device what it must refuse, then a version that does not work, which is rolled back with its
// reason, and in the end one that does, over the network by the command-line tool.
func TestBadUpdates(t *testing.T) {
	t.Parallel()
	u, k := updaterOf(t)
	good := k.make(t, newVersion, change{flags: quick})
	u.refuses(t, good)
	u.refusesParts(t, good)
	u.rollsBack(t, k, 1, "a process that never gets ready", "v8.0.2", change{flags: hasty, root: inPlaceOf("user/signaling", stuck(t, "vm"))}, "signaling")
	u.keepsByTool(t, good)
}

// TestLongBadUpdates has more versions that do not work.
func TestLongBadUpdates(t *testing.T) {
	t.Parallel()
	u, k := updaterOf(t)
	// The virtual machine's kernel keeps no last words and its firmware tells no reason: what panics at once cannot be told from
	// a loss of power, and has the tries of one. A Raspberry Pi knows (TestPiUpdate).
	u.rollsBack(t, k, maxTries, "a root that panics", "v8.0.1", change{root: inPlaceOf("gokrazy/init", stuck(t, "vm"))}, "did not come up in 3 tries")
	u.rollsBack(t, k, 1, "a screen that stays black", "v8.0.3", change{flags: hasty, boot: withoutDisplay}, "no display output")
}

// updaterOf is a device that is well, and the parts of its updates.
func updaterOf(t *testing.T) (updater, *master) {
	t.Helper()
	k := takeApart(t, theVMImage(t), "vm")
	u := updater{m: boot(t, vm.Options{Disk: newDisk(t, theVMImage(t), 2<<30), Forward: []int{443, vm.AgentPort}, Reboot: true}), keys: k.keys}
	u.isReady(t)
	isHealthy(t, u.m)
	return u, k
}

// TestLongUpdateWatchdog: a version on trial in which system stops is restarted by the watchdog, and rolled back.
func TestLongUpdateWatchdog(t *testing.T) {
	t.Parallel()
	u, k := updaterOf(t)
	m := u.m
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	if _, err := u.bring(ctx, t, k.make(t, newVersion, change{flags: []string{"-trial-healthy=9m"}}), false); err != nil {
		t.Fatal(err)
	}
	if err := u.install(ctx); err != nil {
		t.Fatal(err)
	}
	if err := u.awaitPhase(ctx, "trying"); err != nil {
		t.Fatal(err)
	}
	heartBeats(t, m.Agent())
	if err := m.Agent().Signal(ctx, find(t, m.Agent(), "system").PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s := u.end(t)
	if s.Phase != "rolled-back" || s.Version != oldVersion || s.Try != 1 || !strings.Contains(strings.ToLower(s.Reason), "watchdog") {
		t.Errorf("the device says %+v", s)
	}
	if m.WatchdogBites() != 1 {
		t.Errorf("the watchdog ran out %d times", m.WatchdogBites())
	}
	t.Log(s.Reason)
}

// refused: the manifest is refused with a sentence that has the words.
func (u updater) refused(t *testing.T, what string, manifest, signature []byte, words ...string) {
	t.Helper()
	_, err := u.offer(t.Context(), manifest, signature, false)
	var no *vm.Refusal
	if !errors.As(err, &no) || no.Code != http.StatusUnprocessableEntity {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(no.Text, word) {
			t.Errorf("%s: the answer has no %q: %s", what, word, no.Text)
		}
	}
	t.Logf("%s: %s", what, no.Text)
	if s, err := u.status(t.Context()); err != nil || !ended(string(s.Phase)) {
		t.Errorf("%s: then the device says %+v, %v", what, s, err)
	}
}

// refuses: nothing is written because of a manifest that is not right.
func (u updater) refuses(t *testing.T, good *bundle) {
	t.Helper()
	manifest, signature := good.signed(t, u.keys)
	flipped := bytes.Clone(manifest)
	flipped[bytes.Index(flipped, []byte("9.0.0"))] ^= 1 // 8.0.0: still a version
	u.refused(t, "flipped bit in the manifest", flipped, signature, "signature is wrong")
	u.refused(t, "manifest cut short", manifest[:len(manifest)/2], signature, "signature")
	u.refused(t, "no signature", manifest, nil, "signature")
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keys.Make(dir, ""); err != nil {
		t.Fatal(err)
	}
	other, err := keys.Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	_, foreign := good.signed(t, other)
	u.refused(t, "wrong key", manifest, foreign, "does not trust")
	for _, c := range []struct {
		what   string
		change func(*updatekit.Manifest)
		word   string
	}{
		{"wrong board", func(m *updatekit.Manifest) { m.Board = "pi" }, `"pi"`},
		{"older", func(m *updatekit.Manifest) { m.Version = "v0.0.0-1-gabcdef0" }, "older"},
		{"needs a newer one first", func(m *updatekit.Manifest) { m.Minimum = "v8.0.0" }, "at least version v8.0.0"},
		{"too large", func(m *updatekit.Manifest) { m.Parts[0].Size, m.Parts[0].Stored = 200<<20, 200<<20 }, "room"},
	} {
		b := *good
		b.manifest.Parts = slices.Clone(good.manifest.Parts)
		c.change(&b.manifest)
		manifest, signature := b.signed(t, u.keys)
		u.refused(t, c.what, manifest, signature, c.word)
	}
	// It is asked for.
	b := *good
	b.manifest.Version = "v0.0.0-1-gabcdef0"
	manifest, signature = b.signed(t, u.keys)
	if s, err := u.offer(t.Context(), manifest, signature, true); err != nil || s.Target != b.manifest.Version {
		t.Errorf("a downgrade that was asked for: %+v, %v", s, err)
	}
	u.callOff(t)
}

func (u updater) callOff(t *testing.T) {
	t.Helper()
	b := []byte(`{"who":"test"}`)
	if err := u.m.Agent().Pass(t.Context(), systemSocket, http.MethodDelete, "/update", bytes.NewReader(b), int64(len(b)), nil); err != nil {
		t.Errorf("call the update off: %v", err)
	}
}

// refusesParts: a part that is not the one in the manifest is not taken, and cannot be installed.
func (u updater) refusesParts(t *testing.T, good *bundle) {
	t.Helper()
	// Another boot part than the device has: otherwise it would copy its own.
	changed := rewriteBoot(t, good.content[updatekit.PartBoot], quieter)
	b := newBundle("vm", newVersion, changed, good.content[updatekit.PartRoot])
	manifest, signature := b.signed(t, u.keys)
	if _, err := u.offer(t.Context(), manifest, signature, false); err != nil {
		t.Fatal(err)
	}
	for name, content := range b.content {
		flipped := bytes.Clone(content)
		flipped[len(flipped)*2/3] ^= 0x10
		for what, wrong := range map[string][]byte{"flipped bit": flipped, "cut short": content[:len(content)/2]} {
			err := u.send(t.Context(), name, wrong)
			// A part of the wrong length is refused before it is read: whoever sends it may not get to read the answer.
			if what == "cut short" && err != nil {
				t.Logf("%s in part %s: %v", what, name, err)
				continue
			}
			var no *vm.Refusal
			if !errors.As(err, &no) || no.Code/100 != 4 {
				t.Errorf("%s in part %s: %v", what, name, err)
				continue
			}
			t.Logf("%s in part %s: %s", what, name, no.Text)
		}
	}
	s, err := u.status(t.Context())
	if err != nil || s.Phase != "receiving" || hasDone(s) {
		t.Errorf("after parts that are not those of the manifest the device says %+v, %v", s, err)
	}
	var no *vm.Refusal
	if err = u.install(t.Context()); !errors.As(err, &no) || no.Code != http.StatusConflict {
		t.Errorf("what was not sent can be installed: %v", err)
	}
	u.callOff(t)
}

// hasDone is whether a part is in place.
func hasDone(s status) bool {
	for _, p := range s.Parts {
		if p.Step == "done" || p.Step == "read-back" {
			return true
		}
	}
	return false
}

// quieter changes a kernel's command line in a way that changes nothing.
func quieter(name string, content []byte) []byte {
	if name != "cmdline.txt" {
		return content
	}
	return bytes.Replace(content, []byte("\n"), []byte(" porthole.test=1\n"), 1)
}

// withoutDisplay leaves the kernel without a driver for the machine's display.
func withoutDisplay(name string, content []byte) []byte {
	if name != "cmdline.txt" {
		return content
	}
	return bytes.Replace(content, []byte("\n"), []byte(" initcall_blacklist=virtio_gpu_driver_init\n"), 1)
}

// rollsBack: a version that does not work is tried so often and taken back; the device says why, and goes on with what it had.
func (u updater) rollsBack(t *testing.T, k *master, tries int, what, version string, c change, words ...string) {
	t.Helper()
	had, before := t.Failed(), u.isReady(t)
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	sent, err := u.bring(ctx, t, k.make(t, version, c), false)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if c.boot == nil && slices.Contains(sent, updatekit.PartBoot) {
		t.Errorf("%s: the boot part is the one that runs, and was sent", what)
	}
	at := len(u.m.Serial())
	resets := u.m.Resets()
	if err := u.install(ctx); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	s := u.end(t)
	if s.Phase != "rolled-back" || s.Version != before.Version || s.Slot != before.Slot || s.Target != version || s.Try != tries {
		t.Errorf("%s: the device says %+v", what, s)
	}
	for _, word := range words {
		if !strings.Contains(strings.ToLower(s.Reason), word) {
			t.Errorf("%s: the reason has no %q: %s", what, word, s.Reason)
		}
	}
	if len(s.History) == 0 || s.History[0].To != version || s.History[0].What != "rolled-back" || s.History[0].Reason != s.Reason {
		t.Errorf("%s: the history begins with %+v", what, s.History[:min(1, len(s.History))])
	}
	if n := u.m.Resets() - resets; n != 2*tries {
		t.Errorf("%s: the device was restarted %d times, not %d times there and back", what, n, tries)
	}
	if t.Failed() && !had {
		t.Fatalf("%s: the serial console said:\n%s", what, u.m.Serial()[at:])
	}
	t.Logf("%s: %s", what, s.Reason)
}

// keepsByTool: a good version comes over the network by the command-line tool, and is kept.
func (u updater) keepsByTool(t *testing.T, good *bundle) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "porthole.update")
	good.write(t, u.keys, file)
	c := logIn(t, u.m)
	said, err := updateCommand(t, u.m, c.token(t), file).CombinedOutput()
	if err != nil {
		t.Fatalf("porthole update: %v\n%s", err, said)
	}
	s := u.end(t)
	if s.Phase != "kept" || s.Version != newVersion || len(s.History) < 2 || s.History[0].To != newVersion || s.History[0].What != "kept" {
		t.Errorf("the device says %+v", s)
	}
	t.Logf("porthole update says:\n%s", said)
}
