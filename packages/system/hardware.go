package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"porthole/hw/cpufreq"
	"porthole/hw/devperm"
	"porthole/hw/uevent"
)

// deviceEvents is where the kernel tells of devices; *uevent.Listener is one.
type deviceEvents interface {
	Next() (uevent.Event, error)
	io.Closer
}

// handOver gives screen, CEC and sound devices to a group, those that are there and those that come, until ctx ends.
// events must have been opened before, so that none comes in between.
func handOver(ctx context.Context, log *slog.Logger, nodes devperm.Nodes, events deviceEvents, gid int) error {
	stop := context.AfterFunc(ctx, func() { events.Close() })
	defer func() {
		if stop() {
			events.Close()
		}
	}()
	tell := func(names []string, err error) {
		if len(names) > 0 {
			log.Info("handed devices over", "devices", names, "group", gid)
		}
		if err != nil {
			log.Error("cannot hand devices over", "err", err)
		}
	}
	tell(nodes.Grant(gid))
	for {
		ev, err := events.Next()
		switch {
		case ctx.Err() != nil || errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("watch for devices: %w", err)
		}
		tell(nodes.GrantNew(ev, gid))
	}
}

// lateDriver is how long after the start the driver that sets the processor's speed may come.
const lateDriver = 20 * time.Second

// setGovernor chooses how the kernel sets the processor's speed. A machine that cannot change it is no error, nor is a
// governor that the kernel does not have: the device works with another one.
func setGovernor(ctx context.Context, log *slog.Logger, cpus cpufreq.FS, governor string) error {
	if governor == "" {
		return nil
	}
	err := cpus.SetGovernor(governor)
	if errors.Is(err, cpufreq.ErrNoDevice) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lateDriver):
			err = cpus.SetGovernor(governor)
		}
	}
	if errors.Is(err, cpufreq.ErrNoDevice) {
		log.Info("the processor's speed is fixed")
		return nil
	}
	if err != nil {
		log.Warn("cannot set the processor's governor", "err", err)
	}
	policies, err := cpus.Policies()
	if err != nil {
		log.Warn("cannot read the processor's governor", "err", err)
		return nil
	}
	for _, p := range policies {
		log.Info("processor", "policy", p.ID, "cpus", p.CPUs, "governor", p.Governor, "khz", p.CurrentFreqKHz, "max_khz", p.MaxFreqKHz)
	}
	return nil
}
