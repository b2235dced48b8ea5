package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

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
