package decode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"porthole/media/decode/nut"
)

// Unit is one access unit (one picture) of a live stream.
type Unit struct {
	PTS time.Duration // 0 or later
	Key bool          // decoding can start here: H.264, H.265 and MPEG-4 have their parameter sets in this unit; true for all sound
	// Data is the NAL units of an H.264 or H.265 picture without start codes, or the parts of any other codec's packet.
	Data [][]byte
}

// How far a live stream may run ahead of its decoder.
const (
	// At a key picture, a decoder that is this many units behind starts over from it. A second at 30 pictures per second
	// is more than anybody wants to be behind.
	laggingUnits = 30
	// Without a key picture, everything is dropped at this point. A cached GOP that is sent at once must fit.
	maxUnits = 600
	maxBytes = 16 << 20
	// Units that a healthy decoder may hold back: B-frames, threads, units without a picture.
	slackUnits = 16
)

// liveBase is the time base of live streams: that of RTP video (RFC 3551 section 5).
var liveBase = nut.TimeBase{Num: 1, Den: 90000}

// feed hands the units of a live stream to the child.
type feed struct {
	live Live
	base nut.TimeBase
	wake chan struct{}

	mu      sync.Mutex // guards all below
	queue   []queued
	bytes   int
	needKey bool
	skipped int
	closed  bool
	pending int       // units sent since the last frame came out
	since   time.Time // when the first of them was sent
}

type queued struct {
	pts  int64
	key  bool
	data []byte
}

func newFeed(live Live) *feed {
	base := liveBase
	if live.Codec.sound() && live.SampleRate > 0 {
		// A sample's time is exact then.
		base = nut.TimeBase{Num: 1, Den: uint32(live.SampleRate)}
	}
	return &feed{live: live, base: base, wake: make(chan struct{}, 1), needKey: true}
}

// send queues a unit, or drops it.
func (f *feed) send(u Unit) error {
	if u.PTS < 0 {
		return fmt.Errorf("send to decoder: timestamp %v is negative", u.PTS)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errors.New("send to decoder: it has ended")
	}
	if u.Key && len(f.queue) > laggingUnits || len(f.queue) >= maxUnits || f.bytes >= maxBytes {
		f.skipped += len(f.queue)
		f.queue, f.bytes, f.needKey = f.queue[:0], 0, true
	}
	if f.needKey && !u.Key {
		f.skipped++
		return nil
	}
	f.needKey = false
	q := queued{pts: f.base.Ticks(u.PTS), key: u.Key, data: f.join(u.Data)}
	f.queue = append(f.queue, q)
	f.bytes += len(q.data)
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

// join makes one packet of a unit: NAL units get start codes (ITU-T H.264 annex B).
func (f *feed) join(parts [][]byte) []byte {
	if f.live.Codec != H264 && f.live.Codec != H265 {
		return slices.Concat(parts...)
	}
	size := 0
	for _, p := range parts {
		size += 4 + len(p)
	}
	out := make([]byte, 0, size)
	for _, p := range parts {
		out = append(out, 0, 0, 0, 1)
		out = append(out, p...)
	}
	return out
}

// run writes to the child until ctx ends or the child is gone.
func (f *feed) run(ctx context.Context, w io.Writer) {
	bw := bufio.NewWriterSize(w, 32<<10)
	out, err := nut.NewWriter(bw, f.stream())
	for err == nil {
		q, ok := f.take()
		if !ok {
			select {
			case <-f.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if q.data == nil {
			return // closed
		}
		if err = out.WritePacket(0, q.pts, q.key, q.data); err == nil {
			err = bw.Flush()
		}
	}
	// A child that is gone says why itself.
}

// stream describes what is written.
func (f *feed) stream() nut.Stream {
	s := nut.Stream{FourCC: [4]byte([]byte(f.live.Codec)), TimeBase: f.base}
	if f.live.Codec.sound() {
		s.Class, s.Extra, s.SampleRate, s.Channels = nut.Audio, f.live.Config, f.live.SampleRate, f.live.Channels
		return s
	}
	// A demuxer refuses a stream without a size; the right one is in the parameter sets.
	s.Width, s.Height = max(f.live.Width, 16), max(f.live.Height, 16)
	return s
}

// take removes the oldest unit. After close it is an empty one.
func (f *feed) take() (queued, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return queued{}, true
	}
	if len(f.queue) == 0 {
		return queued{}, false
	}
	q := f.queue[0]
	f.queue = f.queue[1:]
	f.bytes -= len(q.data)
	if f.pending == 0 {
		f.since = time.Now()
	}
	f.pending++
	return q, true
}

// close ends run and makes send fail.
func (f *feed) close() {
	f.mu.Lock()
	f.closed, f.queue = true, nil
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// frameOut notes that a frame came out.
func (f *feed) frameOut() {
	f.mu.Lock()
	f.pending = 0
	f.mu.Unlock()
}

// patience is how much longer the decoder may take: as long as nothing was sent, nothing can come out. Zero or less: it hangs.
func (f *feed) patience(timeout time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending <= slackUnits {
		return timeout
	}
	return timeout - time.Since(f.since)
}

func (f *feed) skippedUnits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skipped
}
