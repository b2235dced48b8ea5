package main

import (
	"context"
	"image"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/player/cache"
	"porthole/packages/player/clock"
	"porthole/packages/player/link"
	"porthole/packages/player/picture"
	"porthole/packages/player/playback"
	"porthole/packages/player/spool"
	"porthole/packages/player/stage"
	"porthole/packages/player/trust"
)

// videoFrames is how many decoded pictures of a video exist at once: they wait for their time.
const videoFrames = 6

// videoPatience is how long a decoder may take for a picture of a video: less than the watchdog waits for the screen.
const videoPatience = 5 * time.Second

// content is what the signage server wants shown: the program, what it needs, and the way to the server.
type content struct {
	engine *playback.Engine
	cache  *cache.Cache
	link   *link.Link
	trust  *trust.Trust
	clock  *clock.Clock
	spool  *spool.Spool
	// changed is called when there is news for the screen.
	changed func()
	turn    sync.Mutex // held by play

	mu sync.Mutex // guards what follows
	// orientation and name are those of the program.
	orientation, name string
	identify          settings.Identify
}

// content makes what plays programs on a stage. Nothing of it runs yet, but what is on the disk is known.
func (o Options) content(st *stage.Stage, shot func() ([]byte, error), changed func()) *content {
	c := &content{changed: changed}
	log := o.Env.Log
	dir := filepath.Join(o.Env.PermDir, "player")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		// The parts say what they cannot keep.
		log.Error("no folder for what is to be shown", "err", err)
	}
	c.clock = clock.New(clock.Config{Log: log, Dir: dir, Built: daemon.Built(), Jumped: changed})
	c.trust = trust.Open(trust.Config{Log: log, Dir: dir, Now: c.clock.Now})
	c.spool = spool.New(spool.Config{Log: log, Dir: filepath.Join(dir, "spool")})
	c.link = link.New(link.Config{
		Log: log, Dir: dir, Agent: "Porthole/" + daemon.Version(), Console: unixsock.Transport(o.Env.Socket("console-internal")),
		Trust: c.trust, Clock: c.clock, Spool: c.spool, Shot: shot,
		Program:  func(p program.Program) { c.cache.Want(p); changed() },
		Identify: c.identifyAs,
	})
	c.cache = cache.New(cache.Config{Log: log, Dir: filepath.Join(dir, "cache"), Source: c.link, Now: c.clock.Now, Ready: c.ready})
	c.engine = playback.New(o.playback(log, st, c, dir))
	if p, ok := c.cache.Current(); ok {
		c.ready(p)
	}
	return c
}

// playback says how items become pictures.
func (o Options) playback(log *slog.Logger, st *stage.Stage, c *content, dir string) playback.Config {
	return playback.Config{
		Log: log, Stage: st, Files: c.cache, Now: c.clock.Now, Dir: dir, Report: c.link.Report, Changed: func() { c.changed() },
		Camera: o.camera,
		Stream: rtsp.PlayURL,
		Live:   o.live,
		Video: func(ctx context.Context, f *os.File) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: o.Decoder, Libraries: o.Libraries, File: f, Frames: videoFrames, FrameTimeout: videoPatience})
		},
		Picture: func(ctx context.Context, f *os.File) (image.Image, error) {
			return picture.LoadFile(ctx, f, pictureSize(), picture.Decoder(o.Decoder, o.Libraries...))
		},
	}
}

// camera reads a camera of this device.
func (o Options) camera(ctx context.Context, id string, sink rtsp.Sink) error {
	dial := func(ctx context.Context) (net.Conn, error) { return unixsock.Dial(ctx, o.Env.Socket("rtsp")) }
	return rtsp.Play(ctx, rtsp.PlayConfig{Dial: dial, Camera: id}, sink)
}

// live starts a decoder for what a camera sends.
func (o Options) live(ctx context.Context, l decode.Live) (*decode.Decoder, error) {
	// One frame is on the screen, one waits for it, one is on its way there.
	return decode.Open(ctx, decode.Options{Binary: o.Decoder, Libraries: o.Libraries, Live: &l, Frames: decode.DefaultFrames + 1})
}

// ready takes a program that can be played.
func (c *content) ready(p program.Program) {
	c.mu.Lock()
	c.orientation, c.name = p.Orientation, p.PlayerName
	c.mu.Unlock()
	c.engine.SetProgram(p)
	c.changed()
}

// identifyAs shows a text over everything for a while.
func (c *content) identifyAs(text string, until time.Time) {
	c.mu.Lock()
	c.identify = settings.Identify{Text: text, Until: until}
	c.mu.Unlock()
	c.changed()
}

// play implements programme.
func (c *content) play(ctx context.Context) error {
	// The one before may not have ended yet.
	c.turn.Lock()
	defer c.turn.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	return c.engine.Run(ctx)
}

// run keeps all of it going until ctx ends, but the engine, which runs while the screen shows a program.
func (c *content) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.clock.Run(ctx) })
	g.Go(func() error { return c.spool.Run(ctx) })
	g.Go(func() error { return c.cache.Run(ctx) })
	g.Go(func() error { c.link.Run(ctx); return nil })
	return g.Wait()
}

// asked is what the director has to know of a program.
type asked struct {
	playing bool
	// problem is what viewers should know of what plays.
	problem           string
	orientation, name string
	identify          settings.Identify
	link              link.State
	cache             cache.State
	clock             clock.State
}

// ask implements programme.
func (c *content) ask() asked {
	plays := c.engine.State()
	a := asked{playing: plays.Playing, problem: plays.Problem, link: c.link.State(), cache: c.cache.State(), clock: c.clock.State()}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.orientation, a.name, a.identify = c.orientation, c.name, c.identify
	return a
}
