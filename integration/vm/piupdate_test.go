package vm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/integration/vm"
	"porthole/packages/bootkit"
	"porthole/packages/updatekit"
)

// piLife is a Raspberry Pi over its starts.
type piLife struct {
	pi    *vm.Pi
	disk  string
	m     *vm.Machine
	token string
}

// TestPiUpdate: the shipped image on a Raspberry Pi takes updates by the command-line tool. One is tried by tryboot, loses its
// power in the middle of the trial, is tried again and kept. Then one crashes and one hangs before Linux's watchdog: the
// firmware's brings the kept one back, which says why. With -short there is none that hangs, for it takes minutes to know. The
// parts lie on the card before, as after an upload that was interrupted: QEMU's USB network carries 80 KB a second
// (TestBadUpdates sends them).
func TestPiUpdate(t *testing.T) {
	t.Parallel()
	k := takeApart(t, thePiImage(t), "pi")
	disk := newDisk(t, thePiImage(t), vm.SDSize(0))
	l := &piLife{disk: disk, pi: vm.NewPi(vm.Options{Disk: disk, Forward: []int{443}, Log: serialLog()})}
	l.powerOn(t)
	l.plugIn(t)
	isHealthy(t, l.m)
	l.token = logIn(t, l.m).token(t)

	ended := l.begin(t, k, bootkit.SlotB, k.make(t, newVersion, change{flags: quick}))
	l.next(t, vm.Tryboot)
	l.says(t, `msg=storage state=ok`)
	l.m.Kill()
	t.Log("the power is cut during the trial")
	l.powerOn(t)
	l.next(t, vm.Tryboot)
	t.Log("it is tried again")
	l.plugIn(t)
	if end := ended(); end.err != nil {
		t.Fatalf("porthole update: %v\n%s", end.err, end.said)
	}
	s := l.is(t, newVersion, "slot-b", "kept")
	if s.Try != 2 {
		t.Errorf("it was tried %d times, not twice", s.Try)
	}

	ended = l.begin(t, k, bootkit.SlotA, k.make(t, "v9.0.1", change{flags: hasty, root: inPlaceOf("gokrazy/init", stuck(t, "pi"))}))
	l.next(t, vm.Tryboot)
	l.next(t, vm.Panicked)
	l.plugIn(t)
	l.wasRolledBack(t, ended(), "kernel panic")
	if s := l.is(t, newVersion, "slot-b", "rolled-back"); !strings.Contains(s.History[0].Detail, "Attempted to kill init") {
		t.Errorf("the kernel's last words are not in the history: %+v", s.History[0])
	}

	if testing.Short() {
		return
	}
	ended = l.begin(t, k, bootkit.SlotA, k.make(t, "v9.0.2", change{flags: hasty, boot: hangs}))
	l.next(t, vm.Tryboot)
	l.next(t, vm.Bitten)
	l.plugIn(t)
	l.wasRolledBack(t, ended(), "watchdog")
	l.is(t, newVersion, "slot-b", "rolled-back")
}

func (l *piLife) powerOn(t *testing.T) {
	t.Helper()
	var err error
	if l.m, err = l.pi.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	cleanUp(t, l.m)
}

// next waits until the Pi resets itself, and expects a reason.
func (l *piLife) next(t *testing.T, want vm.Reset) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	m, why, err := l.pi.Next(ctx, l.m)
	if err != nil {
		t.Fatal(err)
	}
	l.m = m
	cleanUp(t, m)
	t.Logf("the Pi starts because of: %s", why)
	if why != want {
		t.Fatalf("the Pi starts because of %s, not %s", why, want)
	}
}

// says waits for a line on the serial console.
func (l *piLife) says(t *testing.T, pattern string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	if _, _, err := l.m.WaitSerial(ctx, 0, pattern); err != nil {
		t.Fatal(err)
	}
}

// plugIn plugs the network in once the processes run. On a busy machine QEMU's USB network now and then carries nothing from
// its first packet on, for good: then the plug is pulled and put in again.
func (l *piLife) plugIn(t *testing.T) {
	t.Helper()
	l.says(t, `processes: running:`)
	c := visitor(t)
	eventually(t, "reach the console after the plug was put in", func(ctx context.Context) error {
		if err := l.m.PlugIn(ctx); err != nil {
			t.Fatal(err)
		}
		asked, cancel := context.WithTimeout(ctx, 2*askOnce)
		defer cancel()
		ask := func() error {
			_, err := open(asked, c, http.MethodGet, "https://"+l.m.Addr(443)+"/ca.pem", nil)
			return err
		}
		err := ask()
		for err != nil && pause(asked) == nil {
			err = ask()
		}
		if err != nil {
			t.Logf("the plug is pulled and put in again: %v", err)
			err = errors.Join(err, l.m.PullOut(ctx))
		}
		return err
	})
}

// toolEnd is what `porthole update` said, and how it ended.
type toolEnd struct {
	said string
	err  error
}

// begin puts an update's parts into a slot, and has the command-line tool bring it, over all restarts. The function waits for its end.
func (l *piLife) begin(t *testing.T, k *master, slot string, b *bundle) func() toolEnd {
	t.Helper()
	place(t, l.disk, slot, b, k)
	file := filepath.Join(t.TempDir(), "porthole.update")
	b.write(t, k.keys, file)
	done := make(chan toolEnd, 1)
	cmd := updateCommand(t, l.m, l.token, file)
	go func() {
		said, err := cmd.CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "porthole update: %v\n%s\n", err, said) // the test may wait for something else
		}
		done <- toolEnd{string(said), err}
	}()
	return func() toolEnd { return <-done }
}

// place writes an update's parts into a slot of a Pi's card, which may be in use: what is written there comes from the medium.
func place(t *testing.T, disk, slot string, b *bundle, k *master) {
	t.Helper()
	p, root, uuid := openCard(t, disk, slot)
	manifest, signature := b.signed(t, k.keys)
	err := p.WriteSlot(t.Context(), slot, bytes.NewReader(b.content[updatekit.PartBoot]), bootkit.Slot{PartUUID: uuid, Extra: map[string][]byte{
		updatekit.ManifestFile: manifest, updatekit.SignatureFile: signature}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.Write(b.content[updatekit.PartRoot]); err != nil {
		t.Fatal(err)
	}
}

// is checks what the device says of itself.
func (l *piLife) is(t *testing.T, version, slot, phase string) (s status) {
	t.Helper()
	eventually(t, "ask how the update is", func(ctx context.Context) (err error) {
		s, err = tokenStatus(ctx, t, l.m, l.token)
		return err
	})
	if s.Version != version || s.Slot != slot || string(s.Phase) != phase || len(s.History) == 0 {
		t.Fatalf("the device says %+v", s)
	}
	isHealthy(t, l.m)
	return s
}

func (l *piLife) wasRolledBack(t *testing.T, end toolEnd, word string) {
	t.Helper()
	if end.err == nil || !strings.Contains(strings.ToLower(end.said), word) {
		t.Errorf("porthole update ended with %v and did not say %q:\n%s", end.err, word, end.said)
	}
	t.Logf("porthole update says:\n%s", end.said)
}

// hangs puts a kernel in the place of the real one that does nothing, for ever: the header of an arm64 Image
// (Documentation/arch/arm64/booting.rst) whose first instruction jumps to itself.
func hangs(name string, content []byte) []byte {
	if name != "vmlinuz" {
		return content
	}
	image := make([]byte, 64<<10)
	binary.LittleEndian.PutUint32(image, 0x14000000)
	binary.LittleEndian.PutUint64(image[16:], uint64(len(image)))
	copy(image[56:], "ARM\x64")
	return image
}
