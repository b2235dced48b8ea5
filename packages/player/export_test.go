package main

import (
	"context"
	"image"
	"log/slog"
	"time"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/internal/settings"
	"porthole/packages/player/camera"
	"porthole/packages/player/facts"
)

// Painter is what the stage draws with.
type Painter = painter

// Screen is what the director directs.
type Screen = screen

// Director is a director whose cameras never answer.
type Director struct{ d *director }

// NewDirector returns a Director that directs until ctx ends; wait returns then.
func NewDirector(ctx context.Context, s Screen) (d *Director, wait func()) {
	dir := &director{
		log: slog.New(slog.DiscardHandler), screen: s, port: "443", now: time.Now, wake: make(chan struct{}, 1),
		play:  func(context.Context, string, rtsp.Sink) error { return rtsp.ErrUnavailable },
		open:  func(context.Context, decode.Live) (*decode.Decoder, error) { return nil, nil },
		load:  func(context.Context, string) (image.Image, error) { return image.NewGray(image.Rect(0, 0, 1, 1)), nil },
		stamp: func(name string) string { return name },
	}
	done := make(chan struct{})
	go func() { defer close(done); dir.run(ctx) }()
	return &Director{dir}, func() { <-done }
}

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
	_, p := d.d.state()
	return p
}

// FirstPicture is what init calls player for, on a screen of the test's.
func FirstPicture(ctx context.Context, open func(context.Context) (display.Screen, error)) error {
	return firstPicture(ctx, open)
}
