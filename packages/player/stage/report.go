package stage

import (
	"encoding/json"
	"slices"
	"strings"

	"porthole/hw/display"
	"porthole/packages/internal/settings"
)

// Report is what a Stage can say.
type Report struct {
	Screen Screen `json:"display"`
	// Showing is what was presented last.
	Showing Kind `json:"showing"`
	// Presented counts frames, Dropped camera pictures that a newer one had overtaken before they were shown.
	Presented uint64 `json:"presented"`
	Dropped   uint64 `json:"dropped"`
	// Failing is why the screen did not take the last frame; empty if it did.
	Failing string `json:"failing,omitempty"`
}

// Screen describes the display.
type Screen struct {
	Kind      display.Kind `json:"kind"`
	Driver    string       `json:"driver"`
	Connector string       `json:"connector"`
	Connected bool         `json:"connected"`
	Width     int          `json:"width"`
	Height    int          `json:"height"`
	// Mode is for people, for example "1920x1080 at 60 Hz". Modes are all that may be chosen, as settings.ParseMode reads them.
	Mode    string `json:"mode"`
	Modes   Modes  `json:"modes,omitempty"`
	Monitor string `json:"monitor,omitempty"`
	// Note is what is unusual, Problem why there is no screen, in words.
	Note    string `json:"note,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func screenReport(i display.Info, problem string) Screen {
	return Screen{
		Kind: i.Kind, Driver: i.Driver, Connector: i.Connector, Connected: i.Connected, Width: i.Mode.Width, Height: i.Mode.Height,
		Mode: i.Mode.String(), Modes: modes(i.Modes), Monitor: i.Monitor, Note: i.Note, Problem: problem,
	}
}

// Modes are picture sizes and rates with spaces between. It can be compared, and is a list in JSON.
type Modes string

// MarshalJSON implements json.Marshaler.
func (m Modes) MarshalJSON() ([]byte, error) { return json.Marshal(strings.Fields(string(m))) }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Modes) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*m = Modes(strings.Join(list, " "))
	return nil
}

// modes are those that show whole pictures, each once, in the display's order. Rates are to a hundredth of a hertz.
func modes(list []display.Mode) Modes {
	var all []string
	for _, m := range list {
		if m.Interlaced {
			continue
		}
		text := settings.Mode{Width: m.Width, Height: m.Height, RefreshMilliHz: (m.RefreshMilliHz + 5) / 10 * 10}.String()
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return Modes(strings.Join(all, " "))
}

// Report says how it goes.
func (s *Stage) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report
}

// Shot returns a copy of what is on the screen, standing upright, and a number that changes with every frame; nil before the first.
func (s *Stage) Shot() (*display.Image, uint64) {
	s.mu.Lock()
	n, turn := s.report.Presented, s.scene.turn
	s.mu.Unlock()
	if n == 0 {
		return nil, 0
	}
	s.drawing.Lock()
	defer s.drawing.Unlock()
	return s.canvas.shot(s.cfg.Painter, turn), n
}

// darkest is the brightest that counts as black, of 255; every sampleEvery-th pixel is looked at, both ways.
const (
	darkest     = 8
	sampleEvery = 8
)

// Black says whether a frame was shown and all of it was black, as far as it was drawn: a video in a plane of its own is never.
func (s *Stage) Black() bool {
	s.drawing.Lock()
	defer s.drawing.Unlock()
	f := s.canvas.shown
	if f.Base == nil || f.Video != nil || f.Veil != nil {
		return false
	}
	m := f.Base
	for y := 0; y < m.Rect.Dy(); y += sampleEvery {
		line := m.Pix[y*m.Stride:][:4*m.Rect.Dx()]
		for x := 0; x < len(line); x += 4 * sampleEvery {
			if max(line[x], line[x+1], line[x+2]) > darkest {
				return false
			}
		}
	}
	return true
}
