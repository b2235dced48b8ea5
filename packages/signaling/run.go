package main

import (
	"context"
	"net"

	"golang.org/x/sync/errgroup"

	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/snapshot"
	"porthole/packages/signaling/web"
)

func run(ctx context.Context, env daemon.Env, o options) error {
	g, ctx := errgroup.WithContext(ctx)

	var path *live.Path
	if o.iceUDP != "" {
		var err error
		if path, err = live.Listen(env.Log, o.iceUDP, o.loopback); err != nil {
			return err
		}
		defer path.Close()
		if o.shared != "" {
			if err := shareSockets(ctx, g, env, path, o.shared); err != nil {
				return err
			}
		}
		g.Go(func() error {
			path.Run(ctx)
			return nil
		})
	}
	own, err := unixsock.Listen(env.Socket("signaling"), unixsock.Allow(env.SingleUser, "proxy"))
	if err != nil {
		return err
	}
	defer own.Close()
	forStatus, err := unixsock.Listen(env.Socket("signaling-status"), unixsock.Allow(env.SingleUser, "console", "proxy"))
	if err != nil {
		return err
	}
	defer forStatus.Close()
	p := newPort(env, o.wss)
	if err := p.open(); err != nil {
		return err
	}
	defer p.close()

	console := unixsock.NewClient(env.Socket("console-internal"))
	defer console.Close()
	play := func(ctx context.Context, stream string, sink rtsp.Sink) error {
		dial := func(ctx context.Context) (net.Conn, error) { return unixsock.Dial(ctx, env.Socket("rtsp")) }
		return rtsp.Play(ctx, rtsp.PlayConfig{Dial: dial, Camera: stream}, sink)
	}
	views := live.Start(ctx, live.Config{
		Log: env.Log, Path: path, PerCamera: o.perCamera, Total: o.allViews, Play: play,
		Convert: func(ctx context.Context, d decode.Options) (live.Converter, error) {
			d.Binary, d.Libraries = o.decoder, o.libraries
			return live.OpenConverter(ctx, d)
		},
	})
	pictures := snapshot.New(ctx, snapshot.Config{
		Log: env.Log, Play: play,
		Open: func(ctx context.Context, live decode.Live) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: o.decoder, Libraries: o.libraries, Live: &live, Frames: 1})
		},
	})
	server := web.New(web.Config{Log: env.Log, Live: views, Ask: identity.NewAsker(console).Ask, Take: pictures.Take})
	server.SetSignalingPort(p.number())
	g.Go(func() error { views.Wait(); return nil })
	// Of the switch only the last word counts.
	wanted := make(chan bool, 1)
	g.Go(func() error {
		return settings.Follow(ctx, env.Log, console, "signaling", env.SettingsFile(), func(v settings.Signaling) {
			var streams []string
			for _, c := range v.Cameras {
				streams = append(streams, web.Streams(c)...)
			}
			views.SetCameras(streams)
			views.SetLimits(o.limits(v.Live))
			server.SetCameras(v.Cameras)
			server.SetICE(v.Live)
			if path != nil {
				path.SetLive(v.Live)
			}
			select {
			case <-wanted:
			default:
			}
			wanted <- v.SignalingPort
		})
	})
	g.Go(func() error { return unixsock.Serve(ctx, own, server.Proxied()) })
	g.Go(func() error { return unixsock.Serve(ctx, forStatus, statusHandler(env, views)) })
	g.Go(func() error { return p.run(ctx, wanted, server) })
	err = g.Wait()
	server.Wait()
	pictures.Wait()
	return err
}

// shareSockets opens the shared port's UDP and takes the TCP connections that proxy hands over.
func shareSockets(ctx context.Context, g *errgroup.Group, env daemon.Env, path *live.Path, shared string) error {
	if err := path.Share(shared); err != nil {
		return err
	}
	l, err := unixsock.Listen(env.Socket("ice"), unixsock.Allow(env.SingleUser, "proxy"))
	if err != nil {
		return err
	}
	g.Go(func() error { return unixsock.ReceiveSockets(ctx, l, path.Take) })
	return nil
}
