package rtsp

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// FuzzAccessUnits sends what a camera may put into RTP packets all the way to access units: cut to size, kept as a GOP,
// queued for a slow reader, put together again. Of data, the first byte says which codec; then each packet has its size
// in two bytes, of which the highest bit is the marker and the next one another timestamp.
func FuzzAccessUnits(f *testing.F) {
	f.Add([]byte{0, 0x80, 2, 0x65, 1, 0xc0, 2, 0x41, 1})
	f.Add([]byte{0, 0, 3, 0x7c, 0x85, 1, 0x80, 3, 0x7c, 0x45, 1})
	f.Add([]byte{0, 0x80, 13, 0x18, 0, 2, 0x67, 1, 0, 2, 0x68, 1, 0, 2, 0x65, 1})
	f.Add([]byte{1, 0x80, 4, 0x26, 1, 1, 1, 0xc0, 4, 0x02, 1, 1, 1})
	f.Add([]byte{1, 0, 4, 0x62, 1, 0x93, 1, 0x80, 4, 0x62, 1, 0x53, 1})
	f.Add([]byte{1, 0x80, 12, 0x60, 1, 0, 3, 0x42, 1, 1, 0, 3, 0x26, 1, 1})
	for _, head := range [][]byte{{0, 0x9f, 0xff, 0x65}, {0, 0x9f, 0xff, 0x18, 0x1f, 0xf0, 0x18, 0x1f, 0xe0, 0x65}, {1, 0x9f, 0xff, 0x26, 1}, {1, 0x9f, 0xff, 0x62, 1, 0x93}} {
		f.Add(append(head, make([]byte, 0x2000)...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		var forma format.Format = &format.H264{PayloadTyp: 96, PacketizationMode: 1}
		if data[0]&1 == 1 {
			forma = &format.H265{PayloadTyp: 96}
		}
		l := videoLane()
		l.format = forma
		u, err := newUnits(0, forma)
		if err != nil {
			t.Fatal(err)
		}
		var g gop
		var q backlog
		now := time.Unix(1000, 0)
		pkt := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96}}
		for data = data[1:]; len(data) > 2; {
			size := int(data[0]&0x3f)<<8 | int(data[1])
			pkt.Marker = data[0]&0x80 != 0
			if data[0]&0x40 != 0 {
				pkt.Timestamp += 3600
			}
			size = min(size, len(data)-2)
			pkt.Payload = data[2 : 2+size]
			data = data[2+size:]
			if size == 0 {
				continue
			}
			now = now.Add(100 * time.Millisecond)
			for _, p := range refit(forma, pkt) {
				checkPart(t, pkt, p)
				raw, err := p.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				s := &sent{lane: l, raw: raw, ts: p.Timestamp}
				var resume []*sent
				if g.addVideo(s, p.Payload) == seenKey {
					resume = g.packets()
				}
				q.push(s, resume, now)
				if unit, ok := u.next(p, now); ok && len(unit.NALUs) == 0 {
					t.Fatal("an access unit without units")
				}
			}
		}
		left := 0
		for s := q.take(maxPacket); s != nil; s = q.take(maxPacket) {
			left++
		}
		if q.bytes != 0 || q.len() != 0 {
			t.Fatalf("%d bytes in %d packets are left of %d", q.bytes, q.len(), left)
		}
		kept := 0
		for _, s := range g.items {
			kept += len(s.raw)
		}
		if kept != g.bytes {
			t.Fatalf("%d bytes are kept, counted %d", kept, g.bytes)
		}
	})
}

// checkPart checks a packet that refit made of a larger one.
func checkPart(t *testing.T, whole, part *rtp.Packet) {
	t.Helper()
	if n := part.MarshalSize(); n > maxPacket {
		t.Fatalf("a packet of %d bytes", n)
	}
	if len(part.Payload) == 0 || part.Timestamp != whole.Timestamp || part.Marker && !whole.Marker {
		t.Fatalf("%v of %v", part, whole)
	}
}
