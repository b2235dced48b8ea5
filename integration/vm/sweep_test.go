package vm_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"porthole/integration/vm"
)

// powerCuts is how often each sweep cuts the power; `make soak` does it more often.
var powerCuts = flag.Int("cuts", 4, "how often each sweep cuts the power")

// record boots a disk and records what it does to it. The recording can be read with open, once the machine has ended.
func record(t *testing.T, disk string, o vm.Options) (m *vm.Machine, open func() *vm.Recording) {
	t.Helper()
	dir := t.TempDir()
	base, log := filepath.Join(dir, "base.img"), filepath.Join(dir, "log")
	if err := vm.CopyDisk(disk, base, 0); err != nil {
		t.Fatal(err)
	}
	o.Disk, o.Record = disk, log
	m = boot(t, o)
	return m, func() *vm.Recording {
		t.Helper()
		r, err := vm.OpenRecording(base, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		// What is replayed to the end is what the machine has left.
		whole := filepath.Join(dir, "whole.img")
		if err := r.Replay(vm.Cut{After: len(r.Entries), Loss: vm.Nothing}, whole); err != nil {
			t.Fatal(err)
		}
		if err := vm.SameDisk(whole, disk); err != nil {
			t.Fatalf("the recording, replayed: %v", err)
		}
		if err := os.Remove(whole); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// stop ends a machine that is recorded.
func stop(t *testing.T, m *vm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := m.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// replay makes the disk as a cut leaves it.
func replay(t *testing.T, r *vm.Recording, c vm.Cut) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := r.Replay(c, disk); err != nil {
		t.Fatal(err)
	}
	return disk
}

// spread chooses n cuts among the requests from the from-th to before the to-th: one in each of n parts of them, of every
// kind in turn. A cut that loses something is put where there is the most to lose in its part: just before the flush that
// would have saved it.
func spread(r *vm.Recording, from, to, n int) []vm.Cut {
	var cuts []vm.Cut
	kinds := vm.Losses()
	for i := range n {
		first, last := from+(to-from)*i/n, from+(to-from)*(i+1)/n
		c := vm.Cut{After: (first + last) / 2, Loss: kinds[i%len(kinds)]}
		if c.Loss != vm.Nothing {
			most := -1
			for at := first; at < last; at++ {
				end := r.BeforeFlush(at)
				if open := end - r.Flushed(vm.Cut{After: end}); open > most && end < to {
					c.After, most = end, open
				}
				at = end
			}
		}
		cuts = append(cuts, c)
	}
	return cuts
}
