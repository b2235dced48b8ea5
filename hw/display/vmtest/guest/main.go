// Command guest drives the screen of a test's virtual machine as the test says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"os"
	"strconv"
	"strings"
	"time"

	"porthole/hw/display"
	"porthole/hw/hwtest/vm/guest"
)

func main() {
	s := &session{}
	err := guest.Main(guest.Program{
		Commands: guest.Commands{
			"open": s.open, "info": s.describe, "show": s.show, "blank": s.blank, "change": s.change, "close": s.close,
		},
		Devices: []string{guest.Card, "/dev/fb0"},
	})
	if err != nil {
		os.Exit(1)
	}
}

type session struct {
	screen display.Screen
}

// limit ends whatever hangs, with an error that says what.
func limit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Second)
}

// open takes the screen; "keep" leaves the last frame at close.
func (s *session) open(argument string) (string, error) {
	ctx, cancel := limit()
	defer cancel()
	var err error
	if s.screen, err = display.Open(ctx, display.Options{KeepFrame: argument == "keep"}); err != nil {
		return "", err
	}
	return s.describe("")
}

func (s *session) describe(string) (string, error) {
	b, err := json.Marshal(s.screen.Info())
	return string(b), err
}

// show presents a picture of four colour fields, the first of which the argument names, a number of times.
func (s *session) show(argument string) (string, error) {
	name, count, _ := strings.Cut(argument, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return "", err
	}
	frame := display.Frame{Base: fields(s.screen.Info().Mode, name)}
	var shown []string
	for range n {
		ctx, cancel := limit()
		v, err := s.screen.Present(ctx, frame)
		cancel()
		if err != nil {
			return "", err
		}
		shown = append(shown, fmt.Sprintf("%d@%d", v.Sequence, v.Time.Microseconds()))
	}
	return strings.Join(shown, " "), nil
}

// fields draws quarters: the named colour, green, blue, white; and a black pixel in each corner of the screen.
func fields(m display.Mode, name string) *display.Image {
	first := map[string]color.RGBA{"red": {255, 0, 0, 255}, "yellow": {255, 255, 0, 255}, "cyan": {0, 255, 255, 255}}[name]
	img := display.NewImage(image.Rect(0, 0, m.Width, m.Height))
	for i, c := range []color.RGBA{first, {0, 255, 0, 255}, {0, 0, 255, 255}, {255, 255, 255, 255}} {
		x, y := i%2*m.Width/2, i/2*m.Height/2
		draw.Draw(img, image.Rect(x, y, x+m.Width/2, y+m.Height/2), image.NewUniform(c), image.Point{}, draw.Src)
	}
	for _, p := range []image.Point{{0, 0}, {m.Width - 1, 0}, {0, m.Height - 1}, {m.Width - 1, m.Height - 1}} {
		img.Set(p.X, p.Y, color.Black)
	}
	return img
}

func (s *session) blank(argument string) (string, error) {
	ctx, cancel := limit()
	defer cancel()
	return "blank", s.screen.Blank(ctx, argument == "off")
}

func (s *session) change(string) (string, error) {
	select {
	case <-s.screen.Changes():
		return s.describe("")
	case <-time.After(20 * time.Second):
		return "", errors.New("nothing changed")
	}
}

func (s *session) close(string) (string, error) {
	return "closed", s.screen.Close()
}
