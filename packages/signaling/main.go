// Command signaling shows cameras in browsers over WebRTC: the camera platform's WebSocket protocol, WHEP, and the
// viewer page.
package main

import (
	"context"
	"flag"
	"net"
	"os"
	"runtime/debug"

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

type options struct {
	wss, iceUDP, shared string
	loopback            bool
	perCamera, allViews int
	decoder             string
	libraries           []string
}

func main() {
	decode.Child()
	var o options
	daemon.Process{
		Name: "signaling",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&o.wss, "wss", ":8765", "`address` of the secure WebSocket port; empty: none")
			fs.StringVar(&o.iceUDP, "ice-udp", ":8443", "UDP `address` of WebRTC media; empty: none (Chrome refuses 443 on private addresses)")
			fs.StringVar(&o.shared, "shared", ":443", "`address` whose port proxy shares with us, as seen from outside: TCP comes from proxy, UDP is opened; empty: neither")
			fs.BoolVar(&o.loopback, "loopback", false, "offer loopback addresses to browsers, for one machine")
			// The camera platform's limit.
			fs.IntVar(&o.perCamera, "max-viewers-per-camera", 10, "most `viewers` of one stream at once")
			fs.IntVar(&o.allViews, "max-viewers", 50, "most `viewers` at once")
			fs.StringVar(&o.decoder, "decoder", "/usr/local/bin/ffmpeg-porthole", "`program` that decodes snapshots and converts for browsers (overlays/decoder)")
			fs.Func("decoder-libraries", "`folder` that the decoder may read and execute, for one that loads libraries; may be repeated", func(dir string) error {
				o.libraries = append(o.libraries, dir)
				return nil
			})
		},
		Needs: func(daemon.Env) daemon.Needs {
			// The decoder's child is this program first.
			self, err := os.Executable()
			if err != nil {
				self = os.Args[0]
			}
			return daemon.Needs{
				// UDP port 443.
				Certificates: true, LowPorts: true, ListenTCP: []string{o.wss},
				// The public name and the STUN server; an answer too long for UDP comes by TCP (RFC 7766).
				Names: true, ConnectTCP: []uint16{53},
				Sockets: []string{"console-internal", "rtsp"},
				Execute: append([]string{o.decoder, self}, o.libraries...),
			}
		},
		Run: func(ctx context.Context, env daemon.Env) error {
			debug.SetGCPercent(gcPercent)
			return run(ctx, env, o)
		},
	}.Main()
}

// gcPercent trades processor time, of which collecting takes next to nothing here, for memory: little is allocated per packet,
// so the heap is what viewers hold, and garbage from when they came would stay beside it.
const gcPercent = 40

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
