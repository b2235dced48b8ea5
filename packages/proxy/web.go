package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"porthole/packages/internal/serve"
	"porthole/packages/proxy/door"
	"porthole/packages/proxy/route"
)

// receiveWindow is HTTP/2's flow control window for requests' bodies, in bytes (RFC 9113 section 5.2).
const receiveWindow = 256 << 10

// serveWeb answers HTTP on l until ctx ends, then lets running requests finish.
func serveWeb(ctx context.Context, log *slog.Logger, l net.Listener, h http.Handler) error {
	// WebSockets outlive Shutdown: their requests' contexts end them.
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		// No WriteTimeout: a live picture or a large file may take for ever. The door bounds each write instead.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			// What an upload may have on the way, and what each of 2,000 connections can make us hold: 40 MB/s at a round trip of 6 ms.
			MaxReceiveBufferPerConnection: receiveWindow,
			MaxReceiveBufferPerStream:     receiveWindow,
			SendPingTimeout:               time.Minute,
		},
		ErrorLog:    slog.NewLogLogger(panicsOnly{log.Handler()}, slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			// net/http sees TLS in a *tls.Conn only; the door has read from the others already.
			if t, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
				return route.WithTLS(ctx, door.TLSName(t.ConnectionState()), door.Vouched(c))
			}
			return ctx
		},
	}
	return serve.HTTP(ctx, srv, l)
}

// panicsOnly drops what net/http logs about its clients, whom we cannot keep from filling the log.
type panicsOnly struct{ slog.Handler }

func (h panicsOnly) Handle(ctx context.Context, r slog.Record) error {
	if !strings.Contains(r.Message, ": panic serving ") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
