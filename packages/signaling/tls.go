package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/packages/internal/certstore"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/serve"
)

// serveTLS waits for the device's certificate and serves h with it until ctx ends.
func serveTLS(ctx context.Context, env daemon.Env, l net.Listener, h http.Handler) error {
	g, ctx := errgroup.WithContext(ctx)
	store, err := certstore.Open(ctx, env.Log, env.TLSDir(""))
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g.Go(func() error { return store.Watch(ctx) })
	env.Log.Info("signaling port speaks TLS", "address", l.Addr().String(), "certificates", len(store.Certificates()))

	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		// WebSockets are not bound by it.
		ReadTimeout:    30 * time.Second,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 64 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		// What strangers send to an open port is no news.
		ErrorLog: slog.NewLogLogger(env.Log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error { return serve.HTTP(ctx, srv, tls.NewListener(l, store.Config("http/1.1"))) })
	return g.Wait()
}
