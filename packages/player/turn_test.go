package main_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/player/camera"
	"porthole/packages/player/paint"
	"porthole/packages/player/stage"
)

// exhibit shows one thing after the other on a stage of its own, whose refreshes the test makes.
type exhibit struct {
	t      *testing.T
	clock  *display.Clock
	screen *display.Offscreen
	stage  *stage.Stage
}

func newExhibit(t *testing.T, size image.Point, planes bool) *exhibit {
	t.Helper()
	c := display.NewClock(60_000)
	e := &exhibit{t: t, clock: c, screen: display.OpenSimulated(size.X, size.Y, planes, c)}
	log := slog.New(slog.DiscardHandler)
	e.stage = stage.New(stage.Config{Log: log, Fallback: e.screen, Painter: paint.Painter{}, Clock: c})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.stage.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	e.until("there is a screen", func() bool { return e.stage.Size() != image.Pt(1, 1) })
	return e
}

// until makes refreshes until something is so.
func (e *exhibit) until(what string, ok func() bool) {
	e.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			e.t.Fatalf("not after 60 s: %s", what)
		}
		e.clock.Refresh()
		<-tick.C
	}
}

// show does something that brings a new frame, and returns what a viewer sees.
func (e *exhibit) show(f func(*stage.Stage)) *display.Image {
	e.t.Helper()
	_, before := e.screen.Last()
	f(e.stage)
	e.until("a new frame", func() bool { _, n := e.screen.Last(); return n > before })
	// What was asked for in several steps takes several frames: the last is there when no other comes for a while.
	for quiet, last := 0, uint64(0); quiet < 30; quiet++ {
		e.clock.Refresh()
		<-time.After(2 * time.Millisecond)
		if _, n := e.screen.Last(); n != last {
			quiet, last = 0, n
		}
	}
	m, _ := e.screen.Last()
	return m
}

// script is a source that gives changes, one for each refresh.
type script struct {
	changes []stage.Change
	next    int
	shown   atomic.Int64
}

func (s *script) Next(stage.Refresh) stage.Change {
	if s.next == len(s.changes) {
		return stage.Change{}
	}
	s.next++
	return s.changes[s.next-1]
}

func (s *script) Shown(stage.Refresh) { s.shown.Add(1) }

// chart is a picture of fields in different colours, w by h pixels, such that every turn and every cut is seen.
func chart(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			i, j := x*4/w, y*4/h
			m.SetRGBA(x, y, color.RGBA{uint8(40 + 60*i), uint8(40 + 60*j), uint8(30 + 50*((i+2*j)%4)), 255})
		}
	}
	return m
}

// film is the chart as a decoder gives it, lying so that it has to be turned by rotation to stand upright.
func film(w, h int, rotation render.Turn) camera.Picture {
	upright := chart(w, h)
	size := rotation.Size(image.Pt(w, h))
	lying := render.NewImage(size.X, size.Y)
	render.Draw(lying, upright, render.Stretch, rotation.Back(), color.RGBA{})
	m := image.NewYCbCr(image.Rectangle{Max: size}, image.YCbCrSubsampleRatio420)
	for y := range size.Y {
		for x := range size.X {
			c := lying.At(x, y).(color.RGBA)
			m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = color.RGBToYCbCr(c.R, c.G, c.B)
		}
	}
	info := decode.StreamInfo{SampleAspect: [2]int{1, 1}, Rotation: int(rotation), FullRange: true}
	return camera.Picture{Image: m, Info: info, Release: func() {}}
}

// keepPNG writes a picture to the folder in PLAYER_SHOTS, for a person to look at.
func keepPNG(t *testing.T, name string, m image.Image) {
	t.Helper()
	dir := os.Getenv("PLAYER_SHOTS")
	if dir == "" {
		return
	}
	file := filepath.Join(dir, strings.ReplaceAll(t.Name()+"-"+name, "/", "-")+".png")
	if err := os.WriteFile(file, encodePNG(t, m), 0o600); err != nil {
		t.Error(err)
	}
}

func turned(m *display.Image, turn render.Turn) *display.Image {
	size := turn.Size(m.Rect.Size())
	out := render.NewImage(size.X, size.Y)
	if err := render.Rotate(out, (*render.Image)(m), turn); err != nil {
		panic(err)
	}
	return (*display.Image)(out)
}

// differing counts squares whose mean colours differ much: edges may lie a pixel beside where they were.
func differing(a, b *display.Image) int {
	const side = 8
	mean := func(m *display.Image, x0, y0, i int) int {
		sum := 0
		for y := y0; y < y0+side; y++ {
			for x := x0; x < x0+side; x++ {
				sum += int(m.Pix[m.PixOffset(x, y)+i])
			}
		}
		return sum / (side * side)
	}
	n := 0
	for y := 0; y+side <= a.Rect.Dy(); y += side {
		for x := 0; x+side <= a.Rect.Dx(); x += side {
			for i := range 3 {
				if d := mean(a, x, y, i) - mean(b, x, y, i); d > 64 || d < -64 {
					n++
					break
				}
			}
		}
	}
	return n
}

func playStill(m image.Image, fit render.Mode) func(*stage.Stage) {
	return func(s *stage.Stage) {
		s.Play(&script{changes: []stage.Change{{Begin: true, Still: s.Prepare(m, fit)}}})
	}
}

func playFilm(w, h int, rotation render.Turn, fit render.Mode) func(*stage.Stage) {
	return func(s *stage.Stage) {
		p := film(w, h, rotation)
		s.Play(&script{changes: []stage.Change{{Begin: true, Video: &p, Fit: fit}}})
	}
}

// scenes are all kinds of things that a screen shows.
func scenes() map[string]func(*stage.Stage) {
	status := stage.Status{
		Name: "Lobby", URL: "https://192.168.178.20/", Fingerprint: "AB12 CD34", ClaimCode: "BCDF-2345",
		Messages: []string{"There is no network. Is the cable plugged in?"},
	}
	var lines []render.Line
	for i := range 40 {
		lines = append(lines, render.Line{
			Time: time.Date(2026, 3, 4, 5, 6, i, 0, time.UTC), Source: []string{"player", "console", "proxy"}[i%3], Level: slog.Level(i % 3 * 4),
			Text: fmt.Sprintf("cannot reach the signage server; trying again attempt=%d err=\"connection refused\"", i),
		})
	}
	list := map[string]func(*stage.Stage){
		"status": func(s *stage.Stage) { s.Status(status) },
		"text": func(s *stage.Stage) {
			s.Play(&script{changes: []stage.Change{{Begin: true, Still: s.PrepareText("Closed on Monday")}}})
		},
		"log": func(s *stage.Stage) { s.Status(status); s.Log(lines) },
		"status with banner": func(s *stage.Stage) {
			s.Status(status)
			s.Banner("This is the screen Lobby")
		},
		"still with words": func(s *stage.Stage) {
			s.Words("No new picture for 2 min.", "To set this device up, open https://192.168.178.20/")
			playStill(chart(600, 400), render.Fill)(s)
		},
		"camera": func(s *stage.Stage) { s.Video(film(320, 240, 0)) },
		"camera with words": func(s *stage.Stage) {
			s.Words("No new picture for 2 min.", "To set this device up, open https://192.168.178.20/")
			s.Video(film(320, 240, 0))
		},
		"camera with strip": func(s *stage.Stage) {
			s.Words("", "To set this device up, open https://192.168.178.20/")
			s.Video(film(320, 240, 0))
		},
		"camera with banner": func(s *stage.Stage) {
			s.Banner("Lobby")
			s.Video(film(320, 240, 0))
		},
	}
	for _, fit := range []render.Mode{render.Fit, render.Fill, render.Stretch} {
		list["still "+string(fit)] = playStill(chart(600, 400), fit)
		list["portrait still "+string(fit)] = playStill(chart(240, 600), fit)
		list["film "+string(fit)] = playFilm(320, 180, 0, fit)
		list["film of a phone "+string(fit)] = playFilm(180, 320, 90, fit)
		list["film of a phone held the other way "+string(fit)] = playFilm(320, 180, 180, fit)
	}
	return list
}

// TestTurn: whatever is on the screen, on a turned display it looks as on one that is built so.
func TestTurn(t *testing.T) {
	hardware := image.Pt(320, 176)
	if os.Getenv("PLAYER_SHOTS") != "" {
		hardware = image.Pt(1920, 1080)
	}
	for name, scene := range scenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, planes := range []bool{false, true} {
				for orientation, turn := range map[string]render.Turn{"landscape": 0, "portrait": 90, "landscape-flipped": 180, "portrait-flipped": 270} {
					if got := stage.Turn(orientation); got != turn {
						t.Fatalf("%s is a turn by %d", orientation, got)
					}
					want := newExhibit(t, turn.Size(hardware), false).show(scene)
					e := newExhibit(t, hardware, planes)
					e.stage.Orient(turn)
					got := turned(e.show(scene), turn.Back())
					if n := differing(got, want); n > 5 {
						t.Errorf("%s, planes %v: %d squares differ", orientation, planes, n)
						keepPNG(t, fmt.Sprint(orientation, planes, " wanted"), want)
					}
					keepPNG(t, fmt.Sprint(orientation, planes), got)
					if shot, _ := e.stage.Shot(); differing(shot, got) > 0 {
						t.Errorf("%s, planes %v: a shot of the screen does not show what is on it", orientation, planes)
					}
				}
			}
		})
	}
}

// TestFilmStandsUpright: a film that was taken with the camera turned looks like one that was not.
func TestFilmStandsUpright(t *testing.T) {
	for _, fit := range []render.Mode{render.Fit, render.Fill, render.Stretch} {
		for _, planes := range []bool{false, true} {
			want := newExhibit(t, image.Pt(320, 176), planes).show(playFilm(180, 320, 0, fit))
			for _, rotation := range []render.Turn{90, 180, 270} {
				got := newExhibit(t, image.Pt(320, 176), planes).show(playFilm(180, 320, rotation, fit))
				if n := differing(got, want); n > 5 {
					t.Errorf("%s, planes %v, taken turned by %d: %d squares differ", fit, planes, rotation, n)
				}
			}
		}
	}
}
