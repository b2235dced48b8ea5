package vm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// permStatus is what init leaves for screen and console.
type permStatus struct {
	State     string   `json:"state"`
	Problem   string   `json:"problem"`
	SizeBytes int64    `json:"size_bytes"`
	WasBytes  int64    `json:"was_bytes"`
	Check     []string `json:"check"`
}

func readPermStatus(t *testing.T, a vm.Agent) permStatus {
	t.Helper()
	var text string
	eventually(t, "read the storage's status", func(ctx context.Context) (err error) {
		text, err = a.ReadFile(ctx, "/run/porthole/perm-status.json")
		return err
	})
	var s permStatus
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("the storage's status is %q: %v", text, err)
	}
	return s
}

// checkGrown: on its first boot /perm has grown over the whole card.
func checkGrown(t *testing.T, a vm.Agent) {
	t.Helper()
	if s := readPermStatus(t, a); s.State != "ok" || s.Problem != "" || s.SizeBytes < cardSize*98/100-(1<<30) || s.WasBytes != 64<<20 {
		t.Errorf("the storage's status is %+v", s)
	}
	checkSize(t, a)
}

func checkSize(t *testing.T, a vm.Agent) {
	t.Helper()
	if size, err := a.SizeOf(t.Context(), "/perm"); err != nil || size < cardSize*98/100 {
		t.Errorf("/perm has %d bytes of %d: %v", size, int64(cardSize), err)
	}
}

func checkMounts(t *testing.T, a vm.Agent) {
	t.Helper()
	mounts, err := a.ReadFile(t.Context(), "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for dir, flags := range map[string][]string{
		"/perm": {"rw", "nosuid", "nodev", "noexec", "noatime"},
		"/boot": {"ro", "nosuid", "nodev", "noexec"},
		"/":     {"ro"},
	} {
		checkMount(t, mounts, dir, flags)
	}
}

func checkMount(t *testing.T, mounts, dir string, flags []string) {
	t.Helper()
	found := 0
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != dir {
			continue
		}
		found++
		for _, flag := range flags {
			if !strings.Contains(","+f[3]+",", ","+flag+",") {
				t.Errorf("%s is mounted without %s: %s", dir, flag, line)
			}
		}
	}
	if found != 1 {
		t.Errorf("%s is mounted %d times:\n%s", dir, found, mounts)
	}
}

// marker names a file that was acknowledged right before the power was cut for the n-th time.
func marker(n int) string { return fmt.Sprintf("/perm/marker-%d", n) }

func checkMarkers(t *testing.T, a vm.Agent, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		if got, err := a.ReadFile(t.Context(), marker(i)); err != nil || got != "kept" {
			t.Errorf("after %d power cuts %s is %q: %v", n, marker(i), got, err)
		}
	}
}

// cuts is how often the power is cut; the first boot ended in the first.
const cuts = 5

// powerCuts: what was acknowledged is there after the plug was pulled right then. The processes are just starting, and
// writing, when it is pulled again, in the middle of a certificate's renewal.
func (l *life) powerCuts(t *testing.T) {
	for cut := 1; cut <= cuts; cut++ {
		m := l.boot(t)
		a := m.Agent()
		if s := readPermStatus(t, a); s.State != "ok" || s.Problem != "" || s.WasBytes != 0 {
			t.Errorf("after cut %d, the storage's status is %+v", cut, s)
		}
		checkMarkers(t, a, cut)
		l.renewals.check(t, m, cut == cuts)
		t.Logf("all is there after cut %d of %d, and %d renewals", cut, cuts, l.renewals.done())
		if cut == cuts {
			m.Kill()
			return
		}
		if err := a.WriteFile(t.Context(), marker(cut+1), "kept"); err != nil {
			t.Fatal(err)
		}
		l.renewals.cut(t, m)
	}
}

// damagedSuperblock: the first block of /perm is gone; e2fsck takes a copy of it, and the data is there. The device is
// then switched off as it should be, and another machine finds nothing to mend.
func (l *life) damagedSuperblock(t *testing.T) {
	parts, err := vm.Partitions(l.disk)
	if err != nil {
		t.Fatal(err)
	}
	if string(readAt(t, l.disk, parts[3].Start+1024+0x38, 2)) != "\x53\xef" {
		t.Fatal("there is no ext4 superblock to damage")
	}
	overwrite(t, l.disk, parts[3].Start, 4096)
	m := l.boot(t)
	waitProcesses(t, m)
	a := m.Agent()
	s := readPermStatus(t, a)
	if s.State != "repaired" || !strings.Contains(s.Problem, "has been repaired") || len(s.Check) == 0 || s.WasBytes != 0 {
		t.Errorf("the storage's status is %+v", s)
	}
	checkMarkers(t, a, cuts)
	checkSize(t, a)
	l.renewals.check(t, m, true)
	// What the console has stored before all this is still followed.
	moves(t, m, "the camera on the screen again")
	switchOff(t, m)
	runTool(t, "e2fsprogs", "e2fsck", "-f", "-n", fmt.Sprintf("%s?offset=%d", l.disk, parts[3].Start))
}

// switchOff presses the power button.
func switchOff(t *testing.T, m *vm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := m.PressPower(ctx); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(ctx); err != nil {
		t.Fatalf("the power button does not switch off: %v", err)
	}
}

// TestLongBeyondRepair: a storage of which nothing is left is not touched; the device starts without it and says so.
func TestLongBeyondRepair(t *testing.T) {
	t.Parallel()
	// Not enlarged, the storage has no second superblock.
	disk := newDisk(t, theVMImage(t), 0)
	parts, err := vm.Partitions(disk)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("lost "), int(parts[3].Size)/5), parts[3].Start); err != nil {
		t.Fatal(err)
	}
	before := sum(t, cutOut(t, disk, 4))
	m := startVM(t, disk)
	a := m.Agent()
	s := readPermStatus(t, a)
	if s.State != "failed" || !strings.Contains(s.Problem, "could not be repaired") || s.SizeBytes != 0 {
		t.Errorf("the storage's status is %+v", s)
	}
	mounts, err := a.ReadFile(t.Context(), "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(mounts, " /perm ") {
		t.Errorf("the damaged storage is mounted:\n%s", mounts)
	}
	// Whoever can do without it is there.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := m.WaitSerial(ctx, 0, `processes: running:.* dhcp .*proxy .*signaling`); err != nil {
		t.Error(err)
	}
	// No certificate, no console: the screen says so, and sends nobody there by a code.
	eventually(t, "read what is wrong from the screen", func(ctx context.Context) error {
		img, err := m.Screen(ctx)
		if err != nil {
			return err
		}
		text, err := readText(ctx, t.TempDir(), img)
		if err != nil {
			return err
		}
		for _, want := range []string{"damaged and could not be repaired", "cannot be opened now", slirpGuest} {
			if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
				return fmt.Errorf("the screen does not say %q:\n%s", want, text)
			}
		}
		if code, err := readQR(ctx, t.TempDir(), img); err == nil {
			return fmt.Errorf("the screen has a code that says %q", code)
		}
		show(t, "beyond repair", img)
		return nil
	})
	m.Kill()
	if after := sum(t, cutOut(t, disk, 4)); after != before {
		t.Error("the damaged storage was written to")
	}
}

// TestLongPowerCuts cuts the power of a new card on its first boots, a little later each time: while the storage is
// checked, grown and mounted, while identity, certificates and database are made. Whatever the moment, the next boot has
// a working device.
func TestLongPowerCuts(t *testing.T) {
	t.Parallel()
	image := theVMImage(t)
	for _, moment := range []struct{ name, serial string }{
		{"init", `Porthole ` + vm.TestVersion},
		{"storage", `msg=storage`},
		{"first processes", `processes: running`},
	} {
		t.Run(moment.name, func(t *testing.T) {
			disk := newDisk(t, image, cardSize)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for range 3 {
				m := startVM(t, disk)
				if _, _, err := m.WaitSerial(ctx, 0, moment.serial); err != nil {
					t.Fatal(err)
				}
				m.Kill()
			}
			m := startVM(t, disk)
			waitProcesses(t, m)
			a := m.Agent()
			if s := readPermStatus(t, a); s.State != "ok" && s.State != "repaired" {
				t.Errorf("the storage's status is %+v", s)
			}
			checkSize(t, a)
			logIn(t, m)
			checkSecrets(t, a)
			switchOff(t, m)
			parts, err := vm.Partitions(disk)
			if err != nil {
				t.Fatal(err)
			}
			runTool(t, "e2fsprogs", "e2fsck", "-f", "-n", fmt.Sprintf("%s?offset=%d", disk, parts[3].Start))
		})
	}
}
