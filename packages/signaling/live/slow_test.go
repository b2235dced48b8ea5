package live

import (
	"context"
	"log/slog"
	"testing"

	"porthole/media/rtsp"
)

func idle(context.Context, string, rtsp.Sink) error { return nil }

// A viewer that takes nothing holds up nobody, loses frames up to the next key frame, and then goes on without a gap.
func TestSlowViewer(t *testing.T) {
	h := newHub(slog.New(slog.DiscardHandler), "door", idle)
	h.stop = func() {}
	v := &Viewer{queue: make(chan []*frame, 3)}
	h.viewers[v] = struct{}{}
	numbers := func() []int64 {
		var out []int64
		for len(v.queue) > 0 {
			for _, f := range <-v.queue {
				out = append(out, f.ticks)
			}
		}
		return out
	}
	for i := range int64(5) {
		h.deliver(picture(i == 0, i, 1))
	}
	if got := numbers(); len(got) != 3 || got[2] != 2 {
		t.Fatalf("queued %v, want the first three", got)
	}
	h.deliver(picture(false, 5, 1))
	if got := numbers(); got != nil {
		t.Fatalf("a picture that cannot be decoded was queued: %v", got)
	}
	h.deliver(picture(true, 6, 1))
	h.deliver(picture(false, 7, 1))
	if got := numbers(); len(got) != 2 || got[0] != 6 {
		t.Fatalf("after the key frame: %v, want 6 and 7", got)
	}
	if n := v.dropped.Load(); n != 1 {
		t.Errorf("%d frames counted as dropped", n)
	}
}
