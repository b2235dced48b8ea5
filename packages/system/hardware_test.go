package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"porthole/hw/cpufreq"
	"porthole/hw/devperm"
	"porthole/hw/hwtest"
	"porthole/hw/uevent"
	"porthole/packages/internal/unixsock"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this needs root: run the tests as root, as CI does")
	}
}

// fakeEvents are device events that a test makes.
type fakeEvents struct {
	ch     chan uevent.Event
	closed chan struct{}
	once   sync.Once
}

func (f *fakeEvents) Next() (uevent.Event, error) {
	select {
	case ev := <-f.ch:
		return ev, nil
	case <-f.closed:
		return uevent.Event{}, os.ErrClosed
	}
}

func (f *fakeEvents) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// TestHandOver: devices that are there, and one that comes, end up with the group.
func TestHandOver(t *testing.T) {
	needRoot(t)
	root := t.TempDir()
	node := func(name string) string {
		t.Helper()
		path := filepath.Join(root, "dev", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		return path
	}
	group := func(path string) int {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return int(st.Sys().(*syscall.Stat_t).Gid)
	}
	card, mem := node("dri/card0"), node("mem")
	events := &fakeEvents{ch: make(chan uevent.Event), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- handOver(ctx, slog.New(slog.DiscardHandler), devperm.Nodes{Root: root}, events, unixsock.GIDVideo)
	}()
	until(t, "the screen is the group's", func() bool { return group(card) == unixsock.GIDVideo })
	cec := node("cec0")
	events.ch <- uevent.Event{Action: "add", DevPath: "/d", Vars: map[string]string{"DEVNAME": "cec0"}}
	until(t, "CEC is the group's", func() bool { return group(cec) == unixsock.GIDVideo })
	if group(mem) != 0 {
		t.Error("memory is the group's too")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

const governorFile = "sys/devices/system/cpu/cpufreq/policy0/scaling_governor"

func cpu(t *testing.T) string {
	dir := filepath.Dir(governorFile)
	return hwtest.Tree(t, map[string]string{
		governorFile: "ondemand\n", dir + "/scaling_available_governors": "ondemand performance \n", dir + "/affected_cpus": "0 1 2 3\n",
		dir + "/scaling_cur_freq": "600000\n", dir + "/scaling_max_freq": "1800000\n",
	})
}

func TestGovernor(t *testing.T) {
	for name, c := range map[string]struct{ governor, want, said string }{
		"performance": {"performance", "performance", "governor=performance khz=600000 max_khz=1800000"},
		"left alone":  {"", "ondemand\n", ""},
		"unknown":     {"warp", "ondemand\n", "unknown governor"},
	} {
		t.Run(name, func(t *testing.T) {
			root := cpu(t)
			var log bytes.Buffer
			if err := setGovernor(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), cpufreq.FS{Root: root}, c.governor); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(filepath.Join(root, governorFile)); err != nil || string(b) != c.want {
				t.Errorf("governor %q, %v", b, err)
			}
			if !strings.Contains(log.String(), c.said) {
				t.Errorf("the log does not say %q: %s", c.said, log.String())
			}
		})
	}
}

// TestLateGovernor: the driver may come after system has started, or never, which is no error.
func TestLateGovernor(t *testing.T) {
	for name, comes := range map[string]bool{"late": true, "never": false} {
		t.Run(name, func(t *testing.T) {
			root := cpu(t)
			policy := filepath.Join(root, filepath.Dir(governorFile))
			if err := os.Rename(policy, policy+".away"); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				ended := make(chan error, 1)
				go func() {
					ended <- setGovernor(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), cpufreq.FS{Root: root}, "performance")
				}()
				<-time.After(lateDriver / 2)
				if comes {
					if err := os.Rename(policy+".away", policy); err != nil {
						t.Fatal(err)
					}
				}
				if err := <-ended; err != nil || strings.Contains(log.String(), "level=WARN") {
					t.Errorf("%v, %s", err, log.String())
				}
				b, _ := os.ReadFile(filepath.Join(root, governorFile))
				if got := string(b) == "performance"; got != comes {
					t.Errorf("governor %q", b)
				}
			})
		})
	}
}

// TestUnlock: the boot partition is writable only in between.
func TestUnlock(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("mount for the test: %v: run it where mounting is allowed", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(dir, "porthole.toml")
	write := func() bool { return os.WriteFile(file, nil, 0o600) == nil }
	if write() {
		t.Fatal("writable before")
	}
	lock, err := unlocker(dir)()
	if err != nil {
		t.Fatal(err)
	}
	if !write() {
		t.Error("not writable in between")
	}
	if err := lock(); err != nil {
		t.Fatal(err)
	}
	if write() {
		t.Error("writable afterwards")
	}
	open := t.TempDir() // on a developer's machine
	lock, err = unlocker(open)()
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(); err != nil || os.WriteFile(filepath.Join(open, "x"), nil, 0o600) != nil {
		t.Errorf("a folder that was writable is not any more: %v", err)
	}
}
