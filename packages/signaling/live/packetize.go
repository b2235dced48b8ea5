package live

import (
	"github.com/pion/rtp/codecs"

	"porthole/media/rtsp"
)

// maxPayload leaves room for RTP, SRTP, UDP and IPv6 headers within the 1,280 bytes every IPv6 path carries.
const maxPayload = 1200

// packetizer cuts access units into RTP payloads.
type packetizer interface {
	// packetize reports also whether decoding can start at the unit. The payloads share no memory with later calls.
	packetize(nalus [][]byte) (payloads [][]byte, key bool)
}

// newPacketizer returns nil for codecs that browsers do not play over WebRTC.
func newPacketizer(t rtsp.Track) packetizer {
	switch t.Codec {
	case rtsp.H264:
		p := &h264Packetizer{sps: t.SPS}
		if len(t.PPS) > 0 {
			p.pps = [][]byte{t.PPS}
		}
		return p
	case rtsp.H265:
		return &h265Packetizer{payloader: codecs.H265Payloader{SkipAggregation: true}}
	default:
		return nil
	}
}

// h264Packetizer packetises as in RFC 6184, packetization-mode 1, with the parameter sets before every IDR picture.
type h264Packetizer struct {
	sps []byte
	pps [][]byte
}

// NAL unit types of H.264 (ITU-T H.264 table 7-1).
const (
	h264IDR = 5
	h264SPS = 7
	h264PPS = 8
	h264AUD = 9
)

func (p *h264Packetizer) packetize(nalus [][]byte) ([][]byte, bool) {
	pictures := make([][]byte, 0, len(nalus))
	var pps [][]byte
	key := false
	for _, n := range nalus {
		if len(n) == 0 {
			continue
		}
		switch n[0] & 0x1f {
		case h264SPS:
			p.sps = n
		case h264PPS:
			pps = append(pps, n)
		case h264AUD:
		case h264IDR:
			key = true
			fallthrough
		default:
			pictures = append(pictures, n)
		}
	}
	sets := pps
	if pps != nil {
		p.pps = pps
	}
	if key {
		sets = p.pps
	}
	if len(pictures) == 0 {
		return nil, false
	}
	if key && len(p.sps) == 0 {
		// Nobody can decode this picture yet.
		return nil, false
	}
	// The payloader joins one SPS and one PPS into a STAP-A (RFC 6184 section 5.7.1), and loses what does not fit.
	stap := key && len(sets) == 1 && len(p.sps)+len(sets[0])+5 <= maxPayload
	payloader := codecs.H264Payloader{DisableStapA: !stap}
	var out [][]byte
	if key {
		out = append(out, payloader.Payload(maxPayload, p.sps)...)
	}
	for _, n := range sets {
		out = append(out, payloader.Payload(maxPayload, n)...)
	}
	for _, n := range pictures {
		out = append(out, payloader.Payload(maxPayload, n)...)
	}
	return out, key
}

// h265Packetizer packetises as in RFC 7798, with the parameter sets before every picture decoding can start at.
type h265Packetizer struct {
	payloader     codecs.H265Payloader
	vps, sps, pps []byte
}

// NAL unit types of H.265 (ITU-T H.265 table 7-1); those from BLA to CRA are pictures decoding can start at.
const (
	h265BLA = 16
	h265CRA = 21
	h265VPS = 32
	h265SPS = 33
	h265PPS = 34
	h265AUD = 35
)

func (p *h265Packetizer) packetize(nalus [][]byte) ([][]byte, bool) {
	pictures := make([][]byte, 0, len(nalus)+3)
	key := false
	for _, n := range nalus {
		if len(n) < 2 {
			continue
		}
		switch t := n[0] >> 1 & 0x3f; t {
		case h265VPS:
			p.vps = n
		case h265SPS:
			p.sps = n
		case h265PPS:
			p.pps = n
		case h265AUD:
		default:
			key = key || t >= h265BLA && t <= h265CRA
			pictures = append(pictures, n)
		}
	}
	if len(pictures) == 0 {
		return nil, false
	}
	var out [][]byte
	if key {
		if len(p.sps) == 0 || len(p.pps) == 0 {
			return nil, false
		}
		for _, n := range [][]byte{p.vps, p.sps, p.pps} {
			out = append(out, p.payloader.Payload(maxPayload, n)...)
		}
	}
	for _, n := range pictures {
		out = append(out, p.payloader.Payload(maxPayload, n)...)
	}
	return out, key
}

// sameFormat reports whether viewers of one set of tracks can go on with the other.
func sameFormat(a, b []rtsp.Track) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind || a[i].Codec != b[i].Codec || a[i].ClockRate != b[i].ClockRate || a[i].Channels != b[i].Channels {
			return false
		}
	}
	return true
}
