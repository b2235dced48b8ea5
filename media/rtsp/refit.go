package rtsp

import (
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// maxPacket is the largest RTP packet a reader gets, as gortsplib sends no larger one: 1500 bytes of Ethernet less IP
// and UDP headers. Over TCP cameras may send up to 64 KiB.
const maxPacket = 1472

// refit cuts a packet that is too large for readers into several with the sequence number of the first counted up. It
// returns nil if the format cannot be cut.
func refit(f format.Format, pkt *rtp.Packet) []*rtp.Packet {
	room := maxPacket - pkt.Header.MarshalSize()
	if len(pkt.Payload) <= room {
		return []*rtp.Packet{pkt}
	}
	var parts [][]byte
	switch f.(type) {
	case *format.H264:
		parts = refitH264(pkt.Payload, room)
	case *format.H265:
		parts = refitH265(pkt.Payload, room)
	}
	out := make([]*rtp.Packet, 0, len(parts))
	for i, part := range parts {
		p := &rtp.Packet{Header: pkt.Header, Payload: part}
		p.SequenceNumber += uint16(i)
		p.Marker = pkt.Marker && i == len(parts)-1
		out = append(out, p)
	}
	return out
}

// refitH264 cuts by RFC 6184 sections 5.6 to 5.8.
func refitH264(p []byte, room int) [][]byte {
	switch p[0] & 0x1f {
	case 24:
		var parts [][]byte
		aggregated(p[1:], func(u []byte) bool {
			if len(u) <= room {
				parts = append(parts, u)
			} else {
				parts = append(parts, refitH264(u, room)...)
			}
			return true
		})
		return parts
	case 28:
		return fragments([]byte{p[0]}, p[1], p[2:], room)
	}
	return fragments([]byte{p[0]&0xe0 | 28}, 0xc0|p[0]&0x1f, p[1:], room)
}

// refitH265 cuts by RFC 7798 sections 4.4.1 to 4.4.3. Its headers have no DONL fields, as cameras send none.
func refitH265(p []byte, room int) [][]byte {
	switch p[0] >> 1 & 0x3f {
	case 48:
		var parts [][]byte
		aggregated(p[2:], func(u []byte) bool {
			if len(u) <= room {
				parts = append(parts, u)
			} else {
				parts = append(parts, refitH265(u, room)...)
			}
			return true
		})
		return parts
	case 49:
		return fragments(p[:2:2], p[2], p[3:], room)
	}
	return fragments([]byte{p[0]&0x81 | 49<<1, p[1]}, 0xc0|p[0]>>1&0x3f, p[2:], room)
}

// fragments cuts the body of a unit. flags is the fragment header with start (0x80) and end (0x40) as they would be in
// a single fragment.
func fragments(indicator []byte, flags byte, body []byte, room int) [][]byte {
	size := room - len(indicator) - 1
	var parts [][]byte
	for len(body) > 0 {
		n := min(size, len(body))
		header := flags
		if len(parts) > 0 {
			header &^= 0x80
		}
		if n < len(body) {
			header &^= 0x40
		}
		part := make([]byte, 0, len(indicator)+1+n)
		part = append(part, indicator...)
		part = append(part, header)
		part = append(part, body[:n]...)
		parts = append(parts, part)
		body = body[n:]
	}
	return parts
}
