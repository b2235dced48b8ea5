package stage

import (
	"porthole/hw/display"
)

// Report is what a Stage can say.
type Report struct {
	Screen Screen `json:"display"`
	// Showing is what was presented last.
	Showing Kind `json:"showing"`
	// Presented counts frames, Dropped camera pictures that a newer one had overtaken before they were shown.
	Presented uint64 `json:"presented"`
	Dropped   uint64 `json:"dropped"`
}

// Screen describes the display.
type Screen struct {
	Kind      display.Kind `json:"kind"`
	Driver    string       `json:"driver"`
	Connector string       `json:"connector"`
	Connected bool         `json:"connected"`
	Width     int          `json:"width"`
	Height    int          `json:"height"`
	// Mode is for people, for example "1920x1080 at 60 Hz".
	Mode    string `json:"mode"`
	Monitor string `json:"monitor,omitempty"`
	// Note is what is unusual, Problem why there is no screen, in words.
	Note    string `json:"note,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func screenReport(i display.Info, problem string) Screen {
	return Screen{
		Kind: i.Kind, Driver: i.Driver, Connector: i.Connector, Connected: i.Connected, Width: i.Mode.Width, Height: i.Mode.Height,
		Mode: i.Mode.String(), Monitor: i.Monitor, Note: i.Note, Problem: problem,
	}
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
