package main

import (
	"bytes"
	"encoding/json"
	"image/color"
	"image/jpeg"
	"net/http"
	"strconv"
	"sync"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/player/camera"
	"porthole/packages/player/stage"
)

const (
	// shotSide bounds the longer side of the picture of the screen, in pixels; smallSide that of a small one.
	shotSide  = 1280
	smallSide = 640
	// shotEvery bounds how often the screen is copied and encoded, whoever asks.
	shotEvery   = time.Second
	shotQuality = 80
)

// status is the answer to GET /status (docs/architecture.md).
type status struct {
	stage.Report
	Camera *camera.State `json:"camera"`
	// Problems are sentences for the owner.
	Problems []string `json:"problems"`
}

// state says how it goes.
func (d *director) state() (cam *camera.State, problems []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watcher != nil {
		s := d.watcher.State()
		cam = &s
	}
	return cam, append([]string{}, d.problems...)
}

// handler serves player.sock.
func handler(st *stage.Stage, d *director) http.Handler {
	large, small := &shooter{shot: st.Shot, side: shotSide}, &shooter{shot: st.Shot, side: smallSide}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		answer := status{Report: st.Report()}
		answer.Camera, answer.Problems = d.state()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // the caller has gone
	})
	mux.HandleFunc("GET /screen.jpg", func(w http.ResponseWriter, r *http.Request) {
		shots := large
		if r.URL.Query().Has("small") {
			shots = small
		}
		b, err := shots.jpeg()
		switch {
		case err != nil:
			http.Error(w, "the screen's picture cannot be encoded: "+err.Error(), http.StatusInternalServerError)
		case b == nil:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "nothing is on the screen yet", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			w.Write(b)
		}
	})
	return mux
}

// shooter makes pictures of the screen, one at a time and not too often.
type shooter struct {
	shot func() (*display.Image, uint64)
	side int

	mu    sync.Mutex // guards what follows
	at    time.Time
	frame uint64
	last  []byte
}

// jpeg returns what is on the screen, at most shotEvery old; nil before the first frame.
func (s *shooter) jpeg() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && time.Since(s.at) < shotEvery {
		return s.last, nil
	}
	m, frame := s.shot()
	if m == nil || frame == s.frame {
		return s.last, nil
	}
	b, err := encode((*render.Image)(m), s.side)
	if err != nil {
		return nil, err
	}
	s.last, s.frame, s.at = b, frame, time.Now()
	return b, nil
}

func encode(m *render.Image, most int) ([]byte, error) {
	size := m.Rect.Size()
	if side := max(size.X, size.Y); side > most {
		small := render.NewImage(max(size.X*most/side, 1), max(size.Y*most/side, 1))
		render.Draw(small, m, render.Stretch, 0, color.RGBA{A: 0xff})
		m = small
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m.RGBA(), &jpeg.Options{Quality: shotQuality}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
