package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Listen opens a TCP port. The error says which switch moves it.
func Listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	// A peer that vanished without a word is noticed after about 90 seconds.
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 4,
	}}
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fmt.Errorf("port %s is taken by another program: stop that one, or choose another port with %s: %w", addr, flag, err)
	case errors.Is(err, unix.EACCES):
		return nil, fmt.Errorf("this user may not open port %s: choose one above 1023 with %s: %w", addr, flag, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address %s: choose another with %s: %w", addr, flag, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (%s): %w", addr, flag, err)
	}
	return l, nil
}
