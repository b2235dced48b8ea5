package main

import (
	"context"
	"fmt"
	"image"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/hw/display"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/player/facts"
	"porthole/packages/player/livelog"
	"porthole/packages/player/paint"
	"porthole/packages/player/picture"
	"porthole/packages/player/stage"
)

// Options say how player runs.
type Options struct {
	Env daemon.Env
	// Display is the value of -display.
	Display string
	// Decoder is the path of the decoder, ConsolePort the port in the console's address.
	Decoder, ConsolePort string
	// Libraries are folders that the decoder may read, for one that is not static.
	Libraries []string
	// Screen, if set, is used instead of what Display says. Run closes it.
	Screen display.Screen
	// Hostname and Addresses, if set, are asked instead of the kernel.
	Hostname  func() (string, error)
	Addresses func() ([]netip.Addr, error)
}

// The size of a screen that nobody sees.
const offscreenWidth, offscreenHeight = 1920, 1080

// pictureSize is what pictures are scaled down to that are too large to be decoded here.
func pictureSize() image.Point { return image.Pt(3840, 2160) }

// Run shows things until ctx ends.
func Run(ctx context.Context, o Options) error {
	sc, err := o.stage()
	if err != nil {
		return err
	}
	if _, err := os.Stat(o.Decoder); err != nil {
		o.Env.Log.Error("no decoder: cameras cannot be shown", "err", err)
	}
	system := unixsock.NewClient(o.Env.Socket("system"))
	defer system.Close()
	console := unixsock.NewClient(o.Env.Socket("console-internal"))
	defer console.Close()

	d := o.director(sc)
	shots := newShots(sc)
	c := o.content(sc, shots.large.jpeg, d.poke)
	d.content = c
	logs := livelog.NewSwitch(system, sc.Log)
	d.logs = logs.Set
	gatherer := facts.New(facts.Config{
		System: system, Console: console, StorageFile: filepath.Join(o.Env.RunDir, "perm-status.json"),
		Hostname: o.Hostname, Addresses: o.Addresses, Changed: d.setFacts,
	})
	own, err := unixsock.Listen(o.Env.Socket("player"), unixsock.Allow(o.Env.SingleUser, "console"))
	if err != nil {
		return err
	}
	defer own.Close()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return sc.Run(ctx) })
	g.Go(func() error { gatherer.Run(ctx); return nil })
	g.Go(func() error { logs.Run(ctx); return nil })
	g.Go(func() error { return c.run(ctx) })
	g.Go(func() error { return d.run(ctx) })
	g.Go(func() error {
		// In the folder that outlives a restart of the device: what is to be shown is known before console is there.
		kept := filepath.Join(o.Env.PermDir, "player", "settings.json")
		return settings.Follow(ctx, o.Env.Log, console, "player", kept, func(v settings.Player) {
			d.setView(v)
			c.link.Set(v.Settings, v.Hostname)
			gatherer.Ask()
		})
	})
	g.Go(func() error { return unixsock.Serve(ctx, own, handler(sc, d, c, shots)) })
	return g.Wait()
}

// stage makes the stage that -display asks for.
func (o Options) stage() (*stage.Stage, error) {
	cfg := stage.Config{Log: o.Env.Log, Fallback: o.Screen, Painter: paint.Painter{}}
	if o.Screen != nil {
		return stage.New(cfg), nil
	}
	kind, size, sized := strings.Cut(o.Display, ":")
	w, h := offscreenWidth, offscreenHeight
	if sized {
		var err error
		if w, h, err = parseSize(size); err != nil || kind != string(display.KindOffscreen) {
			return nil, fmt.Errorf("-display %s: a size goes with offscreen, for example offscreen:1280x720", o.Display)
		}
	}
	cfg.Fallback = display.OpenOffscreen(w, h)
	prefer := display.Kind(kind)
	switch prefer {
	case "auto":
		prefer = display.KindPlanes
	case display.KindPrimary, display.KindFramebuffer:
	case display.KindOffscreen:
		return stage.New(cfg), nil
	default:
		return nil, fmt.Errorf("-display %s: use auto, primary, framebuffer or offscreen", o.Display)
	}
	cfg.Open = func(ctx context.Context) (display.Screen, error) {
		// A restart of this process is not seen: the last frame stays until there is another.
		return display.Open(ctx, display.Options{Prefer: prefer, KeepFrame: true})
	}
	return stage.New(cfg), nil
}

func parseSize(s string) (w, h int, err error) {
	ws, hs, ok := strings.Cut(s, "x")
	w, errW := strconv.Atoi(ws)
	h, errH := strconv.Atoi(hs)
	const most = 8192
	if !ok || errW != nil || errH != nil || w < 1 || h < 1 || w > most || h > most {
		return 0, 0, fmt.Errorf("%q is no size", s)
	}
	return w, h, nil
}

// director makes the director of a stage.
func (o Options) director(sc screen) *director {
	folder := filepath.Join(o.Env.PermDir, "player")
	return &director{
		log: o.Env.Log, screen: sc, port: o.ConsolePort, now: time.Now, wake: make(chan struct{}, 1), fatal: make(chan error, 1),
		play: o.camera, open: o.live,
		load: func(ctx context.Context, name string) (image.Image, error) {
			return picture.Load(ctx, filepath.Join(folder, name), pictureSize(), picture.Decoder(o.Decoder, o.Libraries...))
		},
		stamp: func(name string) string {
			st, err := os.Stat(filepath.Join(folder, name))
			if err != nil {
				return "missing"
			}
			return fmt.Sprintf("%d bytes of %d", st.Size(), st.ModTime().UnixNano())
		},
	}
}
