package live

import (
	"context"
	"errors"
	"time"

	"porthole/media/rtsp"
)

// judgeTimeout is how long a viewer waits until it is known whether the camera has B-frames. A camera that is cached tells at once;
// from others there is no picture before the next key picture anyway.
const judgeTimeout = 3 * time.Second

// agree chooses what a viewer gets and starts the conversions that it takes; the choice must be released. Errors are *Refusal.
func (s *Server) agree(ctx context.Context, h *hub, o offer, tracks []rtsp.Track) (choice, error) {
	can := abilities{convert: s.cfg.Convert != nil}
	if can.convert {
		can.reordered = h.isReordered(ctx)
	}
	c, err := choose(o, tracks, can)
	if err != nil {
		return choice{}, err
	}
	if c.convertVideo {
		if err := s.convert(ctx, h.picture); err != nil {
			return choice{}, err
		}
		c.pictureBy = h.picture
	}
	if c.convertAudio {
		refusal := (*Refusal)(nil)
		if err := s.convert(ctx, h.sound); errors.As(err, &refusal) {
			c.audio, c.note, c.converted = nil, "no sound: "+refusal.Message, ""
		} else {
			c.soundBy = h.sound
		}
	}
	return c, nil
}

// release gives back the conversions.
func (c choice) release() {
	if c.pictureBy != nil {
		c.pictureBy.leave()
	}
	if c.soundBy != nil {
		c.soundBy.leave()
	}
}

// isReordered reports whether the camera's pictures cannot be played in the order that they come in. It waits until that is known,
// but not long.
func (h *hub) isReordered(ctx context.Context) bool {
	h.mu.Lock()
	judged := h.judged
	h.mu.Unlock()
	timeout := time.NewTimer(judgeTimeout)
	defer timeout.Stop()
	select {
	case <-judged:
	case <-timeout.C:
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.order.reordered
}

// follow takes what matters of the camera's tracks for the order of its pictures and the times of its sound; h.mu is held.
func (h *hub) follow(tracks []rtsp.Track) {
	for _, t := range tracks {
		switch t.Kind {
		case rtsp.Audio:
			h.soundRate = max(t.ClockRate, 1)
		case rtsp.Video:
			if h.order.track(t) {
				h.judged = make(chan struct{})
			}
			if newPacketizer(t) == nil {
				// It is converted in any case.
				h.order.inOrder = true
			}
			h.judge()
		}
	}
}

// judge lets those go on who wait for the order to be known; h.mu is held.
func (h *hub) judge() {
	if !h.order.judged(time.Now()) {
		return
	}
	select {
	case <-h.judged:
	default:
		close(h.judged)
	}
}

// see follows the order of the camera's pictures and reports whether this one can be played without a conversion.
func (h *hub) see(timestamp int64, key, disposable bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.order.reordered
	late := h.order.see(timestamp, key, disposable, time.Now())
	h.judge()
	if h.open == nil {
		return !late || !disposable
	}
	if h.order.reordered && !before {
		for v := range h.viewers {
			if v.pictureBy == nil {
				v.end(errChanged())
			}
		}
	}
	return !h.order.reordered && (!late || !disposable)
}
