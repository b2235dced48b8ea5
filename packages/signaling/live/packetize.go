package live

import (
	"slices"

	"github.com/pion/rtp/codecs"

	"porthole/media/rtsp"
)

// maxPayload leaves room for RTP, SRTP, UDP and IPv6 headers within the 1,280 bytes every IPv6 path carries.
const maxPayload = 1200

// packetizer cuts access units into RTP payloads.
type packetizer interface {
	// arrange returns an access unit as it is sent, the parameter sets in front of a picture that decoding can start at, and
	// whether it is one. It is empty when there is nothing to show.
	arrange(nalus [][]byte) (units [][]byte, key bool)
	// payloads cuts what arrange returned. They share no memory with later calls.
	payloads(units [][]byte) [][]byte
	// disposable reports whether no other picture refers to this one.
	disposable(units [][]byte) bool
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
		return &h265Packetizer{payloader: codecs.H265Payloader{SkipAggregation: true}, vps: t.VPS, sps: t.SPS, pps: t.PPS}
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

func (p *h264Packetizer) arrange(nalus [][]byte) ([][]byte, bool) {
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
	if key {
		sets = append([][]byte{p.sps}, sets...)
	}
	return append(slices.Clip(sets), pictures...), key
}

func (p *h264Packetizer) payloads(units [][]byte) [][]byte {
	kind := func(i int) byte {
		if i >= len(units) {
			return 0
		}
		return units[i][0] & 0x1f
	}
	// The payloader joins one SPS and one PPS into a STAP-A (RFC 6184 section 5.7.1), and loses what does not fit.
	stap := kind(0) == h264SPS && kind(1) == h264PPS && kind(2) != h264PPS && len(units[0])+len(units[1])+5 <= maxPayload
	payloader := codecs.H264Payloader{DisableStapA: !stap}
	var out [][]byte
	for _, n := range units {
		out = append(out, payloader.Payload(maxPayload, n)...)
	}
	return out
}

// disposable: nal_ref_idc is 0 in all of its slices (ITU-T H.264 section 7.4.1).
func (p *h264Packetizer) disposable(units [][]byte) bool {
	return !slices.ContainsFunc(units, func(n []byte) bool {
		kind := n[0] & 0x1f
		return kind >= 1 && kind <= h264IDR && n[0]&0x60 != 0
	})
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

func (p *h265Packetizer) arrange(nalus [][]byte) ([][]byte, bool) {
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
	if !key {
		return pictures, false
	}
	if len(p.sps) == 0 || len(p.pps) == 0 {
		return nil, false
	}
	sets := [][]byte{p.sps, p.pps}
	if len(p.vps) > 0 {
		sets = [][]byte{p.vps, p.sps, p.pps}
	}
	return append(sets, pictures...), true
}

func (p *h265Packetizer) payloads(units [][]byte) [][]byte {
	var out [][]byte
	for _, n := range units {
		out = append(out, p.payloader.Payload(maxPayload, n)...)
	}
	return out
}

// disposable: all of its slices are of sub-layer non-reference pictures (ITU-T H.265 section 7.4.2.2), whose types are the even
// ones below RSV_VCL_R15.
func (p *h265Packetizer) disposable(units [][]byte) bool {
	return !slices.ContainsFunc(units, func(n []byte) bool {
		kind := n[0] >> 1 & 0x3f
		return kind < h265VPS && (kind > 14 || kind%2 == 1)
	})
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
