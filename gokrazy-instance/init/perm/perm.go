// Package perm brings up /perm, the partition with everything a device must not forget: it is checked, repaired if need
// be, grown over the rest of the card and mounted, before anything else can touch it. A damaged one is never
// reformatted: if it cannot be repaired it is left as it is, and the device starts without it and says so.
package perm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is how /perm came up.
type State string

const (
	// OK means it was clean, or only its journal had to be replayed.
	OK State = "ok"
	// Repaired means there was damage, and e2fsck has repaired it. Files may be missing or in lost+found.
	Repaired State = "repaired"
	// Failed means it is not mounted and has not been changed further; nothing can be stored.
	Failed State = "failed"
)

// Status tells screen and console how /perm came up.
type Status struct {
	State State `json:"state"`
	// Problem is for a person to read: what is wrong and what to do. Empty if all is well.
	Problem string `json:"problem,omitempty"`
	// SizeBytes is the size of the file system, WasBytes the one before it was grown (0 if it was not).
	SizeBytes int64 `json:"size_bytes"`
	WasBytes  int64 `json:"was_bytes,omitempty"`
	// Check is the end of what e2fsck said.
	Check []string `json:"check,omitempty"`
}

// Storage is what Bring needs of the machine; its fields are replaced in tests.
type Storage struct {
	// Device is the partition, for example /dev/mmcblk0p4.
	Device string
	// Check runs e2fsck with the given flags and the device and returns its exit code and output.
	Check func(ctx context.Context, flags ...string) (code int, output string, err error)
	// GrowPartition makes the partition reach to the end of the disk.
	GrowPartition func() error
	// GrowFS makes the mounted file system fill its partition and returns its size before and after, in bytes.
	GrowFS func() (before, after int64, err error)
	// Mount mounts it.
	Mount func() error
	// Hold keeps everybody from mounting the device.
	Hold func() error
}

// Exit codes of e2fsck(8).
const (
	fsckCorrected   = 1
	fsckReboot      = 2
	fsckUncorrected = 4
)

// checkLines is how much of e2fsck's output is kept.
const checkLines = 20

// Bring brings up /perm. It never fails: what went wrong is in the status.
func Bring(ctx context.Context, s Storage) Status {
	var notes []string
	if err := s.GrowPartition(); err != nil {
		notes = append(notes, fmt.Sprintf("The storage could not be enlarged to the whole card (%v).", err))
	}
	st := check(ctx, s)
	if st.State != Failed {
		if err := s.Mount(); err != nil {
			st = again(ctx, s, st, err)
		}
	}
	if st.State == Failed {
		if err := s.Hold(); err != nil {
			notes = append(notes, err.Error())
		}
		st.Problem = strings.Join(append([]string{st.Problem}, notes...), " ")
		return st
	}
	before, after, err := s.GrowFS()
	if err != nil {
		notes = append(notes, fmt.Sprintf("The storage could not be enlarged to the whole card (%v).", err))
	}
	st.SizeBytes = after
	if after > before {
		st.WasBytes = before
	}
	if st.State == Repaired {
		notes = append([]string{"The storage was damaged, probably by a power cut or a worn card, and has been repaired. " +
			"Check that your settings and media are complete; if this comes again, replace the card."}, notes...)
	}
	st.Problem = strings.Join(notes, " ")
	return st
}

// check lets e2fsck repair what is safe to repair, then, if there is more damage, everything.
func check(ctx context.Context, s Storage) Status {
	code, out, err := s.Check(ctx, "-p")
	if err == nil && code < fsckUncorrected {
		st := Status{State: OK, Check: tail(out)}
		if code&(fsckCorrected|fsckReboot) != 0 {
			st.State = Repaired
		}
		return st
	}
	return repair(ctx, s)
}

// repairRuns bounds repair: e2fsck itself asks to be run again when it could not do all in one go, as after replaying
// the journal onto a superblock that it had to take from a backup.
const repairRuns = 3

// repair answers every question of e2fsck with yes. It finds backup superblocks by itself.
func repair(ctx context.Context, s Storage) Status {
	var code int
	var out string
	for range repairRuns {
		var err error
		if code, out, err = s.Check(ctx, "-f", "-y"); err != nil {
			return failed(fmt.Sprintf("e2fsck could not run: %v", err), out)
		}
		if code&^(fsckCorrected|fsckReboot) == 0 {
			return Status{State: Repaired, Check: tail(out)}
		}
	}
	return failed(fmt.Sprintf("e2fsck ended with code %d", code), out)
}

// again repairs and mounts once more: the kernel refused what e2fsck had found clean.
func again(ctx context.Context, s Storage, st Status, why error) Status {
	st = repair(ctx, s)
	if st.State == Failed {
		return st
	}
	if err := s.Mount(); err != nil {
		return failed(fmt.Sprintf("%v; after a repair: %v", why, err), strings.Join(st.Check, "\n"))
	}
	return st
}

func failed(detail, out string) Status {
	return Status{
		State: Failed,
		Problem: "The storage on the card is damaged and could not be repaired (" + detail + "). Nothing on it has been deleted, " +
			"but no setting can be stored. If it holds nothing you need, write the image to the card again; otherwise copy the card first.",
		Check: tail(out),
	}
}

func tail(out string) []string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	if len(lines) > checkLines {
		lines = lines[len(lines)-checkLines:]
	}
	return lines
}

// checkTimeout bounds one run of e2fsck; a terabyte on a slow card takes less.
const checkTimeout = 20 * time.Minute

// Fsck returns a Check that runs the program at path.
func Fsck(path, device string) func(ctx context.Context, flags ...string) (int, string, error) {
	return func(ctx context.Context, flags ...string) (int, string, error) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		out, err := exec.CommandContext(ctx, path, append(flags, device)...).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Exited() {
			return exit.ExitCode(), string(out), nil
		}
		if err != nil {
			return -1, string(out), fmt.Errorf("run %s: %w", path, err)
		}
		return 0, string(out), nil
	}
}

// Mount mounts an ext4 device with the flags of /perm: nothing on it is ever a program, a device or set-user-id.
func Mount(device, dir string) error {
	if err := unix.Mount(device, dir, "ext4", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", device, dir, err)
	}
	return nil
}

// Hold opens the device exclusively and keeps it open for good, so that the kernel refuses to mount it: gokrazy would,
// without a check.
func Hold(device string) (*os.File, error) {
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve %s: %w", device, err)
	}
	return f, nil
}
