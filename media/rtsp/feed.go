package rtsp

import (
	"slices"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/ntp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
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
	date := l.date(pkt, now, reported, &c.shared)
	for i, p := range parts {
		if p != pkt {
			p.Timestamp = pkt.Timestamp
			p.SequenceNumber = pkt.SequenceNumber + uint16(i)
		}
		c.send(sent{lane: l, pkt: p, ntp: date})
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
func (c *camera) send(s sent) {
	switch {
	case s.lane == c.key:
		c.gop.addVideo(s)
	case kindOf(s.lane.media) == Audio:
		c.gop.addOther(s)
	}
	// gortsplib makes a session active some time after OnPlay, where the GOP was sent. Until it does, what the stream
	// does not give to the session is given here, so that nothing lacks in between.
	var before map[*gortsplib.ServerSession]uint64
	for ss, lanes := range c.joining {
		if _, ok := lanes[s.lane]; ok {
			if before == nil {
				before = map[*gortsplib.ServerSession]uint64{}
			}
			before[ss] = packetsTo(ss, s.lane)
		}
	}
	if err := c.stream.WritePacketRTPWithNTP(s.lane.media, s.pkt, s.ntp); err != nil {
		c.dropped++
	}
	for ss, n := range before {
		if packetsTo(ss, s.lane) != n {
			delete(c.joining, ss)
			continue
		}
		c.sendTo(ss, s)
	}
}

// sendTo gives a packet to one reader.
func (c *camera) sendTo(ss *gortsplib.ServerSession, s sent) {
	if err := ss.WritePacketRTPWithNTP(s.lane.media, s.pkt, s.ntp); err != nil {
		c.dropped++
		return
	}
	c.bytesOut += uint64(s.pkt.MarshalSize())
}

// packetsTo counts what a session was given of a lane. It stays zero until a packet that gortsplib takes timestamps
// from, which every GOP begins with.
func packetsTo(ss *gortsplib.ServerSession, l *lane) uint64 {
	return ss.Stats().Medias[l.media].Formats[l.format].OutboundRTPPackets
}

// join gives a session that begins to play the GOP and sender reports: without reports players do not show sound and
// picture together, and some show nothing for ten seconds. It returns the RTP-Info of what is sent (RFC 2326 section
// 12.33): players drop packets in front of it.
func (c *camera) join(ss *gortsplib.ServerSession, u *base.URL) base.HeaderValue {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil || ss.Stream() != c.stream {
		return nil
	}
	medias := ss.Medias()
	first := map[*lane]*rtp.Packet{}
	for _, s := range c.gop.packets() {
		if !slices.Contains(medias, s.lane.media) {
			continue
		}
		c.sendTo(ss, s)
		if first[s.lane] == nil {
			first[s.lane] = s.pkt
			c.report(ss, s.lane, now)
		}
	}
	if len(first) > 0 && c.key != nil && first[c.key] != nil {
		lanes := map[*lane]struct{}{}
		for l := range first {
			lanes[l] = struct{}{}
		}
		c.joining[ss] = lanes
	}
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
			if pkt := first[l]; pkt != nil {
				e.SequenceNumber, e.Timestamp = new(pkt.SequenceNumber), new(pkt.Timestamp)
			} else if ts, _, ok := l.position(now); ok {
				e.SequenceNumber, e.Timestamp = new(l.lastSeq+1), new(ts)
				c.report(ss, l, now)
			}
		}
		info = append(info, e)
	}
	return info.Marshal()
}

// report sends a sender report of now (RFC 3550 section 6.4.1). gortsplib sends one after the first packet too, but
// for video only if that is a key picture.
func (c *camera) report(ss *gortsplib.ServerSession, l *lane, now time.Time) {
	ts, date, ok := l.position(now)
	if !ok {
		return
	}
	ssrc := c.stream.Stats().Medias[l.media].Formats[l.format].LocalSSRC
	if err := ss.WritePacketRTCP(l.media, &rtcp.SenderReport{SSRC: ssrc, NTPTime: ntp.Encode(date), RTPTime: ts}); err != nil {
		c.dropped++
	}
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
