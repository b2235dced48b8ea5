package supervisor

import (
	"context"
	"path"
	"strings"
)

// noteExits finds out how processes that do not run have ended. The supervisor tells that only in their logs, so each
// end is looked up once.
func (c *Client) noteExits(ctx context.Context, services []service) {
	for _, s := range services {
		if _, runs := memory(s.Pid); runs || !c.exitUnknown(s) {
			continue
		}
		lines, err := c.Log(ctx, path.Base(s.Path))
		if err != nil {
			continue // looked up again at the next tick
		}
		exit := lastExit(lines)
		c.mu.Lock()
		if h := c.seen[s.Path]; h != nil {
			h.exit, h.exitOf = exit, s.StartTime
		}
		c.mu.Unlock()
	}
}

func (c *Client) exitUnknown(s service) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.seen[s.Path]
	return h != nil && !s.StartTime.IsZero() && !h.exitOf.Equal(s.StartTime)
}

// lastExit finds what gokrazy says of a process's end (gokrazy's supervise.go) in its log.
func lastExit(lines []Line) string {
	exit := ""
	for _, l := range lines {
		// 2006/01/02 15:04:05 gokrazy: …
		_, said, ok := strings.Cut(l.Text, " gokrazy: ")
		switch {
		case !ok || l.Stream != "stderr":
		case strings.HasPrefix(said, "exited successfully"):
			exit = "exit status 0"
		case strings.HasPrefix(said, "exit status "), strings.HasPrefix(said, "signal: "):
			exit = said
		}
	}
	return exit
}
