package live

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porthole/media/rtsp"
	"porthole/packages/internal/retry"
)

var oneTrack = []rtsp.Track{{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000, SPS: sps, PPS: pps}}

// runHub runs a hub in the bubble whose camera sends a picture every 40 ms while alive is true.
func runHub(t *testing.T, alive, reading *atomic.Bool, plays *atomic.Int32) *hub {
	h := newHub(discard(), "door", func(ctx context.Context, _ string, s rtsp.Sink) error {
		plays.Add(1)
		reading.Store(true)
		defer reading.Store(false)
		s.Tracks(oneTrack)
		for n := uint32(0); retry.Pause(ctx, 40*time.Millisecond); n++ {
			if alive.Load() {
				s.Unit(rtsp.Unit{RTPTime: n * 3600, NALUs: [][]byte{idr}})
			}
		}
		return ctx.Err()
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run(ctx)
	}()
	t.Cleanup(func() {
		cancel(errors.New("test is over"))
		<-done
	})
	return h
}

// A camera is read while it has viewers and a little longer, so that a reload finds it at hand.
func TestCameraIsReadOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alive, reading atomic.Bool
		var plays atomic.Int32
		alive.Store(true)
		h := runHub(t, &alive, &reading, &plays)
		retry.Pause(t.Context(), time.Minute)
		if plays.Load() != 0 {
			t.Fatal("the camera is read though nobody watches")
		}
		h.acquire(10)
		retry.Pause(t.Context(), time.Second)
		h.release()
		retry.Pause(t.Context(), linger-time.Second)
		h.acquire(10)
		retry.Pause(t.Context(), time.Minute)
		if n := plays.Load(); n != 1 {
			t.Errorf("read %d times for a viewer who came back at once", n)
		}
		h.release()
		retry.Pause(t.Context(), linger+time.Second)
		h.mu.Lock()
		remembered := h.tracks != nil || len(h.gop.frames) != 0
		h.mu.Unlock()
		if reading.Load() || remembered {
			t.Error("the camera is still read, or remembered, after its last viewer left")
		}
		h.acquire(10)
		if _, err := h.format(t.Context()); err != nil {
			t.Error(err)
		}
		if n := plays.Load(); n != 2 {
			t.Errorf("read %d times, want a second time", n)
		}
		h.release()
	})
}

// A camera that falls silent: its viewers are told, and it is asked anew now and then.
func TestSilentCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alive, reading atomic.Bool
		var plays atomic.Int32
		alive.Store(true)
		h := runHub(t, &alive, &reading, &plays)
		h.acquire(10)
		tracks, err := h.format(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v := &Viewer{tracks: tracks, queue: make(chan []*frame, queueLength), events: make(chan Event, 16)}
		h.attach(v)
		retry.Pause(t.Context(), time.Second)
		alive.Store(false)
		retry.Pause(t.Context(), silence+time.Second)
		if e := <-v.events; e.Code != "camera-offline" {
			t.Errorf("told %+v", e)
		}
		retry.Pause(t.Context(), 10*stuck)
		if n := plays.Load(); n < 5 || n > 12 {
			t.Errorf("asked %d times in %v", n, 10*stuck)
		}
		if len(v.events) != 0 {
			t.Errorf("told again: %+v", <-v.events)
		}
		alive.Store(true)
		retry.Pause(t.Context(), stuck)
		if e := <-v.events; e.Code != "camera-live" {
			t.Errorf("told %+v", e)
		}
		h.detach(v)
		h.release()
	})
}
