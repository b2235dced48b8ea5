package rtsp

import (
	"iter"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
)

// nal is a NAL unit seen in an RTP payload. body is nil for the first fragment of a fragmented one.
type nal struct {
	kind nalKind
	body []byte
}

type nalKind int

const (
	nalOther nalKind = iota
	// nalSlice is a picture that needs others.
	nalSlice
	// nalKey is a picture that a decoder can start with.
	nalKey
	nalVPS
	nalSPS
	nalPPS
)

// nals yields the NAL units that start in an RTP payload of a format; none for formats without.
func nals(f format.Format, payload []byte) iter.Seq[nal] {
	switch f.(type) {
	case *format.H264:
		return func(yield func(nal) bool) { h264NALs(payload, yield) }
	case *format.H265:
		return func(yield func(nal) bool) { h265NALs(payload, yield) }
	}
	return func(func(nal) bool) {}
}

// RFC 6184 section 5.2: STAP-A is 24, FU-A is 28.
func h264NALs(p []byte, yield func(nal) bool) {
	if len(p) < 2 {
		return
	}
	switch p[0] & 0x1f {
	case 24:
		aggregated(p[1:], func(u []byte) bool { return yield(nal{h264Kind(u[0] & 0x1f), u}) })
	case 28:
		if p[1]&0x80 != 0 {
			yield(nal{h264Kind(p[1] & 0x1f), nil})
		}
	default:
		yield(nal{h264Kind(p[0] & 0x1f), p})
	}
}

// RFC 7798 section 4.4: the aggregation packet is 48, the fragmentation unit 49.
func h265NALs(p []byte, yield func(nal) bool) {
	if len(p) < 3 {
		return
	}
	switch p[0] >> 1 & 0x3f {
	case 48:
		aggregated(p[2:], func(u []byte) bool { return yield(nal{h265Kind(u[0] >> 1 & 0x3f), u}) })
	case 49:
		if p[2]&0x80 != 0 {
			yield(nal{h265Kind(p[2] & 0x3f), nil})
		}
	default:
		yield(nal{h265Kind(p[0] >> 1 & 0x3f), p})
	}
}

// aggregated yields units that each stand behind their size in two bytes, until one does not fit.
func aggregated(p []byte, yield func([]byte) bool) {
	for len(p) > 2 {
		size := int(p[0])<<8 | int(p[1])
		p = p[2:]
		if size == 0 || size > len(p) || !yield(p[:size]) {
			return
		}
		p = p[size:]
	}
}

// ITU-T H.264 table 7-1.
func h264Kind(t byte) nalKind {
	switch t {
	case 1, 2, 3, 4:
		return nalSlice
	case 5:
		return nalKey
	case 7:
		return nalSPS
	case 8:
		return nalPPS
	}
	return nalOther
}

// ITU-T H.265 table 7-1: 0 to 9 are pictures, 16 to 21 those that a decoder can start with.
func h265Kind(t byte) nalKind {
	switch {
	case t <= 9:
		return nalSlice
	case t >= 16 && t <= 21:
		return nalKey
	case t == 32:
		return nalVPS
	case t == 33:
		return nalSPS
	case t == 34:
		return nalPPS
	}
	return nalOther
}
