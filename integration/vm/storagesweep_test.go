package vm_test

import (
	"context"
	"fmt"
	"testing"

	"porthole/integration/stack"
	"porthole/integration/vm"
)

// TestStorageSweep records a device while somebody uploads media, edits playlists and cameras and renews certificates, and
// cuts the power again and again in what was recorded. What was acknowledged before a cut is there after it, byte for byte,
// though nothing is that was not flushed; what was not acknowledged goes on or is gone; the file system and the database are
// whole; the certificates are old or new ones.
func TestStorageSweep(t *testing.T) {
	t.Parallel()
	m, open := record(t, newDisk(t, theVMImage(t), 2<<30), vm.Options{Forward: []int{443, vm.AgentPort}})
	u := logIn(t, m)
	s := &shop{e: &stack.Editor{HTTP: u.c, Base: u.at}, now: m.Recorded}
	renewals := newRenewals(t)
	renewals.note = func(name string, serial int64) { s.note(func(c *claims) { c.renewed[name] = serial }) }
	s.work(t, m, renewals, *powerCuts)
	r := open()
	from := r.Durable(s.lines[0].at)
	t.Logf("%d requests were recorded, %d of them while %d things were acknowledged", len(r.Entries), len(r.Entries)-from, len(s.lines))
	for i, c := range spread(r, from, len(r.Entries), *powerCuts) {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			s.afterCut(t, r, c, renewals, u, i == 0)
		})
	}
}

// work works until the power is cut: longer for more cuts.
func (s *shop) work(t *testing.T, m *vm.Machine, renewals *renewals, cuts int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	working, finish := context.WithCancel(ctx)
	defer finish()
	edits, uploads, renewed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	failures := make(chan error, 3)
	go func() { failures <- s.edit(working, edits) }()
	go func() { failures <- s.upload(working, t, uploads) }()
	go func() { failures <- renewals.publish(working, m.Agent(), renewed) }()
	for left := [3]int{12 + cuts, 4 + cuts/4, 4 + cuts/4}; max(left[0], left[1], left[2]) > 0; {
		select {
		case <-edits:
			left[0]--
		case <-uploads:
			left[1]--
		case <-renewed:
			left[2]--
		case err := <-failures:
			t.Fatalf("before the power was cut: %v", err)
		case <-ctx.Done():
			t.Fatalf("not enough was acknowledged in time; edits, uploads and renewals to go: %v", left)
		}
	}
	stop(t, m)
	finish()
	for range cap(failures) {
		if err := <-failures; stack.StatusOf(err) != 0 {
			t.Errorf("while the power was cut: %v", err)
		}
	}
	s.e.HTTP.CloseIdleConnections()
	if s.err != nil {
		t.Fatal(s.err)
	}
}

// afterCut boots the disk that a cut leaves and looks for all that was acknowledged. u is logged in. off: the device is
// switched off in the end, and another machine finds nothing to mend.
func (s *shop) afterCut(t *testing.T, r *vm.Recording, cut vm.Cut, renewals *renewals, u console, off bool) {
	c := s.upTo(r, r.Flushed(cut))
	disk := replay(t, r, cut)
	m := startVM(t, disk)
	if st := readPermStatus(t, m.Agent()); st.State != "ok" || st.Problem != "" || st.WasBytes != 0 {
		t.Errorf("the storage's status is %+v", st)
	}
	e := &stack.Editor{HTTP: u.again(t, m), Base: "https://" + m.Addr(443)}
	eventually(t, "open the console's page of playlists", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askOnce)
		defer cancel()
		_, err := e.Get(ctx, "/playlists")
		return err
	})
	c.check(t, m, e)
	renewals.checkAtLeast(t, m, c.renewed, true)
	t.Logf("all is there: %d playlists, %d cameras, %d uploads, certificates %v", len(c.playlists), len(c.cameras), len(c.uploads), c.renewed)
	if off {
		switchOff(t, m)
		parts, err := vm.Partitions(disk)
		if err != nil {
			t.Fatal(err)
		}
		runTool(t, "e2fsprogs", "e2fsck", "-f", "-n", fmt.Sprintf("%s?offset=%d", disk, parts[3].Start))
	}
}
