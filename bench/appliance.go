package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/procfs"

	"porthole/integration/stack"
)

// measureAppliance measures the device itself: its image, its start in QEMU, what its processes hold, and what a camera
// on its screen costs. What was not built is left out, and said so.
func measureAppliance(ctx context.Context, dir, bin, build string, perStep time.Duration) (*table, error) {
	t := newTable()
	if err := imageSizes(t, build); err != nil {
		return nil, err
	}
	if err := idleMemory(ctx, t, dir, bin); err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	if err := onScreen(ctx, t, dir, bin, perStep); err != nil {
		return nil, fmt.Errorf("measure a camera on the screen: %w", err)
	}
	if err := startup(ctx, t, dir, filepath.Join(build, "porthole-vm.img")); err != nil {
		return nil, fmt.Errorf("measure the start: %w", err)
	}
	return t, nil
}

// value is the name of the only column.
const value = "Porthole"

func imageSizes(t *table, build string) error {
	for _, name := range []string{"porthole-pi.img.zst", "porthole-pi.img"} {
		info, err := os.Stat(filepath.Join(build, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			t.set(value, name, "not built (make image)")
		case err != nil:
			return fmt.Errorf("look at the image: %w", err)
		default:
			t.set(value, name, fmt.Sprintf("%.1f MB", float64(info.Size())/1e6))
		}
	}
	return nil
}

// settle is how long processes are left alone before their memory counts as idle.
const settle = 10 * time.Second

// idleMemory reports what each process holds when nobody asks anything of it.
func idleMemory(ctx context.Context, t *table, dir, bin string) error {
	run, err := startStack(ctx, dir, bin, "idle", "")
	if err != nil {
		return err
	}
	defer run.Stop()
	if err := wait(ctx, settle); err != nil {
		return err
	}
	pids, err := run.PIDs(ctx)
	if err != nil {
		return err
	}
	var all procfs.ProcSMapsRollup
	for _, name := range slices.Sorted(maps.Keys(pids)) {
		p, err := procfs.NewProc(pids[name])
		if err != nil {
			return fmt.Errorf("look at %s: %w", name, err)
		}
		m, err := p.ProcSMapsRollup()
		if err != nil {
			return fmt.Errorf("read the memory of %s: %w", name, err)
		}
		t.set(value, name+", idle: PSS / RSS", fmt.Sprintf("%s / %s", mebibytes(int(m.Pss)), mebibytes(int(m.Rss))))
		all.Pss += m.Pss
		all.Rss += m.Rss
	}
	t.set(value, "all processes, idle: PSS / RSS", fmt.Sprintf("%s / %s", mebibytes(int(all.Pss)), mebibytes(int(all.Rss))))
	return nil
}

// startStack starts Porthole with a state folder of its own; with what is there if it was started under that name before.
func startStack(ctx context.Context, dir, bin, name, provision string) (*stack.Stack, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, fmt.Errorf("find the programs: %w", err)
	}
	config, err := filepath.Abs("gokrazy-instance/pi/config.json")
	if err != nil {
		return nil, fmt.Errorf("find the process list: %w", err)
	}
	own := filepath.Join(dir, name)
	if err := os.MkdirAll(own, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	return stack.Start(ctx, stack.Options{Bin: bin, Config: config, Dir: own, Provision: provision})
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
