// Command init is the first program on a Porthole. It does what must come before everything else (look after /perm,
// open the watchdog), lets gokrazy set up the rest of the system and supervises Porthole's processes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/gokrazy/gokrazy"
	"golang.org/x/sys/unix"

	"porthole/gokrazy-instance/init/bootstatus"
	"porthole/gokrazy-instance/init/factoryreset"
	"porthole/gokrazy-instance/init/firstpicture"
	"porthole/gokrazy-instance/init/perm"
	"porthole/gokrazy-instance/init/processes"
	"porthole/gokrazy-instance/init/report"
	"porthole/gokrazy-instance/init/trialjournal"
	"porthole/gokrazy-instance/init/watchdog"
	"porthole/hw/power"
	"porthole/hw/resetcause"
)

// Numbers of the image's partitions.
const (
	bootPartition = 1
	permPartition = 4
)

const (
	permDir   = "/perm"
	bootDir   = "/boot"
	runDir    = "/run/porthole"
	heartbeat = runDir + "/system/heartbeat"
	withheld  = runDir + "/system/withheld"
	permFile  = runDir + "/perm-status.json"
	bootFile  = runDir + "/boot-status.json"
	buildFile = "/etc/porthole/build.json"
	trialFile = permDir + "/system/update/trial.log"
)

// bootFlags are those the boot partition is mounted with, besides read-only.
const bootFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// version is set by the linker: -X main.version=…
var version = "devel"

func main() {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(context.Background(), log); err != nil {
		// The kernel panics when init ends, and restarts the device after ten seconds (panic=10).
		log.Error("cannot start", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	fmt.Fprintf(os.Stdout, "Porthole %s\n", version)
	for _, m := range [][2]string{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		// Busy: the kernel has mounted it already.
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	feeder := &watchdog.Feeder{
		Heartbeat: heartbeat, Withheld: withheld, Say: kernelLog,
		Feed: func() error { return nil }, Restart: func() error { return power.Restart("") },
	}
	dog, err := watchdog.Open("/dev/watchdog")
	if err != nil {
		log.Info("no watchdog: init restarts the device itself if need be", "err", err)
	} else {
		feeder.Feed = dog.Feed
	}
	fed := make(chan struct{})
	go func() { defer close(fed); feeder.Run(ctx) }()
	ended := howItEnded(log, dog)
	// Once: that this is found by the next start shows that what the kernel says survives a restart.
	kernelLog(version + " starts")
	list, err := processes.Read("/etc/porthole/processes.json")
	if err != nil {
		return err
	}
	picture := startPicture(ctx, list)
	disk, err := perm.FindDisk("/", "/sys", "/dev")
	if err != nil {
		return err
	}
	boot, err := bootstatus.Read(disk, buildFile)
	if err != nil {
		log.Error("it is not known what the device was started from", "err", err)
	}
	boot.Reset, boot.Detail, boot.LastWords = string(ended.Cause), ended.Detail, ended.LastWords
	status := bringPerm(ctx, disk)
	// For system alone: porthole.toml may hold passwords. It mounts it writable for the moments in which it writes.
	if err := unix.Mount(disk.Partitions[bootPartition], bootDir, "vfat", unix.MS_RDONLY|bootFlags, "umask=0077"); err != nil {
		log.Error("cannot mount", "dir", bootDir, "err", err)
	}
	if status.State != perm.Failed {
		resetPerm(log, &status)
	}
	journal := trialjournal.Journal{Path: trialFile, Slot: boot.Slot}
	feeder.Trial(journal)
	tell := func(stage string) {
		if err := journal.Add(stage); err != nil && !errors.Is(err, trialjournal.ErrNone) {
			log.Warn("the trial's journal does not take a line", "err", err)
		}
	}
	tell(fmt.Sprintf("%s has started, storage is up (%s)", version, status.State))
	log.Info("storage", "state", status.State, "bytes", status.SizeBytes, "problem", status.Problem)
	// gokrazy mounts its own; a second one would stay below it.
	if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
		log.Warn("cannot unmount", "dir", "/proc", "err", err)
	}
	if err := gokrazy.Boot(version); err != nil {
		tell("cannot set up the system: " + err.Error())
		return fmt.Errorf("set up the system: %w", err)
	}
	if err := processes.MakeRunDir(runDir, list, os.Chown); err != nil {
		return err
	}
	if err := writeStatus(status); err != nil {
		return err
	}
	if err := boot.Write(bootFile); err != nil {
		return err
	}
	picture(log)
	feeder.Running()
	if err := gokrazy.SuperviseServices(processes.Services(list)); err != nil {
		tell("cannot supervise processes: " + err.Error())
		return fmt.Errorf("supervise processes: %w", err)
	}
	tell("processes started")
	(&report.Reporter{
		Socket: "/run/gokrazy-http.sock", Proc: "/proc", Interval: report.DefaultInterval, Settle: report.DefaultSettle, Out: os.Stdout,
	}).Run(ctx)
	<-fed
	return ctx.Err()
}

// howItEnded finds out how the last run ended.
func howItEnded(log *slog.Logger, dog *watchdog.Device) resetcause.Report {
	var m resetcause.Machine
	if dog != nil {
		m.Watchdog = dog.File()
	}
	r, err := m.Read()
	if err != nil {
		log.Warn("not all is known of how the last run ended", "err", err)
	}
	log.Info("the last run", "ended by", r.Cause, "detail", r.Detail)
	return r
}

// pictureFirst is how long the processes wait for the first picture, for which they would compete for processor and card.
// It is made while init does all that comes before, and on a device there sooner.
const pictureFirst = 3 * time.Second

// startPicture has player show a picture. What it returns waits for it and says how long it took.
func startPicture(ctx context.Context, list []processes.Process) (wait func(*slog.Logger)) {
	for _, p := range list {
		if uid, ok := processes.User(p.Name()); ok && p.Name() == "player" && !p.Stopped {
			s := firstpicture.Start(ctx, firstpicture.Program{Path: p.Path, Args: []string{"first-picture"}, User: uid, Video: processes.VideoGroup})
			return func(log *slog.Logger) {
				defer s.Stop()
				took, err := s.Wait(ctx, pictureFirst)
				if err != nil {
					log.Warn("no first picture", "err", err)
					return
				}
				log.Info("first picture", "after", took.Round(time.Millisecond))
			}
		}
	}
	return func(*slog.Logger) {}
}

// bringPerm brings up /perm from the boot disk.
func bringPerm(ctx context.Context, disk perm.Disk) perm.Status {
	device := disk.Partitions[permPartition]
	return perm.Bring(ctx, perm.Storage{
		Device:        device,
		Check:         perm.Fsck("/sbin/e2fsck", device),
		GrowPartition: func() error { return perm.GrowPartition(disk.Node) },
		GrowFS:        func() (int64, int64, error) { return perm.GrowFS(device, permDir) },
		Mount:         func() error { return perm.Mount(device, permDir) },
		Hold: func() error {
			// Never closed: init does not end.
			_, err := perm.Hold(device)
			return err
		},
	})
}

// resetPerm empties /perm when somebody wants the device as it was when it was new. Why that was not possible becomes part of the
// storage's status.
func resetPerm(log *slog.Logger, status *perm.Status) {
	by, problem := factoryreset.Reset{PermDir: permDir, BootDir: bootDir, Unlock: func() (func() error, error) {
		return func() error { return remountBoot(unix.MS_RDONLY) }, remountBoot(0)
	}}.Run()
	if by != "" {
		log.Info("factory reset: the storage was emptied", "by", by)
	}
	if problem != "" {
		log.Error("factory reset", "problem", problem)
		status.Problem = strings.TrimSpace(problem + " " + status.Problem)
	}
}

func remountBoot(readOnly uintptr) error {
	if err := unix.Mount("", bootDir, "", unix.MS_REMOUNT|bootFlags|readOnly, ""); err != nil {
		return fmt.Errorf("mount %s anew: %w", bootDir, err)
	}
	return nil
}

// writeStatus leaves word of /perm for screen and console.
func writeStatus(status perm.Status) error {
	b, err := json.Marshal(status)
	if err != nil {
		return fmt.Errorf("encode storage status: %w", err)
	}
	if err := os.WriteFile(permFile, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write storage status: %w", err)
	}
	return nil
}

// kernelLog writes a line to the kernel's log, which a restart by the watchdog leaves in pstore where there is one. It is
// critical (2): that comes to the serial console too, despite loglevel=3 on the command line.
func kernelLog(line string) {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "<2>porthole: %s\n", line)
}
