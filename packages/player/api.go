package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/color"
	"image/jpeg"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/player/cache"
	"porthole/packages/player/camera"
	"porthole/packages/player/clock"
	"porthole/packages/player/link"
	"porthole/packages/player/playback"
	"porthole/packages/player/power"
	"porthole/packages/player/stage"
	"porthole/packages/player/trust"
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
	// Black says that there is nothing on the screen but black, although it is on.
	Black  bool          `json:"black"`
	Camera *camera.State `json:"camera"`
	// Problems are sentences for the owner.
	Problems []string         `json:"problems"`
	Playback playback.State   `json:"playback"`
	Link     link.State       `json:"link"`
	Cache    cache.State      `json:"cache"`
	Clock    clock.State      `json:"clock"`
	Power    power.State      `json:"power"`
	Trust    []trust.Decision `json:"trust"`
}

// maxDecisions bounds the decisions on servers' certificates in a status.
const maxDecisions = 50

// state says how it goes.
func (d *director) state() (cam *camera.State, problems []string, light power.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watcher != nil {
		s := d.watcher.State()
		cam = &s
	}
	return cam, append([]string{}, d.problems...), d.power
}

// shots makes pictures of a stage in two sizes.
type shots struct{ large, small *shooter }

func newShots(st *stage.Stage) shots {
	return shots{&shooter{shot: st.Shot, side: shotSide}, &shooter{shot: st.Shot, side: smallSide}}
}

// handler serves player.sock.
func handler(st *stage.Stage, d *director, c *content, pictures shots) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		answer := status{
			Report: st.Report(), Black: st.Black(), Playback: c.engine.State(), Link: c.link.State(), Cache: c.cache.State(), Clock: c.clock.State(),
			Trust: c.trust.Log(),
		}
		slices.Reverse(answer.Trust)
		answer.Trust = answer.Trust[:min(len(answer.Trust), maxDecisions)]
		answer.Camera, answer.Problems, answer.Power = d.state()
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer) //nolint:errcheck // the caller has gone
	})
	mux.HandleFunc("GET /screen.jpg", func(w http.ResponseWriter, r *http.Request) {
		s := pictures.large
		if r.URL.Query().Has("small") {
			s = pictures.small
		}
		b, err := s.jpeg()
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
	mux.HandleFunc("POST /trust/approve", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Fingerprint string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in); err != nil {
			http.Error(w, `send {"fingerprint":…}`, http.StatusBadRequest)
			return
		}
		switch err := c.link.Approve(in.Fingerprint); {
		case errors.Is(err, trust.ErrNotPending):
			http.Error(w, err.Error(), http.StatusConflict)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("POST /link/retry", func(w http.ResponseWriter, _ *http.Request) {
		c.link.Retry()
		w.WriteHeader(http.StatusNoContent)
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
