package perm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/gokrazy-instance/init/perm"
)

// card is a storage whose parts answer as the test says.
type card struct {
	// checks are the exit codes of e2fsck, in turn.
	checks []int
	// mounts are the errors of mounting, in turn.
	mounts  []error
	noFsck  bool
	noTable error
	noGrow  error
	did     []string
}

func (c *card) storage() perm.Storage {
	return perm.Storage{
		Device: "/dev/x4",
		Check: func(_ context.Context, flags ...string) (int, string, error) {
			c.did = append(c.did, "check "+strings.Join(flags, " "))
			if c.noFsck {
				return -1, "", errors.New("exec format error")
			}
			code := c.checks[0]
			c.checks = c.checks[1:]
			return code, fmt.Sprintf("line one\nended with %d\n", code), nil
		},
		GrowPartition: func() error { c.did = append(c.did, "grow partition"); return c.noTable },
		GrowFS: func() (int64, int64, error) {
			c.did = append(c.did, "grow")
			if c.noGrow != nil {
				return 64, 64, c.noGrow
			}
			return 64, 119, nil
		},
		Mount: func() error {
			c.did = append(c.did, "mount")
			if len(c.mounts) == 0 {
				return nil
			}
			err := c.mounts[0]
			c.mounts = c.mounts[1:]
			return err
		},
		Hold: func() error { c.did = append(c.did, "hold"); return nil },
	}
}

func TestBring(t *testing.T) {
	bad := errors.New("structure needs cleaning")
	for name, c := range map[string]struct {
		card    card
		state   perm.State
		problem string
		did     []string
	}{
		"clean": {card{checks: []int{0}}, perm.OK, "",
			[]string{"grow partition", "check -p", "mount", "grow"}},
		"safe repair": {card{checks: []int{1}}, perm.Repaired, "has been repaired",
			[]string{"grow partition", "check -p", "mount", "grow"}},
		"full repair": {card{checks: []int{4, 1}}, perm.Repaired, "has been repaired",
			[]string{"grow partition", "check -p", "check -f -y", "mount", "grow"}},
		"repair at the second go": {card{checks: []int{8, 12, 1}}, perm.Repaired, "has been repaired",
			[]string{"grow partition", "check -p", "check -f -y", "check -f -y", "mount", "grow"}},
		"beyond repair": {card{checks: []int{8, 8, 8, 8}}, perm.Failed, "could not be repaired (e2fsck ended with code 8)",
			[]string{"grow partition", "check -p", "check -f -y", "check -f -y", "check -f -y", "hold"}},
		"kernel refuses once": {card{checks: []int{0, 1}, mounts: []error{bad}}, perm.Repaired, "has been repaired",
			[]string{"grow partition", "check -p", "mount", "check -f -y", "mount", "grow"}},
		"kernel refuses": {card{checks: []int{0, 1}, mounts: []error{bad, bad}}, perm.Failed, "structure needs cleaning",
			[]string{"grow partition", "check -p", "mount", "check -f -y", "mount", "hold"}},
		"no e2fsck": {card{noFsck: true}, perm.Failed, "exec format error",
			[]string{"grow partition", "check -p", "check -f -y", "hold"}},
		"partition table": {card{checks: []int{0}, noTable: errors.New("worn out")}, perm.OK, "could not be enlarged to the whole card (worn out)",
			[]string{"grow partition", "check -p", "mount", "grow"}},
		"growing": {card{checks: []int{0}, noGrow: errors.New("no space")}, perm.OK, "could not be enlarged to the whole card (no space)",
			[]string{"grow partition", "check -p", "mount", "grow"}},
	} {
		t.Run(name, func(t *testing.T) {
			st := perm.Bring(t.Context(), c.card.storage())
			if st.State != c.state || !strings.Contains(st.Problem, c.problem) || (c.problem == "") != (st.Problem == "") {
				t.Errorf("came up as %+v, want %s and %q", st, c.state, c.problem)
			}
			if !cmp.Equal(c.card.did, c.did) {
				t.Errorf("did:\n%s", cmp.Diff(c.did, c.card.did))
			}
			if st.State == perm.Failed && st.SizeBytes != 0 {
				t.Errorf("a storage that is not there has %d bytes", st.SizeBytes)
			}
			if name == "clean" && (st.SizeBytes != 119 || st.WasBytes != 64) {
				t.Errorf("sizes: %+v", st)
			}
		})
	}
}

// TestFsck runs programs in e2fsck's place.
func TestFsck(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "e2fsck")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"checked $*\"\nexit 4\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	code, out, err := perm.Fsck(program, "/dev/x4")(t.Context(), "-f", "-y")
	if err != nil || code != 4 || out != "checked -f -y /dev/x4\n" {
		t.Errorf("got %d, %q, %v", code, out, err)
	}
	if code, _, err := perm.Fsck("/bin/true", "/dev/x4")(t.Context(), "-p"); err != nil || code != 0 {
		t.Errorf("success gives %d, %v", code, err)
	}
	if _, _, err := perm.Fsck(filepath.Join(dir, "nothing"), "/dev/x4")(t.Context(), "-p"); err == nil {
		t.Error("a missing e2fsck is no error")
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nkill -9 $$\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := perm.Fsck(program, "/dev/x4")(t.Context(), "-p"); err == nil {
		t.Error("a killed e2fsck is no error")
	}
}

// TestFindDisk builds what sysfs shows of an SD card's partitions.
func TestFindDisk(t *testing.T) {
	sys := t.TempDir()
	disk := filepath.Join(sys, "devices", "mmc0", "block", "mmcblk0")
	for i := 1; i <= 4; i++ {
		part := filepath.Join(disk, fmt.Sprintf("mmcblk0p%d", i))
		if err := os.MkdirAll(part, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(part, "partition"), fmt.Appendf(nil, "%d\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(disk, "queue"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(sys, "dev", "block"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"179:2": filepath.Join(disk, "mmcblk0p2"), "179:0": disk} {
		if err := os.Symlink(to, filepath.Join(sys, "dev", "block", name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := perm.DiskOf(179, 2, sys, "/dev")
	want := perm.Disk{Node: "/dev/mmcblk0", Own: 2, Partitions: map[int]string{
		1: "/dev/mmcblk0p1", 2: "/dev/mmcblk0p2", 3: "/dev/mmcblk0p3", 4: "/dev/mmcblk0p4"}}
	if err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	if _, err := perm.DiskOf(179, 0, sys, "/dev"); err == nil || !strings.Contains(err.Error(), "not a partition") {
		t.Errorf("a whole disk gives %v", err)
	}
	if _, err := perm.DiskOf(1, 1, sys, "/dev"); err == nil {
		t.Error("an unknown device is found")
	}
	if _, err := perm.FindDisk(filepath.Join(sys, "nothing"), sys, "/dev"); err == nil {
		t.Error("the disk of a path that is not there is found")
	}
}
