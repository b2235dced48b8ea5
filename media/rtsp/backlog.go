package rtsp

import (
	"encoding/binary"
	"slices"
	"time"
)

const (
	// queueBytes and queueTime bound what waits for a slow reader. The packets are shared with the others who read the
	// camera, so a queue costs a few kilobytes. It must hold a GOP.
	queueBytes = maxGOPBytes + 1<<20
	queueTime  = 5 * time.Second
	// hardBytes ends an access unit that does not end by itself.
	hardBytes = queueBytes + 4<<20
	// frameHeader is '$', the channel and the size (RFC 2326 section 10.12).
	frameHeader = 4
)

// sent is a packet as readers get it, made once for all of them.
type sent struct {
	lane *lane
	raw  []byte
	seq  uint16
	ts   uint32
	// unit numbers the pictures of the track whose key pictures count; 0 for all else. first says that the packet begins
	// one, or on other tracks that there is another timestamp than before.
	unit  uint64
	first bool
	// report marks a sender report; raw is RTCP then.
	report bool
}

// waiting is a packet in a backlog.
type waiting struct {
	*sent
	since time.Time
}

// backlog is what a reader has not been sent yet. Who is too slow misses whole pictures from one on until the next key
// picture, so that what arrives can be decoded. Its reader's mutex guards it.
type backlog struct {
	items []waiting
	// next is where the items not taken yet begin.
	next  int
	bytes int
	// begun is the unit that was last taken from.
	begun uint64
	// skip says that pictures are left out until a key picture, or since skipFrom without one until there is room.
	skip     bool
	skipFrom time.Time
	// fresh says that no picture was sent so far, so that none is missed.
	fresh bool
	// muted are tracks without key pictures that are left out until there is room and another timestamp.
	muted []*lane

	dropped, gaps uint64
}

func (q *backlog) len() int { return len(q.items) - q.next }

// start begins with the packets of a GOP, or waits for a key picture if there is none and the stream has some.
func (q *backlog) start(gop []*sent, keyed bool, now time.Time) {
	*q = backlog{dropped: q.dropped, gaps: q.gaps}
	for _, s := range gop {
		q.add(s, now)
	}
	if len(gop) == 0 && keyed {
		q.skip, q.skipFrom, q.fresh = true, now, true
	}
}

// late reports whether the reader is too slow to get more.
func (q *backlog) late(now time.Time) bool {
	return q.bytes >= queueBytes || q.len() > 0 && now.Sub(q.items[q.next].since) >= queueTime
}

// relaxed reports whether what waits is little again.
func (q *backlog) relaxed() bool { return q.bytes < queueBytes/2 }

// push takes the next packet of the camera and reports whether it is to be sent. With gop it is the one that makes a key
// picture of the unit, and gop is all since that unit began.
func (q *backlog) push(s *sent, gop []*sent, now time.Time) bool {
	switch {
	case s.report:
		return q.bytes < hardBytes && q.add(s, now)
	case s.unit == 0:
		return q.pushOther(s, now)
	case q.skip && gop != nil:
		q.resume(gop, now)
		return true
	case q.skip && s.first && now.Sub(q.skipFrom) > keyTimeout && q.relaxed() && !q.late(now):
		// No key pictures come, as with intra refresh.
		q.skip, q.fresh = false, false
		return q.add(s, now)
	case q.skip:
		if !q.fresh {
			q.dropped++
		}
		return false
	case s.first && q.late(now), q.bytes >= hardBytes:
		q.skip, q.skipFrom = true, now
		q.gaps++
		q.dropped++
		return false
	}
	return q.add(s, now)
}

// pushOther takes sound, and pictures of which none depends on another. They go on for as long as there is room.
func (q *backlog) pushOther(s *sent, now time.Time) bool {
	i := slices.Index(q.muted, s.lane)
	switch {
	case i >= 0 && s.first && q.relaxed() && !q.late(now):
		q.muted = slices.Delete(q.muted, i, i+1)
		return q.add(s, now)
	case i >= 0:
		q.dropped++
		return false
	case s.first && q.bytes >= queueBytes, !q.skip && s.first && q.late(now), q.bytes >= hardBytes:
		q.muted = append(q.muted, s.lane)
		if !q.skip {
			q.gaps++
		}
		q.dropped++
		return false
	}
	return q.add(s, now)
}

// resume goes on with a key picture. If much waits, all that has not begun to be sent is left out: the reader is live
// again.
func (q *backlog) resume(gop []*sent, now time.Time) {
	if q.late(now) || !q.relaxed() {
		q.purge()
	}
	q.skip, q.fresh = false, false
	for _, s := range gop {
		// Sound that came since the picture began was taken then.
		if s.unit != 0 {
			q.add(s, now)
		}
	}
}

func (q *backlog) purge() {
	var keep []waiting
	for _, w := range q.items[q.next:] {
		if w.unit != 0 && w.unit == q.begun {
			keep = append(keep, w)
			continue
		}
		q.bytes -= len(w.raw)
		if !w.report {
			q.dropped++
		}
	}
	q.items, q.next = keep, 0
	q.muted = nil
}

func (q *backlog) add(s *sent, now time.Time) bool {
	q.items = append(q.items, waiting{s, now})
	q.bytes += len(s.raw)
	return true
}

// take removes and returns the next packet if it has at most room bytes; nil if there is none.
func (q *backlog) take(room int) *sent {
	if q.len() == 0 || len(q.items[q.next].raw) > room {
		return nil
	}
	s := q.items[q.next].sent
	q.items[q.next] = waiting{}
	q.next++
	q.bytes -= len(s.raw)
	if s.unit != 0 {
		q.begun = s.unit
	}
	switch {
	case q.next == len(q.items) && cap(q.items) > smallQueue:
		// A GOP was in it; from now on it holds a picture.
		q.items, q.next = nil, 0
	case q.next == len(q.items):
		q.items, q.next = q.items[:0], 0
	case q.next > len(q.items)/2 && q.next > smallQueue:
		q.items, q.next = slices.Delete(q.items, 0, q.next), 0
	}
	return s
}

// smallQueue is how many packets a queue keeps room for.
const smallQueue = 64

// clear forgets what waits.
func (q *backlog) clear() { *q = backlog{dropped: q.dropped, gaps: q.gaps} }

// tally counts what was sent of a lane, for its sender reports (RFC 3550 section 6.4.1).
type tally struct {
	packets, octets uint32
	// reported says that a sender report was queued behind the first packet.
	reported bool
}

// reportSize is a sender report without blocks; the counts stand at its end.
const reportSize = 28

// put writes what is due of a packet into b, which has room for it, and returns its size.
func (t *tally) put(b []byte, s *sent) int {
	n := copy(b, s.raw)
	if s.report && n == reportSize {
		binary.BigEndian.PutUint32(b[reportSize-8:], t.packets)
		binary.BigEndian.PutUint32(b[reportSize-4:], t.octets)
		return n
	}
	t.packets++
	t.octets += uint32(n - rtpHeaderSize(s.raw))
	return n
}

// rtpHeaderSize is by RFC 3550 section 5.1, without an extension, which readers do not get counted.
func rtpHeaderSize(raw []byte) int {
	if len(raw) == 0 {
		return 0
	}
	return min(12+4*int(raw[0]&0x0f), len(raw))
}
