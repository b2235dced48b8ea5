package main

import (
	"cmp"
	"context"
	"image"
	"log/slog"
	"slices"
	"sync"
	"time"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/media/rtsp"
	"porthole/packages/internal/settings"
	"porthole/packages/player/camera"
	"porthole/packages/player/clock"
	"porthole/packages/player/facts"
	"porthole/packages/player/power"
	"porthole/packages/player/stage"
)

// screen is what the director directs (stage.Stage).
type screen interface {
	Status(stage.Status)
	Picture(image.Image)
	Video(camera.Picture)
	Words(note, strip string)
	Banner(text string)
	Orient(render.Turn)
	Mode(display.Mode)
	Light(stage.Light)
	Log([]render.Line)
}

// programme is what plays a program (content).
type programme interface {
	// play plays until ctx ends; an error means that the process should begin anew.
	play(ctx context.Context) error
	ask() asked
}

// target is what the settings ask for.
type target struct {
	show            settings.Show
	picture, camera string
}

// director decides what is on the screen: what was asked for as soon as it is there, and until then what was.
type director struct {
	log    *slog.Logger
	screen screen
	// play, open and load are rtsp.Play, decode.Open and picture.Load, told what they need.
	play func(context.Context, string, rtsp.Sink) error
	open func(context.Context, decode.Live) (*decode.Decoder, error)
	load func(ctx context.Context, name string) (image.Image, error)
	// stamp changes when the named picture's file does.
	stamp func(name string) string
	port  string
	now   func() time.Time
	// content plays programs, logs shows the log of all processes or not, with times in a zone (livelog.Switch.Set).
	content programme
	logs    func(on bool, zone string)

	wake chan struct{}
	// fatal takes why the process should begin anew.
	fatal chan error

	mu    sync.Mutex // guards what follows
	start time.Time
	facts facts.Facts
	view  settings.Player
	want  target
	// since is when want became what it is, turn counts how often it did.
	since time.Time
	turn  int
	// shown is what the screen shows; its zero value is the status screen.
	shown   target
	status  *stage.Status // as it was last shown
	watcher *camera.Watcher
	// loaded says that the wanted picture was shown, or why not.
	pictureErr error
	problems   []string
	asked      asked
	power      power.State
}

// run directs until ctx ends, or nothing helps but a new process.
func (d *director) run(ctx context.Context) error {
	d.mu.Lock()
	d.start = d.now()
	d.mu.Unlock()
	var work sync.WaitGroup
	defer work.Wait()
	stop := func() {}
	defer func() { stop() }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if begin := d.direct(); begin != nil {
			stop()
			stop = start(ctx, &work, begin)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-d.fatal:
			return err
		case <-tick.C:
		case <-d.wake:
		}
	}
}

// start runs f until it is stopped.
func start(ctx context.Context, work *sync.WaitGroup, f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	work.Go(func() {
		defer cancel()
		f(ctx)
	})
	return cancel
}

func (d *director) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// setFacts takes what is known of the device.
func (d *director) setFacts(f facts.Facts) {
	d.mu.Lock()
	d.facts = f
	d.mu.Unlock()
	d.poke()
}

// setView takes the settings.
func (d *director) setView(v settings.Player) {
	d.mu.Lock()
	d.view = v
	d.mu.Unlock()
	d.poke()
}

// direct shows what there is to show. When something else is wanted now, it returns what brings it, to be run until
// something else is wanted again.
func (d *director) direct() (begin func(context.Context)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wanted(); w != d.want || d.since.IsZero() {
		d.want, d.since, d.watcher, d.pictureErr = w, d.now(), nil, nil
		d.turn++
		begin = d.bring(w, d.turn)
	}
	d.asked = d.content.ask()
	if d.want.show == settings.ShowProgram && d.asked.playing && d.shown != d.want {
		d.shown, d.status = d.want, nil
	}
	d.power = power.At(d.view.Settings, d.view.Timezone, d.asked.clock.Now, d.asked.clock.Source != clock.LastKnown)
	d.screen.Light(light(d.power))
	plan := d.plan()
	d.problems = plan.problems
	d.screen.Orient(stage.Turn(cmp.Or(d.view.Settings.Orientation, d.asked.orientation)))
	d.screen.Mode(wantedMode(d.view.Settings.Mode))
	d.logs(d.view.Settings.Log, d.view.Timezone)
	if plan.status {
		if d.status == nil || !same(*d.status, plan.screen) {
			d.status = &plan.screen
			d.screen.Status(plan.screen)
		}
		d.shown = target{}
	}
	d.screen.Words(plan.note, plan.strip)
	now := d.now()
	d.screen.Banner(cmp.Or(d.view.Identify.Now(now), d.asked.identify.Now(d.asked.clock.Now)))
	return begin
}

// light is how a screen is that is on or off.
func light(p power.State) stage.Light {
	switch {
	case p.On:
		return stage.Lit
	case p.Off == settings.OffBlack:
		return stage.Black
	}
	return stage.SignalOff
}

// wantedMode is a mode as the settings have it; what they have wrong is the display's own.
func wantedMode(text string) display.Mode {
	m, _ := settings.ParseMode(text)
	return display.Mode{Width: m.Width, Height: m.Height, RefreshMilliHz: m.RefreshMilliHz}
}

func same(a, b stage.Status) bool {
	return a.Minute.Equal(b.Minute) && a.Name == b.Name && a.URL == b.URL && a.Fingerprint == b.Fingerprint && a.ClaimCode == b.ClaimCode && a.Unreachable == b.Unreachable &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Messages, b.Messages)
}

// wanted reads the settings. A camera that the device does not have is not looked for.
func (d *director) wanted() target {
	s := d.view.Settings
	switch {
	case s.Show == settings.ShowPicture && s.Picture != "" && s.Check() == nil:
		return target{show: s.Show, picture: s.Picture}
	case s.Show == settings.ShowCamera && d.hasCamera(s.Camera):
		return target{show: s.Show, camera: s.Camera}
	case s.Show == "" || s.Show == settings.ShowProgram:
		return target{show: settings.ShowProgram}
	}
	return target{}
}

func (d *director) hasCamera(id string) bool {
	return slices.ContainsFunc(d.view.Cameras, func(c settings.CameraRef) bool { return c.ID == id })
}

// bring returns what brings a target to the screen.
func (d *director) bring(w target, turn int) func(context.Context) {
	switch w.show {
	case settings.ShowCamera:
		d.watcher = camera.New(camera.Config{
			Log: d.log, Camera: w.camera, Play: d.play, Open: d.open,
			Show: func(p camera.Picture) { d.video(turn, p) },
		})
		return d.watcher.Run
	case settings.ShowPicture:
		return func(ctx context.Context) { d.follow(ctx, w.picture, turn) }
	case settings.ShowProgram:
		return func(ctx context.Context) {
			if err := d.content.play(ctx); err != nil {
				select {
				case d.fatal <- err:
				default:
				}
			}
		}
	}
	return func(context.Context) {}
}

// video shows a camera's picture, unless something else is wanted by now.
func (d *director) video(turn int, p camera.Picture) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn != turn {
		p.Release()
		return
	}
	if d.shown != d.want {
		d.poke()
	}
	d.shown, d.status = d.want, nil
	d.screen.Video(p)
}

// follow shows a picture, and again whenever its file changes. One that cannot be read leaves what was there.
func (d *director) follow(ctx context.Context, name string, turn int) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for last := ""; ; {
		if stamp := d.stamp(name); stamp != last {
			last = stamp
			m, err := d.load(ctx, name)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				d.log.Warn("picture is not shown", "picture", name, "err", err)
			}
			d.picture(turn, m, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *director) picture(turn int, m image.Image, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.turn != turn {
		return
	}
	if d.pictureErr = err; err == nil {
		d.shown, d.status = d.want, nil
		d.screen.Picture(m)
	}
	d.poke()
}
