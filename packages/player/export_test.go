package main

import (
	"context"
	"image"
	"log/slog"
	"sync"
	"time"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/media/rtsp"
	"porthole/packages/internal/settings"
	"porthole/packages/player/cache"
	"porthole/packages/player/camera"
	"porthole/packages/player/clock"
	"porthole/packages/player/facts"
	"porthole/packages/player/link"
)

// Screen is what the director directs.
type Screen = screen

// Asked is what the director has to know of a program.
type Asked = asked

// NewAsked makes one.
func NewAsked(playing bool, l link.State, c cache.State, k clock.State) Asked {
	return asked{playing: playing, link: l, cache: c, clock: k}
}

// Problem is the same while viewers should know of a problem.
func (a asked) Problem(text string) Asked {
	a.problem = text
	return a
}

// programmer says what it was told to say, and plays until it is told to fail.
type programmer struct {
	mu    sync.Mutex // guards what follows
	asked asked
	fail  chan error
}

func (p *programmer) ask() asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *programmer) play(ctx context.Context) error {
	select {
	case err := <-p.fail:
		return err
	case <-ctx.Done():
		return nil
	}
}

// Director is a director whose cameras never answer, and whose program is what a test says.
type Director struct {
	d       *director
	program *programmer
}

// NewDirector returns a Director that directs until ctx ends; wait returns then.
func NewDirector(ctx context.Context, s Screen) (d *Director, wait func() error) {
	program := &programmer{fail: make(chan error, 1)}
	dir := &director{
		log: slog.New(slog.DiscardHandler), screen: s, port: "443", now: time.Now, wake: make(chan struct{}, 1),
		fatal: make(chan error, 1), content: program,
		logs: func(on bool, _ string) {
			var lines []render.Line
			if on {
				lines = []render.Line{{Text: "a line"}}
			}
			s.Log(lines)
		},
		play:  func(context.Context, string, rtsp.Sink) error { return rtsp.ErrUnavailable },
		open:  func(context.Context, decode.Live) (*decode.Decoder, error) { return nil, nil },
		load:  func(context.Context, string) (image.Image, error) { return image.NewGray(image.Rect(0, 0, 1, 1)), nil },
		stamp: func(name string) string { return name },
	}
	done := make(chan error, 1)
	go func() { done <- dir.run(ctx) }()
	return &Director{dir, program}, func() error { return <-done }
}

// Program says what content answers from now on, Fail ends it.
func (d *Director) Program(a Asked) {
	d.program.mu.Lock()
	d.program.asked = a
	d.program.mu.Unlock()
	d.d.poke()
}

// Fail lets the program's player fail.
func (d *Director) Fail(err error) { d.program.fail <- err }

// Facts, View, State and Video reach the director's methods.
func (d *Director) Facts(f facts.Facts)    { d.d.setFacts(f) }
func (d *Director) View(v settings.Player) { d.d.setView(v) }

// Video shows a picture as the wanted camera would.
func (d *Director) Video() {
	d.d.mu.Lock()
	turn := d.d.turn
	d.d.mu.Unlock()
	d.d.video(turn, camera.Picture{Release: func() {}})
}

// Problems are what GET /status says.
func (d *Director) Problems() []string {
	_, p, _ := d.d.state()
	return p
}

// FirstPicture is what init calls player for, on a screen of the test's.
func FirstPicture(ctx context.Context, open func(context.Context) (display.Screen, error)) error {
	return firstPicture(ctx, open)
}
