package main

import (
	"context"
	"fmt"

	"porthole/packages/internal/program"
)

// ownScreen lets the signage server know this device's own screen under the device's hostname.
func (c *console) ownScreen(ctx context.Context) error {
	host, err := setting(ctx, c.store.r, "hostname")
	if err != nil {
		return err
	}
	if _, err := c.signage.EnsureOwn(ctx, host); err != nil {
		return fmt.Errorf("keep own screen: %w", err)
	}
	return nil
}

// ownersZone takes the zone of the browser that claimed the device for schedules, if it is one. Nothing is lost without it.
func (c *console) ownersZone(ctx context.Context, name string) {
	if _, known := program.Zone(name); !known {
		return
	}
	if err := c.signage.SetTimezone(ctx, name); err != nil {
		c.log.Warn("cannot keep the owner's time zone", "err", err)
	}
}
