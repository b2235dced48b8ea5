package supervisor

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"
)

// stopPoll is how often is looked whether processes have gone.
const stopPoll = 100 * time.Millisecond

// StopOthers asks all processes but the one named self to end, and waits until they have, ten seconds at most. They stay down
// until the device restarts. Those that go on are in the error: the supervisor kills none that it has asked (gokrazy's stop).
func (c *Client) StopOthers(ctx context.Context, self string) error {
	services, err := c.services(ctx)
	if err != nil {
		return err
	}
	for _, s := range services {
		if path.Base(s.Path) == self || s.Stopped {
			continue
		}
		if err := c.post(ctx, "/stop", s.Path); err != nil {
			return fmt.Errorf("stop %s: %w", path.Base(s.Path), err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	var left []string
	for {
		now, err := c.running(ctx, self)
		switch {
		case err == nil && len(now) == 0:
			return nil
		case err == nil:
			left = now
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stop all processes: these go on: %s: %w", strings.Join(left, ", "), ctx.Err())
		case <-tick.C:
		}
	}
}

// running lists the other processes that run.
func (c *Client) running(ctx context.Context, self string) ([]string, error) {
	list, err := c.Processes(ctx)
	if err != nil {
		return nil, err
	}
	var left []string
	for _, p := range list {
		if p.Name != self && p.PID != 0 {
			left = append(left, p.Name)
		}
	}
	return left, nil
}
