// Package camera turns a camera of this device into pictures for the screen: read from proxy, decoded in a child
// process, newest first. Whatever ends, camera, proxy or decoder, is begun again until nobody wants the camera.
package camera

import (
	"context"
	"errors"
	"image"
	"log/slog"
	"sync"
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
	"porthole/packages/internal/retry"
)

const (
	// silence is how long a camera may send nothing before that is said.
	silence = 3 * time.Second
	// stuck is how long a camera may send nothing before it is asked anew.
	stuck = 20 * time.Second
)

// Picture is one decoded picture.
type Picture struct {
	Image *image.YCbCr
	// PTS is the picture's time among those of one connection.
	PTS  time.Duration
	Info decode.StreamInfo
	// Release gives the memory back; the picture must not be used afterwards.
	Release func()
}

// Config is what a Watcher needs.
type Config struct {
	Log *slog.Logger
	// Camera is the camera's id.
	Camera string
	// Play reads a camera, as rtsp.Play does.
	Play func(ctx context.Context, camera string, sink rtsp.Sink) error
	// Open starts a decoder.
	Open func(context.Context, decode.Live) (*decode.Decoder, error)
	// Show takes each picture that is the newest when it is ready, and releases it. It must not block.
	Show func(Picture)
}

// State is what a Watcher can say.
type State struct {
	Camera string `json:"camera"`
	// LastPicture is when the last picture was ready; zero before the first.
	LastPicture time.Time `json:"last_picture,omitzero"`
	// Problem says why there are no pictures, in words for the owner; empty while they come.
	Problem string `json:"problem,omitempty"`
	// Codec, Width and Height are those of the camera's pictures, once known.
	Codec  string `json:"codec,omitempty"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// Pictures counts those that were shown, Late those that a newer one had overtaken, Skipped the access units that the
	// decoder had no time for.
	Pictures int `json:"pictures"`
	Late     int `json:"late"`
	Skipped  int `json:"skipped"`
	// Connections counts how often the camera was read anew after the first, Failures how often the decoder failed.
	Connections int `json:"reconnects"`
	Failures    int `json:"decoder_failures"`
}

// Watcher watches one camera.
type Watcher struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	state    State
	skipped  int // by decoders that have ended
	lastUnit time.Time
}

// New returns a Watcher. Run starts it.
func New(cfg Config) *Watcher {
	return &Watcher{cfg: cfg, state: State{Camera: cfg.Camera}}
}

// State says how it goes.
func (w *Watcher) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

var (
	errSilent    = errors.New("the camera sends nothing")
	errReordered = errors.New("the camera uses B-frames")
)

// Run shows the camera until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	reorder := false
	for failures := 0; ; {
		a := &attempt{w: w, reorder: reorder}
		err := a.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errReordered) {
			reorder = true
			continue
		}
		if a.pictures > 0 {
			failures = 0
		}
		if failures++; failures == 1 || failures%50 == 0 {
			w.cfg.Log.Warn("no pictures from the camera; trying again", "camera", w.cfg.Camera, "failures", failures, "err", err)
		}
		w.mu.Lock()
		w.state.Problem = words(err)
		w.state.Connections++
		w.mu.Unlock()
		if !retry.Pause(ctx, retry.Backoff(failures, 125*time.Millisecond, 4*time.Second)) {
			return
		}
	}
}

// words says err to the camera's owner.
func words(err error) string {
	var item *decode.Error
	var codec *codecError
	var stream *rtsp.StreamError
	switch {
	case errors.As(err, &stream):
		return stream.Error()
	case errors.Is(err, rtsp.ErrNoCamera):
		return "the device has no camera of that name"
	case errors.Is(err, rtsp.ErrUnavailable):
		return "it does not answer"
	case errors.Is(err, errSilent):
		return "it sends nothing"
	case errors.As(err, &codec):
		return codec.Error()
	case errors.As(err, &item):
		return "its pictures cannot be decoded: " + item.Kind.Error()
	case errors.Is(err, errPictures):
		return "its pictures cannot be decoded"
	case errors.Is(err, errDecoder):
		return "the decoder cannot be started; player's log says why"
	}
	return "the camera proxy does not answer"
}
