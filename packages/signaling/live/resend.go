package live

import (
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// How many packets a track keeps to send again: at 8 Mbit/s more than a second of picture. Of each only where its payload
// is, which all viewers share.
const (
	keptPictures = 1024
	keptSounds   = 128
)

// What may be sent again: every second packet, and a reserve for a burst of losses. On a path that is too narrow for the picture,
// more would only lose more.
const (
	resendEvery   = 2
	resendReserve = 256
)

// sent is a packet that may be asked for again.
type sent struct {
	payload []byte
	time    uint32
	seq     uint16
	marker  bool
}

// send writes a packet; t.mu is held. The header is used again: nothing behind TrackLocalWriter keeps it.
func (t *outTrack) send(p sent) error {
	t.header = rtp.Header{Version: 2, Marker: p.marker, PayloadType: t.pt, SequenceNumber: p.seq, Timestamp: p.time, SSRC: t.ssrc}
	_, err := t.to.WriteRTP(&t.header, p.payload)
	return err
}

// keep remembers a packet. t.mu is held.
func (t *outTrack) keep(p sent) {
	t.kept[int(p.seq)%len(t.kept)] = p
	t.credit = min(t.credit+1, resendEvery*resendReserve)
}

// resend sends the packets again that a browser misses (RFC 4585 section 6.2.1), as far as they are kept.
func (t *outTrack) resend(n *rtcp.TransportLayerNack) {
	if !t.sends(n.MediaSSRC) {
		return
	}
	for _, pair := range n.Nacks {
		pair.Range(func(seq uint16) bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			p := t.kept[int(seq)%len(t.kept)]
			if t.to == nil || p.payload == nil || p.seq != seq {
				return true
			}
			if t.credit < resendEvery {
				return false
			}
			t.credit -= resendEvery
			// One that cannot be sent is lost for good.
			return t.send(p) == nil
		})
	}
}
