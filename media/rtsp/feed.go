package rtsp

import (
	"slices"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/ntp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const (
	// reportEvery is how often sender reports come (RFC 3550 section 6.2).
	reportEvery = 5 * time.Second
	// flushDelay is how long a part of a picture may wait for more to be written together with, soundDelay how long sound
	// may wait for a picture, as every write costs as much as many packets. Readers on a unix socket, which are live view
	// and screen, get sound at once.
	flushDelay = 2 * time.Millisecond
	soundDelay = 40 * time.Millisecond
)

// feed takes a packet of the given connection to the readers. reported is when the camera says it was captured, in the
// camera's clock; zero if it does not say.
func (c *camera) feed(conn int, l *lane, pkt *rtp.Packet, reported time.Time) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != conn || c.stream == nil || len(pkt.Payload) == 0 {
		return
	}
	c.bytesIn += uint64(pkt.MarshalSize())
	c.lastAt = now
	if kindOf(l.media) == Video && l.order.see(pkt) {
		c.describeTracks()
	}
	if learn(l.format, pkt.Payload) {
		c.stream.ReloadDesc()
		c.describeTracks()
		c.announce()
	}
	if c.firstAt.IsZero() {
		c.firstAt = now
		c.lasting = false
		c.log.Info("camera live", "tracks", len(c.medias))
		c.setState(stateLive, nil)
		signal(c.wake)
		if !c.ready(now) {
			time.AfterFunc(describeTimeout, c.lookAgain)
		}
	}
	if l.awaitKey && !c.startsPicture(l, pkt, now) {
		return
	}
	pkt.Padding = false
	pkt.PaddingSize = 0
	parts := refit(l.format, pkt)
	if parts == nil {
		c.dropped++
		return
	}
	l.stamp(pkt, now)
	l.date(pkt, now, reported, &c.shared)
	for i, p := range parts {
		if p != pkt {
			p.Timestamp = pkt.Timestamp
			p.SequenceNumber = pkt.SequenceNumber + uint16(i)
		}
		c.send(l, p, now)
	}
	l.seqOffset += uint16(len(parts) - 1)
	l.lastSeq += uint16(len(parts) - 1)
}

// lookAgain releases those who waited for parameter sets that do not come.
func (c *camera) lookAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announce()
}

// startsPicture reports whether video can be passed on from this packet: decoders show rubbish when it begins between
// key pictures. Video without key pictures is passed on after a while.
func (c *camera) startsPicture(l *lane, pkt *rtp.Packet, now time.Time) bool {
	for n := range nals(l.format, pkt.Payload) {
		switch n.kind {
		case nalKey, nalSPS, nalVPS:
			l.awaitKey = false
		}
	}
	if now.Sub(c.firstAt) > keyTimeout {
		l.awaitKey = false
	}
	return !l.awaitKey
}

// send gives a packet to all readers and keeps it for new ones.
func (c *camera) send(l *lane, pkt *rtp.Packet, now time.Time) {
	pkt.SSRC = l.ssrc
	raw, err := pkt.Marshal()
	if err != nil {
		c.dropped++
		return
	}
	s := &sent{lane: l, raw: raw, seq: pkt.SequenceNumber, ts: pkt.Timestamp}
	var resume []*sent
	pictures := 0
	if l == c.key {
		what := c.gop.addVideo(s, pkt.Payload)
		c.meter.add(what, s.ts, l.format.ClockRate())
		if what == seenKey {
			resume = c.gop.packets()
		}
		if what != seenMore {
			pictures = 1
		}
	} else {
		s.first = s.ts != l.pushedTS || l.reportedAt.IsZero()
		if kindOf(l.media) == Audio {
			c.gop.addOther(s)
		} else if s.first && c.key == nil {
			pictures = 1
		}
	}
	l.pushedTS = s.ts
	c.rates.add(now, len(raw), pictures)
	c.spread(s, resume, now)
	c.flushAfter(s, pkt.Marker, now)
}

// spread queues a packet for all readers, and sender reports behind the first one of a lane and every now and then.
func (c *camera) spread(s *sent, resume []*sent, now time.Time) {
	due := now.Sub(s.lane.reportedAt) >= reportEvery
	if due {
		s.lane.reportedAt = now
	}
	var report *sent
	for _, r := range c.playing {
		if !r.push(s, resume, now) && !due {
			continue
		}
		if report == nil {
			if report = c.report(s.lane, now); report == nil {
				return
			}
		}
		r.push(report, nil, now)
	}
}

// flushAfter has the packets written: with the last one of a picture, or soon. Who shows a picture needs all of it, so
// nobody waits for that, and each reader costs one write instead of ten.
func (c *camera) flushAfter(s *sent, marker bool, now time.Time) {
	delay := soundDelay
	switch video := kindOf(s.lane.media) == Video; {
	case video && marker, !video && len(c.lanes) == 1:
		c.flush()
		return
	case video:
		delay = flushDelay
	default:
		for _, r := range c.playing {
			if r.prompt {
				r.wake()
			}
		}
	}
	at := now.Add(delay)
	if !c.flushAt.IsZero() && !at.Before(c.flushAt) {
		return
	}
	c.flushAt = at
	if c.flusher != nil {
		c.flusher.Reset(delay)
		return
	}
	c.flusher = time.AfterFunc(delay, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.flushAt.IsZero() {
			c.flush()
		}
	})
}

func (c *camera) flush() {
	if !c.flushAt.IsZero() {
		c.flushAt = time.Time{}
		c.flusher.Stop()
	}
	for _, r := range c.playing {
		r.wake()
	}
}

// join gives a session that begins to play the GOP and sender reports: without reports players do not show sound and
// picture together, and some show nothing for ten seconds. Sound without a picture begins live. It returns the RTP-Info
// of what is sent (RFC 2326 section 12.33): players drop packets in front of it.
func (c *camera) join(r *reader, conn *conn, u *base.URL) base.HeaderValue {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil || r.session.Stream() != c.stream {
		return nil
	}
	medias := r.session.Medias()
	first := map[*lane]*sent{}
	var start []*sent
	if c.key != nil && r.reads(c.key) {
		for _, s := range c.gop.packets() {
			if !slices.Contains(medias, s.lane.media) {
				continue
			}
			start = append(start, s)
			if first[s.lane] == nil {
				first[s.lane] = s
				if report := c.report(s.lane, now); report != nil {
					start = append(start, report)
				}
			}
		}
	}
	r.begin(conn, c.lanes, start, c.key, now)
	c.playing = append(without(c.playing, r), r)
	info := headers.RTPInfo{}
	for i, m := range c.medias {
		if !slices.Contains(medias, m) {
			continue
		}
		e := &headers.RTPInfoEntry{URL: trackURL(u, i)}
		for _, l := range c.lanes {
			// Several formats have several sequences, and RTP-Info can name only one.
			if l.media != m || len(m.Formats) > 1 {
				continue
			}
			if s := first[l]; s != nil {
				e.SequenceNumber, e.Timestamp = new(s.seq), new(s.ts)
			} else if ts, _, ok := l.position(now); ok {
				e.SequenceNumber, e.Timestamp = new(l.lastSeq+1), new(ts)
			}
		}
		info = append(info, e)
	}
	return info.Marshal()
}

// report makes a sender report of now (RFC 3550 section 6.4.1); nil before a lane's first packet.
func (c *camera) report(l *lane, now time.Time) *sent {
	ts, date, ok := l.position(now)
	if !ok {
		return nil
	}
	date = l.steady(ts, date, now)
	// How much a reader was sent is put in when it is.
	raw, err := (&rtcp.SenderReport{SSRC: l.ssrc, NTPTime: ntp.Encode(date), RTPTime: ts}).Marshal()
	if err != nil {
		return nil
	}
	return &sent{lane: l, raw: raw, report: true}
}

// describeTracks refreshes what the status says of the tracks; the caller holds mu.
func (c *camera) describeTracks() {
	c.tracks = c.tracks[:0:0]
	for _, m := range c.medias {
		var seen order
		for _, l := range c.lanes {
			if l.media == m {
				seen = l.order
				break
			}
		}
		c.tracks = append(c.tracks, trackStatus(m, seen))
	}
}
