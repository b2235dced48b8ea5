package live

import (
	"bytes"
	"time"

	"porthole/media/rtsp"
)

const (
	// judgedAfter is how many pictures show whether a camera has B-frames: an encoder that may use them does within as many.
	judgedAfter = 12
	// judgedIn is how long it takes at most, from the first picture on.
	judgedIn = 600 * time.Millisecond
	// maxLate is how far, in ticks, a picture may be sent behind one that is shown later; a camera whose clock is set back
	// more has no B-frames for that.
	maxLate = 2 * 90000
	// forgiven is how many pictures that come late for another reason are forgotten after how many pictures.
	forgiven, forgivenAfter = 2, 250
)

// order finds out whether a camera sends its pictures in the order that they are shown in. WebRTC plays them as they come: of
// those that come late (B-frames) the ones nobody refers to are left out, and with others the camera must be converted.
type order struct {
	// inOrder says that the camera's parameter sets exclude B-frames.
	inOrder  bool
	of       rtsp.Track
	running  bool
	newest   int64
	began    time.Time
	pictures int
	late     int
	// reordered means that pictures others refer to come late.
	reordered bool
}

// track begins anew when it is about another stream; else only timestamps may have changed.
func (o *order) track(t rtsp.Track) (changed bool) {
	if o.of.Codec == t.Codec && bytes.Equal(o.of.SPS, t.SPS) {
		o.running = false
		return false
	}
	*o = order{inOrder: t.InOrder, of: t}
	return true
}

// judged reports whether it is known if the camera must be converted.
func (o *order) judged(now time.Time) bool {
	return o.inOrder || o.reordered || o.pictures >= judgedAfter || o.pictures > 1 && now.Sub(o.began) > judgedIn
}

// see takes a picture's unwrapped timestamp and reports whether it comes too late to be sent.
func (o *order) see(timestamp int64, key, disposable bool, now time.Time) (late bool) {
	if o.pictures++; o.pictures == 1 {
		o.began = now
	}
	if o.pictures%forgivenAfter == 0 {
		o.late = 0
	}
	behind := o.newest - timestamp
	if !o.running || key || behind <= 0 || behind > maxLate {
		o.running, o.newest = true, timestamp
		return false
	}
	if !disposable {
		o.late++
		o.reordered = o.reordered || !o.inOrder || o.late > forgiven
	}
	return true
}
