package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"porthole/hw/power"
)

// stopAllWithin is how long it may take until all other processes have ended, before the device restarts all the same.
const stopAllWithin = 20 * time.Second

// ownName is what the supervisor calls this process.
const ownName = "system"

// deviceRestart restarts the device with a text for what starts it, which the supervisor's own restart has no room for.
type deviceRestart struct {
	log *slog.Logger
	// stopOthers ends all processes but the one named; restart writes everything out and restarts the machine.
	stopOthers func(ctx context.Context, self string) error
	restart    func(text string) error
}

// run ends the other processes in order, then restarts the device; tryOther asks a Raspberry Pi for its tryboot.txt. It does
// not return if that works.
func (d deviceRestart) run(ctx context.Context, tryOther bool) error {
	stop, cancel := context.WithTimeout(ctx, stopAllWithin)
	defer cancel()
	if err := d.stopOthers(stop, ownName); err != nil {
		// A restart is due whatever they do; what they have on the disk is made to survive that.
		d.log.Warn("not all processes ended before the restart", "err", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("restart the device: %w", err)
	}
	text := ""
	if tryOther {
		text = power.TryOther
	}
	if err := d.restart(text); err != nil {
		return fmt.Errorf("restart the device: %w", err)
	}
	return nil
}
