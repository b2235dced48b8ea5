package live

import (
	"bytes"

	"porthole/media/decode"
	"porthole/media/rtsp"
)

// convertible returns how a decoder child is told of a track; false if it cannot convert it.
func convertible(t rtsp.Track, reordered bool) (decode.Live, bool) {
	l := decode.Live{Width: t.Width, Height: t.Height, Reorder: reordered || !t.InOrder, SampleRate: t.ClockRate, Channels: max(t.Channels, 1)}
	switch t.Codec {
	case rtsp.H264:
		l.Codec = decode.H264
	case rtsp.H265:
		l.Codec = decode.H265
	case rtsp.MPEG4:
		l.Codec = decode.MPEG4
	case rtsp.JPEG:
		l.Codec = decode.MJPEG
	case rtsp.AAC, rtsp.LATM:
		l.Codec, l.Config = decode.AAC, t.Config
		return l, len(t.Config) > 0 && t.ClockRate > 0
	case rtsp.PCMU:
		l.Codec = decode.PCMU
	case rtsp.PCMA:
		l.Codec = decode.PCMA
	default:
		return decode.Live{}, false
	}
	return l, t.ClockRate > 0
}

// rawPicture returns a picture of a codec that only a conversion takes, and whether decoding can start at it.
func rawPicture(t rtsp.Track, payload []byte) (parts [][]byte, key bool) {
	if len(payload) == 0 {
		return nil, false
	}
	if t.Codec != rtsp.MPEG4 {
		return [][]byte{payload}, true
	}
	// A VOP's start code, then two bits of its coding type, 0 for intra (ISO/IEC 14496-2 section 6.2.5).
	_, vop, found := bytes.Cut(payload, []byte{0, 0, 1, 0xb6})
	if !found || len(vop) == 0 {
		return nil, false
	}
	if vop[0]>>6 != 0 {
		return [][]byte{payload}, false
	}
	return [][]byte{t.Config, payload}, true
}
