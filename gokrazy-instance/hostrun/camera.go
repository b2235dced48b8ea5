//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/url"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// demoCamera is the built-in camera: a real RTSP server that loops a clip.
type demoCamera struct {
	listener net.Listener
	password string
}

func newDemoCamera(ctx context.Context) (*demoCamera, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the built-in camera: %w", err)
	}
	return &demoCamera{l, rand.Text()}, nil
}

// url is the camera's address with its credentials.
func (c *demoCamera) url() string {
	u := url.URL{Scheme: "rtsp", Host: c.listener.Addr().String(), Path: "/demo", User: url.UserPassword("demo", c.password)}
	return u.String()
}

func (c *demoCamera) run(ctx context.Context, log *slog.Logger) error {
	if err := rtsp.ServeClip(ctx, log, c.listener, samples.Demo(), "demo", "demo", c.password); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve the built-in camera: %w", err)
	}
	return nil
}
