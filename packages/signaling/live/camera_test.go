package live_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"porthole/media/rtsp"
)

// fakeCamera is what a hub reads instead of proxy: the test says what it sends, and when.
type fakeCamera struct {
	plays atomic.Int32

	mu     sync.Mutex
	cond   *sync.Cond
	tracks []rtsp.Track
	sink   rtsp.Sink
	fail   chan error
}

var (
	sps     = []byte{0x67, 0x42, 0xc0, 0x1f, 0xec, 0xa0, 0x28}
	pps     = []byte{0x68, 0xee, 0x3c, 0x80}
	h264    = rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000, SPS: sps, PPS: pps}
	pcmu    = rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.PCMU, ClockRate: 8000, Channels: 1}
	aac     = rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 16000, Channels: 1}
	errGone = errors.New("camera gone")
)

func newFakeCamera(tracks ...rtsp.Track) *fakeCamera {
	c := &fakeCamera{tracks: tracks, fail: make(chan error)}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// play is the camera as live.Config.Play wants it.
func (c *fakeCamera) play(ctx context.Context, _ string, sink rtsp.Sink) error {
	c.plays.Add(1)
	c.mu.Lock()
	tracks := c.tracks
	c.mu.Unlock()
	if tracks != nil {
		sink.Tracks(tracks)
		c.mu.Lock()
		c.sink = sink
		c.cond.Broadcast()
		c.mu.Unlock()
	}
	defer func() {
		c.mu.Lock()
		c.sink = nil
		c.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-c.fail:
		return err
	}
}

// drop breaks the connection; the camera comes back with the given tracks.
func (c *fakeCamera) drop(tracks ...rtsp.Track) {
	c.mu.Lock()
	c.tracks = tracks
	c.mu.Unlock()
	c.fail <- errGone
}

// send sends a unit, as soon as somebody reads.
func (c *fakeCamera) send(u rtsp.Unit) {
	c.mu.Lock()
	for c.sink == nil {
		c.cond.Wait()
	}
	sink := c.sink
	c.mu.Unlock()
	sink.Unit(u)
}

// picture returns an access unit whose number can be read from what arrives.
func picture(key bool, number byte, rtpTime uint32) rtsp.Unit {
	kind := byte(0x41)
	if key {
		kind = 0x65
	}
	return rtsp.Unit{RTPTime: rtpTime, NALUs: [][]byte{append([]byte{kind, number}, bytes.Repeat([]byte{1}, 50)...)}}
}
