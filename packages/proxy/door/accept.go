package door

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"porthole/packages/internal/retry"
)

// maxAcceptFailures in a row, about one per second, end Accept.
const maxAcceptFailures = 60

// Accept gives what l accepts to take until ctx ends, and closes l. It sits out a lack of file descriptors or memory; a
// listener that works no more is the error.
func Accept(ctx context.Context, log *slog.Logger, l net.Listener, take func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer func() {
		if stop() {
			l.Close()
		}
	}()
	for failures := 0; ; {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if c != nil {
				c.Close()
			}
			return nil
		case err == nil:
			failures = 0
			take(c)
			continue
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if failures++; failures == maxAcceptFailures {
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		if failures == 1 {
			log.Warn("cannot accept connections; trying on", "address", l.Addr(), "err", err)
		}
		retry.Pause(ctx, min(time.Second, 5*time.Millisecond<<min(failures, 10)))
	}
}
