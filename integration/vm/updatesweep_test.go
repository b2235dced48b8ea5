package vm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"porthole/integration/vm"
)

// quick are flags of system that make a trial short; the deadline is long enough for a machine that is busy besides.
var quick = []string{"-trial-healthy=5s", "-trial-deadline=5m"}

// recorded is a whole update that was recorded.
type recorded struct {
	*vm.Recording
	// offered, asked and kept are how many requests were on the medium for certain when the update was offered, when it was
	// to be installed, and when it was kept.
	offered, asked, kept int
	// choosing are the requests that decide what starts: writes to the boot partition from then on. arm is the one that has
	// the new version started, once.
	choosing []int
	arm      int
}

// recordUpdate has a machine go through a whole update.
func recordUpdate(t *testing.T, up *bundle, u updater) recorded {
	t.Helper()
	disk := newDisk(t, theVMImage(t), 2<<30)
	m, open := record(t, disk, vm.Options{Forward: []int{443, vm.AgentPort}, Reboot: true})
	u.m = m
	if s := u.isReady(t); s.Version != oldVersion || s.Slot != "slot-a" {
		t.Fatalf("the machine says %+v", s)
	}
	isHealthy(t, m)
	now := func() int64 {
		size, err := m.Recorded()
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
	defer cancel()
	offered := now()
	if sent, err := u.bring(ctx, t, up, false); err != nil {
		t.Fatalf("bring the update, of which %q was sent: %v", sent, err)
	}
	asked := now()
	if err := u.install(ctx); err != nil {
		t.Fatal(err)
	}
	if s := u.end(t); s.Phase != "kept" || s.Version != newVersion || s.Slot != "slot-b" {
		t.Fatalf("the update ended as %+v", s)
	}
	kept := now()
	stop(t, m)
	r := recorded{Recording: open()}
	r.offered, r.asked, r.kept = r.Durable(offered), r.Durable(asked), r.Durable(kept)
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range r.Writes(parts[0].Start, parts[0].Size) {
		if i < r.asked {
			continue
		}
		r.choosing = append(r.choosing, i)
		data, err := r.Data(i)
		if err != nil {
			t.Fatal(err)
		}
		if r.arm == 0 && bytes.Contains(data, []byte(armed)) {
			r.arm = i
		}
	}
	if r.arm == 0 {
		t.Fatal("the loader's folder was never written with a name that counts its tries")
	}
	t.Logf("%d requests were recorded; it was offered after %d of them, installed after %d, kept after %d; %v decide what starts",
		len(r.Entries), r.offered, r.asked, r.kept, r.choosing)
	return r
}

// armed is the middle of the name of a loader's entry with a try left, as FAT has it.
const armed = "+\x001\x00.\x00"

// cuts chooses n cuts: one just before and one just behind each write that decides what starts, the rest spread over the
// update. With few, arming and keeping come first.
func (r recorded) cuts(n int) []vm.Cut {
	arm, keep := r.arm, r.choosing[len(r.choosing)-1]
	list := []vm.Cut{
		{After: r.BeforeFlush(arm), Loss: vm.Everything},
		{After: r.BeforeFlush(arm) + 1, Loss: vm.Nothing},
		{After: r.BeforeFlush(keep), Loss: vm.Everything},
	}
	for _, i := range r.choosing {
		list = append(list, vm.Cut{After: i, Loss: vm.Nothing}, vm.Cut{After: i + 1, Loss: vm.Nothing})
	}
	list = append(list, vm.Cut{After: r.BeforeFlush(keep) + 1, Loss: vm.Everything})
	// At least one of those in CI is while the parts are written.
	rest := max(n-len(list), 1)
	list = slices.Insert(list, min(3, len(list)), spread(r.Recording, r.offered, len(r.Entries), rest)...)
	return list[:n]
}

// TestUpdateSweep records one update, from the offer until it is kept, and cuts the power in it, again and again: while
// parts are written, at the writes that arm the loader and that keep the new version, and at any other moment. Every time
// the device comes up with the old version or the new one, healthy, after no more restarts than it may try.
func TestUpdateSweep(t *testing.T) {
	t.Parallel()
	u := takeApart(t, theVMImage(t), "vm")
	up := u.make(t, newVersion, change{flags: quick})
	r := recordUpdate(t, up, updater{keys: u.keys})
	ends := make(chan string, *powerCuts)
	t.Run("cuts", func(t *testing.T) {
		for i, c := range r.cuts(*powerCuts) {
			t.Run(fmt.Sprintf("%d %s", i, c), func(t *testing.T) {
				t.Parallel()
				ends <- r.afterCut(t, c)
			})
		}
	})
	close(ends)
	count := map[string]int{}
	for version := range ends {
		count[version]++
	}
	t.Logf("after %d power cuts: %v", *powerCuts, count)
}

// afterCut boots what a cut leaves and returns the version that the device ends up with.
func (r recorded) afterCut(t *testing.T, c vm.Cut) string {
	flushed := r.Flushed(c)
	m := boot(t, vm.Options{Disk: replay(t, r.Recording, c), Forward: []int{443, vm.AgentPort}, Reboot: true})
	u := updater{m: m}
	s := u.settled(t)
	switch {
	case s.Version != oldVersion && s.Version != newVersion:
		t.Errorf("the device runs %q", s.Version)
	case s.Slot != map[string]string{oldVersion: "slot-a", newVersion: "slot-b"}[s.Version]:
		t.Errorf("the device runs %s from %s", s.Version, s.Slot)
	case flushed < r.asked && s.Version != oldVersion:
		t.Errorf("nobody had asked for the installation yet, and the device runs %s", s.Version)
	case flushed >= r.kept && s.Version != newVersion:
		t.Errorf("the update was kept, and the device runs %s", s.Version)
	case s.Phase == "kept" && s.Version != newVersion, s.Phase == "rolled-back" && s.Version != oldVersion, s.Phase == "failed":
		t.Errorf("the device runs %s and says of the update to %s: %s, %s", s.Version, s.Target, s.Phase, s.Reason)
	}
	if most := 2 * maxTries; m.Resets() > most {
		t.Errorf("it was restarted %d times, more than %d", m.Resets(), most)
	}
	if st := readPermStatus(t, m.Agent()); st.State != "ok" || st.Problem != "" {
		t.Errorf("the storage's status is %+v", st)
	}
	t.Logf("%s, %s after %d restarts", s.Version, s.Phase, m.Resets())
	m.Kill()
	return s.Version
}

// maxTries is how often a version is started that ended by a loss of power.
const maxTries = 3

// settled waits until nothing goes on by itself any more: the update is over, or waits for somebody.
func (u updater) settled(t *testing.T) (s status) {
	t.Helper()
	within(t, updatePatience, "see what has become of the update", func(ctx context.Context) (err error) {
		if s, err = u.status(ctx); err != nil {
			return err
		}
		if s.Phase == "restarting" || s.Phase == "trying" {
			return fmt.Errorf("it is %s: try %d, healthy for %.0f of %.0f s, checks %+v", s.Phase, s.Try, s.HealthyFor, s.HealthyNeeded, s.Checks)
		}
		return nil
	})
	isHealthy(t, u.m)
	return s
}

// updateKills is how often TestLongUpdateKills kills QEMU.
const updateKills = 4

// TestLongUpdateKills kills QEMU at swept times of a live update, again and again on one device, which goes on with the
// update each time. In the end it is kept.
func TestLongUpdateKills(t *testing.T) {
	t.Parallel()
	k := takeApart(t, theVMImage(t), "vm")
	up := k.make(t, newVersion, change{flags: quick})
	disk := newDisk(t, theVMImage(t), 2<<30)
	kills := max(updateKills, *powerCuts)
	// A whole update takes about so long here; where a kill falls is not so important that it would have to be measured.
	const whole = 90 * time.Second
	for kill := range kills + 1 {
		m := boot(t, vm.Options{Disk: disk, Forward: []int{443, vm.AgentPort}, Reboot: true})
		u := updater{m: m, keys: k.keys}
		s := u.settled(t)
		t.Logf("after %d kills the device runs %s and says %s", kill, s.Version, s.Phase)
		if s.Version == newVersion {
			return
		}
		if s.Version != oldVersion || s.Phase == "failed" || s.Phase == "rolled-back" {
			t.Fatalf("after %d kills the device says %+v", kill, s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), updatePatience)
		if kill < kills {
			cancel()
			ctx, cancel = context.WithTimeout(t.Context(), whole*time.Duration(kill+1)/time.Duration(kills))
		}
		err := u.through(ctx, t, up)
		cancel()
		if kill == kills || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			if err != nil {
				t.Fatal(err)
			}
		}
		m.Kill()
	}
	m := boot(t, vm.Options{Disk: disk, Forward: []int{443, vm.AgentPort}, Reboot: true})
	if s := (updater{m: m}).settled(t); s.Version != newVersion {
		t.Errorf("in the end the device says %+v", s)
	}
}

// through brings an update, installs it and waits until it is kept.
func (u updater) through(ctx context.Context, t *testing.T, up *bundle) error {
	if _, err := u.bring(ctx, t, up, false); err != nil {
		return err
	}
	if err := u.install(ctx); err != nil {
		return err
	}
	return u.awaitPhase(ctx, "kept")
}
