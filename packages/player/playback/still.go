package playback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"porthole/media/render"
	"porthole/packages/internal/program"
	"porthole/packages/player/stage"
)

// How long an item may take to be ready. Pictures are bounded by who reads them.
const (
	videoWithin   = 20 * time.Second
	pictureWithin = 40 * time.Second
	liveWithin    = 10 * time.Second
)

var errKind = errors.New("this version of Porthole does not know how to show it")

// open makes an item ready: it returns when the first frame is there.
func (e *Engine) open(ctx context.Context, i program.Item) (show, error) {
	switch i.Kind {
	case "image":
		return e.openPicture(ctx, i)
	case "text":
		return newStill(e.cfg.Stage.PrepareText(i.Text), i), nil
	case "video":
		return openVideo(ctx, e.cfg, i)
	case "camera", "stream":
		return openLive(ctx, e.cfg, i)
	}
	return nil, fmt.Errorf("%w: its kind is %q", errKind, i.Kind)
}

// openPicture reads a picture file. Two at a time, as a large one takes much memory and a bad one much time.
func (e *Engine) openPicture(ctx context.Context, i program.Item) (show, error) {
	ctx, cancel := context.WithTimeout(ctx, pictureWithin)
	defer cancel()
	select {
	case e.reading <- struct{}{}:
		defer func() { <-e.reading }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another picture: %w", ctx.Err())
	}
	f, err := e.cfg.Files.Open(i.SHA256)
	if err != nil {
		return nil, fmt.Errorf("open picture: %w", err)
	}
	defer f.Close()
	m, err := e.cfg.Picture(ctx, f)
	if err != nil {
		return nil, err
	}
	return newStill(e.cfg.Stage.Prepare(m, render.Mode(i.Fit)), i), nil
}

// still is a picture or a text.
type still struct {
	picture *stage.Still
	length  time.Duration
	began   time.Duration
}

func newStill(s *stage.Still, i program.Item) *still {
	return &still{picture: s, length: time.Duration(i.DurationMS) * time.Millisecond}
}

func (s *still) begin(at time.Duration)                 { s.began = at }
func (s *still) next(stage.Refresh) (stage.Change, int) { return stage.Change{}, 0 }
func (s *still) all() stage.Change                      { return stage.Change{Still: s.picture} }
func (s *still) seams() []uint64                        { return nil }
func (s *still) starved() time.Duration                 { return 0 }
func (s *still) run(ctx context.Context)                { <-ctx.Done() }

// rest is until when it stays as it is.
func (s *still) rest(r stage.Refresh) time.Duration { return r.Time + s.left(r) }

// end of what has no length comes with the end of the interruption that it is.
func (s *still) end(stage.Refresh) (end time.Duration, known bool, err error) {
	return s.began + s.length, s.length > 0, nil
}

func (s *still) left(r stage.Refresh) time.Duration {
	if s.length <= 0 {
		return time.Hour
	}
	return max(s.began+s.length-r.Time, 0)
}
