package vm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"porthole/integration/vm"
	"porthole/packages/updatekit"
)

// TestLongUpdateFigures measures what an update costs, for `make bench`: the bytes of one that changes only programs, the
// time to write it, the time without a device while it is started, and the time to come back from one that does not work.
// QEMU interprets, and the machine may be busy: read each time against its floor in the same run.
func TestLongUpdateFigures(t *testing.T) {
	k := takeApart(t, theVMImage(t), "vm")
	good := k.make(t, newVersion, change{flags: quick})
	disk := newDisk(t, theVMImage(t), 2<<30)
	o := vm.Options{Disk: disk, Forward: []int{443, vm.AgentPort}, Reboot: true}
	m := boot(t, o)
	u := updater{m: m, keys: k.keys}
	u.isReady(t)
	isHealthy(t, m)

	began := time.Now()
	switchOff(t, m)
	m = boot(t, o)
	isHealthyAsked(t, m, answerWithin)
	floor := time.Since(began)
	t.Logf("switched off and on again, until all is well (the floor): %.1f s", floor.Seconds())

	u.m = m
	u.isReady(t)
	whole := filepath.Join(t.TempDir(), "whole.update")
	good.write(t, k.keys, whole)
	info, err := os.Stat(whole)
	if err != nil {
		t.Fatal(err)
	}
	root := good.content[updatekit.PartRoot]
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	began = time.Now()
	if err := m.Agent().Put(ctx, "/perm/floor", bytes.NewReader(root), int64(len(root))); err != nil {
		t.Fatal(err)
	}
	written := time.Since(began)
	began = time.Now()
	sent, err := u.bring(ctx, t, good, false)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if !slices.Equal(sent, []string{updatekit.PartRoot}) {
		t.Errorf("of an update that changes only programs %q was sent", sent)
	}
	t.Logf("an update that changes only programs: %.1f of %.1f MB are sent", float64(len(root))/1e6, float64(info.Size())/1e6)
	t.Logf("verified, written, read back, the other part copied: %.1f s, %.1f × the same bytes written to a file and synced", took.Seconds(), float64(took)/float64(written))

	t.Logf("from the order to restart until all is well with the new version: %s", against(u.timed(t, "trying", "kept"), floor))
	if s := u.end(t); s.Phase != "kept" {
		t.Fatalf("the update ended as %+v", s)
	}
	for _, c := range []struct {
		what   string
		change change
	}{
		{"a root that panics", change{root: inPlaceOf("gokrazy/init", stuck(t, "vm"))}},
		{"a process that never gets ready, given up after 60 s", change{flags: hasty, root: inPlaceOf("user/signaling", stuck(t, "vm"))}},
	} {
		if _, err := u.bring(ctx, t, k.make(t, "v9.0.1", c.change), false); err != nil {
			t.Fatal(err)
		}
		t.Logf("from the order to restart until all is well again with the former version, %s: %s", c.what, against(u.timed(t, "rolled-back"), floor))
	}
}

func against(d, floor time.Duration) string {
	return fmt.Sprintf("%.1f s, %.1f × switching off and on", d.Seconds(), float64(d)/float64(floor))
}

// answerWithin is soon enough for a guest that is up: one that is restarted swallows a question.
const answerWithin = 5 * time.Second

// timed installs what is ready and returns how long it took until the device was in one of the phases, and well.
func (u updater) timed(t *testing.T, phases ...string) time.Duration {
	t.Helper()
	began := time.Now()
	if err := u.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "see the device again", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		s, err := u.status(ctx)
		if err == nil && !slices.Contains(phases, string(s.Phase)) {
			err = fmt.Errorf("it is %s", s.Phase)
		}
		return err
	})
	isHealthyAsked(t, u.m, answerWithin)
	return time.Since(began)
}
