package playback

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"porthole/media/decode"
	"porthole/media/render"
	"porthole/media/rtsp"
	"porthole/packages/internal/program"
	"porthole/packages/player/stage"
)

// Stage is where things are shown (stage.Stage).
type Stage interface {
	Play(stage.Source)
	Plays(stage.Source) (asked, lit bool)
	Prepare(m image.Image, fit render.Mode) *stage.Still
	PrepareText(text string) *stage.Still
	Reopen()
}

// Config is what an Engine needs.
type Config struct {
	Log   *slog.Logger
	Stage Stage
	Files Files
	// Now is the time that rules and interruptions go by; nil means time.Now.
	Now func() time.Time
	// Camera reads a camera of this device (rtsp.Play), Stream one at an RTSP address (rtsp.PlayURL).
	Camera func(ctx context.Context, id string, sink rtsp.Sink) error
	Stream func(ctx context.Context, url string, sink rtsp.Sink) error
	// Live and Video start a decoder for what cameras send and for a file, which may be closed then. Frames of a video
	// wait in it: at least four are needed.
	Live  func(context.Context, decode.Live) (*decode.Decoder, error)
	Video func(context.Context, *os.File) (*decode.Decoder, error)
	// Picture reads a picture file (picture.LoadFile).
	Picture func(context.Context, *os.File) (image.Image, error)
	// Dir is where the reason of the last restart is kept; it must exist.
	Dir string
	// Report takes what the server is to hear, Changed is called when State().Playing has changed, and must not block. Both
	// may be nil.
	Report  func(Event)
	Changed func()
}

// Engine plays a program. Its methods may be called from any goroutine.
type Engine struct {
	cfg  Config
	wake chan struct{}
	// beat counts the planner's rounds.
	beat atomic.Uint64
	work sync.WaitGroup
	// reading holds a token for each picture that is being read.
	reading chan struct{}

	mu       sync.Mutex // guards what follows
	schedule *program.Schedule
	// base plays in place of barred, a playlist of which nothing can be played.
	base   *program.Playlist
	barred barred
	// now is what is due at present.
	now program.Now
	// cur is on the screen, queue are the candidates for what comes next, in their order.
	cur   *act
	queue []*act
	// place is that of the item that was queued last, resume of one that an interruption has cut off.
	place, resume place
	// cut says that the item on the screen has to go: what it is of is not due any more. Stale is since when.
	cut   bool
	stale time.Time
	// failed counts the candidates in a row that could not be played; hold is when the next may be tried after all have.
	failed int
	hold   time.Time
	change change
	seen   seen
	dark   time.Time // since when the screen is off
	// playing is State.Playing; announced is the item that was reported last.
	playing   bool
	announced announced
	reported  map[int64]complaint
	unsaid    []Event
	skipped   []Skipped
	gaps      Gaps
	restarts  int
	restart   string
}

// seen is what the stage did last, for the watchdog, by the real clock.
type seen struct {
	asked, shown time.Time
	refresh      stage.Refresh
	wall         time.Time // when the refresh was asked for, on Config.Now's clock
	// waiting is since when something is to be shown that is not.
	waiting time.Time
	// restarted is when the watchdog last began anew, zero once something was shown since.
	restarted time.Time
}

// change is a change from one item to the next.
type change struct {
	// over is the first refresh at which the next item could have been there, if the last one's time is over.
	over  stage.Refresh
	ended bool
	// at is when the last one's time was over.
	at time.Duration
	// pending says that the next one's first frame was handed out but is not on the screen yet; counts says that it came
	// after another one.
	pending, counts bool
	// begin says that the screen has to be told all.
	begin bool
	// unshown counts frames that were handed out since the last that is on the screen.
	unshown int
	// fading lasts from fade on for length.
	fading       bool
	fade, length time.Duration
}

// barred is a playlist that is passed over for a while.
type barred struct {
	playlist int64
	until    time.Time // by the real clock
}

type announced struct {
	item, version, playlist int64
	name                    string
}

// New returns an Engine. Run starts it.
func New(cfg Config) *Engine {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Report == nil {
		cfg.Report = func(Event) {}
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	e := &Engine{cfg: cfg, wake: make(chan struct{}, 1), reading: make(chan struct{}, 2), reported: map[int64]complaint{}}
	e.restarts, e.restart = e.recall()
	return e
}

// SetProgram plays a program from the next change of items on; an interruption begins at once. Nothing of it may change
// any more.
func (e *Engine) SetProgram(p program.Program) {
	s := program.NewSchedule(p)
	var base *program.Playlist
	for i := range p.Playlists {
		if l := &p.Playlists[i]; l.ID == p.Base && l.ID != 0 && len(l.Items) > 0 {
			base = l
		}
	}
	e.mu.Lock()
	e.schedule, e.base, e.barred, e.failed, e.hold = s, base, barred{}, 0, time.Time{}
	e.mu.Unlock()
	e.poke()
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// State says how it goes.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := State{
		Playing: e.playing, Rule: e.now.Rule, Interrupt: e.now.Interrupt, Until: e.now.Until,
		Skipped: append([]Skipped(nil), e.skipped...), Gaps: e.gaps, Restarts: e.restarts, LastRestart: e.restart,
	}
	if l := e.now.Playlist; l != nil {
		s.Playlist, s.PlaylistName, s.Version = l.ID, l.Name, l.Version
	}
	if e.cur != nil {
		s.Item = e.cur.state()
		var silent *errLive
		if _, _, err := e.cur.show.end(e.seen.refresh); errors.As(err, &silent) {
			s.Problem = fmt.Sprintf("No new picture from %s: %s.", s.Item.Name, silent.why)
		}
	}
	for _, a := range e.queue {
		if a.phase != failed {
			s.Next = a.state()
			break
		}
	}
	return s
}

// Run plays until ctx ends. While it runs the screen is the Engine's whenever there is something to play. An error means that nothing helps
// but to start the process anew. It may be called again after it has returned.
func (e *Engine) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.seen = seen{}
	e.mu.Unlock()
	fault := make(chan error, 1)
	var own sync.WaitGroup
	own.Go(func() { e.planner(ctx) })
	own.Go(func() {
		if err := e.watch(ctx); err != nil {
			fault <- err
		}
	})
	select {
	case err := <-fault:
		// Whoever hangs is not waited for.
		return err
	case <-ctx.Done():
	}
	own.Wait()
	e.cfg.Stage.Play(nil)
	e.mu.Lock()
	e.clear()
	quiet := e.play(false)
	e.mu.Unlock()
	quiet()
	e.tell()
	e.work.Wait()
	return nil
}

// clear drops all items. The caller holds e.mu.
func (e *Engine) clear() {
	for _, a := range e.queue {
		a.cancel()
	}
	if e.cur != nil {
		e.cur.cancel()
	}
	e.cur, e.queue, e.change = nil, nil, change{}
}

// play sets State.Playing and returns what tells of it, to be called without e.mu.
func (e *Engine) play(on bool) (tell func()) {
	if e.playing == on {
		return func() {}
	}
	e.playing = on
	return e.cfg.Changed
}
