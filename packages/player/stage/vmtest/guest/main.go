// Command guest runs a stage on the screen of a test's virtual machine, as the test says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"porthole/hw/display"
	"porthole/hw/hwtest/vm/guest"
	"porthole/media/decode"
	"porthole/media/render"
	"porthole/packages/player/camera"
	"porthole/packages/player/paint"
	"porthole/packages/player/stage"
)

func main() {
	s := &session{}
	err := guest.Main(guest.Program{
		Commands: guest.Commands{
			"open": s.open, "report": s.report, "orient": s.orient, "show": s.show, "fade": s.fade, "mode": s.mode, "light": s.light,
			"banner": s.banner, "await": s.await,
		},
		Devices: []string{guest.Card},
	})
	if err != nil {
		os.Exit(1)
	}
}

// patience bounds everything.
const patience = 40 * time.Second

type session struct {
	stage *stage.Stage
}

// open begins to run a stage until the program ends.
func (s *session) open(string) (string, error) {
	s.stage = stage.New(stage.Config{
		Log: slog.New(slog.DiscardHandler), Painter: paint.Painter{}, Fallback: display.OpenOffscreen(16, 16),
		Open: func(ctx context.Context) (display.Screen, error) {
			return display.Open(ctx, display.Options{KeepFrame: true})
		},
	})
	go func() {
		if err := s.stage.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "stage:", err)
		}
	}()
	err := s.until("there is a screen", func(r stage.Report) bool { return r.Screen.Driver != "" && r.Screen.Problem == "" })
	if err != nil {
		return "", err
	}
	return s.report("")
}

// until waits for a report.
func (s *session) until(what string, ok func(stage.Report) bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(s.stage.Report()); <-tick.C {
		if time.Now().After(deadline) {
			return fmt.Errorf("not after %v: %s", patience, what)
		}
	}
	return nil
}

// presents does something that brings a frame, and waits for it.
func (s *session) presents(f func()) (string, error) {
	before := s.stage.Report().Presented
	f()
	if err := s.until("a frame", func(r stage.Report) bool { return r.Presented > before }); err != nil {
		return "", err
	}
	return s.report("")
}

func (s *session) report(string) (string, error) {
	b, err := json.Marshal(s.stage.Report())
	return string(b), err
}

// await waits until the report holds a text.
func (s *session) await(text string) (string, error) {
	err := s.until(text, func(stage.Report) bool {
		r, err := s.report("")
		return err == nil && strings.Contains(r, text)
	})
	if err != nil {
		return "", err
	}
	return s.report("")
}

func (s *session) orient(orientation string) (string, error) {
	return s.presents(func() { s.stage.Orient(stage.Turn(orientation)) })
}

func (s *session) banner(text string) (string, error) {
	return s.presents(func() { s.stage.Banner(text) })
}

// mode takes "WIDTH HEIGHT", or "0 0" for the display's own.
func (s *session) mode(argument string) (string, error) {
	var m display.Mode
	if _, err := fmt.Sscan(argument, &m.Width, &m.Height); err != nil {
		return "", err
	}
	s.stage.Mode(m)
	return "asked for", nil
}

// light takes "", "black" or "signal".
func (s *session) light(argument string) (string, error) {
	s.stage.Light(stage.Light(argument))
	return "asked for", nil
}

// show shows something of that name.
func (s *session) show(what string) (string, error) {
	return s.presents(func() {
		s.stage.Log(nil)
		switch what {
		case "status":
			s.stage.Status(stage.Status{Name: "Lobby", URL: "https://192.168.178.20/"})
		case "log":
			s.stage.Log([]render.Line{{Time: time.Now(), Source: "player", Text: "a line of the log"}})
		case "text":
			s.play(stage.Change{Begin: true, Still: s.stage.PrepareText("Closed on Monday")})
		case "film":
			s.play(stage.Change{Begin: true, Video: film(), Fit: render.Stretch})
		default:
			s.play(stage.Change{Begin: true, Still: s.still(what)})
		}
	})
}

// still is the chart, or a plain colour.
func (s *session) still(what string) *stage.Still {
	if c, ok := map[string]color.RGBA{"red": {200, 0, 0, 255}, "blue": {0, 0, 200, 255}}[what]; ok {
		m := render.NewImage(64, 36)
		m.Fill(m.Rect, c)
		return s.stage.Prepare(m, render.Stretch)
	}
	return s.stage.Prepare(chart(), render.Stretch)
}

// fade takes "WHAT SHARE" and lets it take the place of what is there, in steps, up to a share of 256.
func (s *session) fade(argument string) (string, error) {
	var what string
	var to int
	if _, err := fmt.Sscan(argument, &what, &to); err != nil {
		return "", err
	}
	const step = 16
	changes := []stage.Change{{Begin: true, Fading: true}}
	if what == "film" {
		changes[0].Video, changes[0].Fit = film(), render.Stretch
	} else {
		changes[0].Still = s.still(what)
	}
	for share := step; share <= to; share += step {
		c := stage.Change{Fading: true, Share: share}
		if what == "film" {
			c.Video, c.Fit = film(), render.Stretch
		}
		changes = append(changes, c)
	}
	done := s.play(changes...)
	select {
	case <-done:
		return s.report("")
	case <-time.After(patience):
		return "", errors.New("the fade does not end")
	}
}

// play shows changes, one for each refresh; done is closed when the last is on the screen.
func (s *session) play(changes ...stage.Change) (done <-chan struct{}) {
	src := &script{changes: changes, done: make(chan struct{})}
	s.stage.Play(src)
	return src.done
}

type script struct {
	changes []stage.Change
	done    chan struct{}
	once    sync.Once
}

func (s *script) Next(stage.Refresh) stage.Change {
	if len(s.changes) == 0 {
		return stage.Change{}
	}
	c := s.changes[0]
	s.changes = s.changes[1:]
	return c
}

func (s *script) Shown(stage.Refresh) {
	if len(s.changes) == 0 {
		s.once.Do(func() { close(s.done) })
	}
}

// chart is 4 by 4 fields, of which the test knows the colours.
func chart() *image.RGBA {
	const side = 160
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			i, j := x*4/side, y*4/side
			m.SetRGBA(x, y, color.RGBA{uint8(40 + 60*i), uint8(40 + 60*j), uint8(30 + 50*((i+2*j)%4)), 255})
		}
	}
	return m
}

// film is the chart as a decoder gives it.
func film() *camera.Picture {
	src := chart()
	m := image.NewYCbCr(src.Rect, image.YCbCrSubsampleRatio420)
	for y := range src.Rect.Dy() {
		for x := range src.Rect.Dx() {
			c := src.RGBAAt(x, y)
			m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = color.RGBToYCbCr(c.R, c.G, c.B)
		}
	}
	return &camera.Picture{Image: m, Info: decode.StreamInfo{SampleAspect: [2]int{1, 1}, FullRange: true}, Release: func() {}}
}
