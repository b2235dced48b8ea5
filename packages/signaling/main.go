// Command signaling shows cameras in browsers over WebRTC: the camera platform's WebSocket protocol, WHEP, and the
// viewer page.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sync/errgroup"

	"porthole/media/rtsp"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/signaling/live"
	"porthole/packages/signaling/web"
)

type options struct {
	wss, iceUDP         string
	loopback            bool
	perCamera, allViews int
}

func main() {
	var o options
	daemon.Process{
		Name: "signaling",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&o.wss, "wss", ":8765", "`address` of the secure WebSocket port; empty: none")
			fs.StringVar(&o.iceUDP, "ice-udp", ":8443", "UDP `address` of WebRTC media; empty: none (Chrome refuses 443 on private addresses)")
			fs.BoolVar(&o.loopback, "loopback", false, "offer loopback addresses to browsers, for one machine")
			// The camera platform's limit.
			fs.IntVar(&o.perCamera, "max-viewers-per-camera", 10, "most `viewers` of one camera at once")
			fs.IntVar(&o.allViews, "max-viewers", 50, "most `viewers` at once")
		},
		Needs: func(daemon.Env) daemon.Needs {
			return daemon.Needs{
				// UDP port 443.
				Certificates: true, LowPorts: true, ListenTCP: []string{o.wss},
				Sockets: []string{"console-internal", "rtsp"},
			}
		},
		Run: func(ctx context.Context, env daemon.Env) error { return run(ctx, env, o) },
	}.Main()
}

func run(ctx context.Context, env daemon.Env, o options) error {
	g, ctx := errgroup.WithContext(ctx)

	var path *live.Path
	if o.iceUDP != "" {
		var err error
		if path, err = live.Listen(env.Log, o.iceUDP, o.loopback); err != nil {
			return err
		}
		defer path.Close()
	}
	own, err := unixsock.Listen(env.Socket("signaling"), unixsock.Allow(env.SingleUser, "proxy"))
	if err != nil {
		return err
	}
	defer own.Close()
	var wss net.Listener
	if o.wss != "" {
		if wss, err = net.Listen("tcp", o.wss); err != nil {
			return taken(err, o.wss)
		}
		defer wss.Close()
	}

	console := unixsock.NewClient(env.Socket("console-internal"))
	defer console.Close()
	views := live.Start(ctx, live.Config{
		Log: env.Log, Path: path, PerCamera: o.perCamera, Total: o.allViews,
		Play: func(ctx context.Context, camera string, sink rtsp.Sink) error {
			dial := func(ctx context.Context) (net.Conn, error) { return unixsock.Dial(ctx, env.Socket("rtsp")) }
			return rtsp.Play(ctx, rtsp.PlayConfig{Dial: dial, Camera: camera}, sink)
		},
	})
	server := web.New(web.Config{Log: env.Log, Live: views, Ask: identity.NewAsker(console).Ask, SignalingPort: portOf(wss)})
	g.Go(func() error { views.Wait(); return nil })

	g.Go(func() error {
		return settings.Follow(ctx, env.Log, console, "signaling", env.SettingsFile(), func(v settings.Signaling) {
			ids := make([]string, 0, len(v.Cameras))
			for _, c := range v.Cameras {
				ids = append(ids, c.ID)
			}
			views.SetCameras(ids)
			server.SetCameras(v.Cameras)
		})
	})
	g.Go(func() error { return unixsock.Serve(ctx, own, server.Proxied()) })
	if wss != nil {
		g.Go(func() error { return serveTLS(ctx, g, env, wss, server.Direct()) })
	} else {
		env.Log.Info("signaling port is switched off; pages use /ws on the console's port")
	}
	err = g.Wait()
	server.Wait()
	return err
}

func taken(err error, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(addr)
		return fmt.Errorf("TCP port %s is taken by another program: stop that one, or choose another port with -wss: %w", port, err)
	}
	return fmt.Errorf("open the secure WebSocket port %s: %w", addr, err)
}

// portOf returns the port pages are told of.
func portOf(l net.Listener) int {
	if l == nil {
		return 0
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
