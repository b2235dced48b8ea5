package camera

import (
	"time"

	"porthole/media/decode"
	"porthole/media/rtsp"
)

// NAL unit types (ITU-T H.264 table 7-1, ITU-T H.265 table 7-1). H.265 pictures from BLA to CRA are those that decoding
// can start at, and everything up to 31 is a picture.
const (
	h264Slice, h264IDR, h264SPS, h264PPS, h264AUD = 1, 5, 7, 8, 9
	h265BLA, h265CRA, h265LastPicture             = 16, 21, 31
	h265VPS, h265SPS, h265PPS, h265AUD            = 32, 33, 34, 35
)

// liveCodec is a track's codec as the decoder names it; false for those that come as RTP payloads, which nobody here
// puts together.
func liveCodec(c rtsp.Codec) (decode.Codec, bool) {
	switch c {
	case rtsp.H264:
		return decode.H264, true
	case rtsp.H265:
		return decode.H265, true
	}
	return "", false
}

// converter makes the decoder's units of a track's. Many cameras send parameter sets only once, or only describe them:
// they are kept and put before every picture that decoding can start at.
type converter struct {
	codec     rtsp.Codec
	clockRate int64
	// sets are the parameter sets by rank: VPS, SPS, PPS.
	sets [3][][]byte

	started        bool
	last           uint32
	ticks, highest int64
	// reordered says that a picture came after one that is shown later: the camera uses B-frames.
	reordered bool
}

func newConverter(t rtsp.Track) *converter {
	c := &converter{codec: t.Codec, clockRate: int64(max(t.ClockRate, 1))}
	for i, set := range [][]byte{nil, t.SPS, t.PPS} {
		if len(set) > 0 {
			c.sets[i] = [][]byte{set}
		}
	}
	return c
}

// convert returns the unit for the decoder; false when there is no picture in it.
func (c *converter) convert(u rtsp.Unit) (decode.Unit, bool) {
	var out decode.Unit
	var news [3][][]byte
	var rest [][]byte
	pictures := 0
	for _, n := range u.NALUs {
		if len(n) < 2 {
			continue
		}
		switch rank, kind := c.classify(n); kind {
		case kindSet:
			news[rank] = append(news[rank], n)
			continue
		case kindDelimiter:
			continue
		case kindKey:
			out.Key = true
			pictures++
		case kindPicture:
			pictures++
		case kindOther:
		}
		rest = append(rest, n)
	}
	for rank, sets := range news {
		if sets != nil {
			c.sets[rank] = sets
		}
	}
	if pictures == 0 {
		return out, false
	}
	send := news
	if out.Key {
		send = c.sets
	}
	for _, sets := range send {
		out.Data = append(out.Data, sets...)
	}
	out.Data = append(out.Data, rest...)
	out.PTS = c.time(u.RTPTime)
	return out, true
}

type kind int

const (
	kindOther kind = iota
	kindPicture
	kindKey // a picture that decoding can start at
	kindSet
	kindDelimiter
)

func (c *converter) classify(n []byte) (rank int, k kind) {
	if c.codec == rtsp.H265 {
		switch t := int(n[0] >> 1 & 0x3f); {
		case t == h265VPS || t == h265SPS || t == h265PPS:
			return t - h265VPS, kindSet
		case t == h265AUD:
			return 0, kindDelimiter
		case t >= h265BLA && t <= h265CRA:
			return 0, kindKey
		case t <= h265LastPicture:
			return 0, kindPicture
		}
		return 0, kindOther
	}
	switch t := int(n[0] & 0x1f); {
	case t == h264SPS || t == h264PPS:
		return t - h264SPS + 1, kindSet
	case t == h264AUD:
		return 0, kindDelimiter
	case t == h264IDR:
		return 0, kindKey
	case t >= h264Slice && t < h264IDR:
		return 0, kindPicture
	}
	return 0, kindOther
}

// startAt leaves room below the first unit's time for pictures that are shown before it.
const startAt = time.Minute

// time turns RTP timestamps, which wrap (RFC 3550 section 5.1), into a time since the first one.
func (c *converter) time(rtp uint32) time.Duration {
	if !c.started {
		c.started, c.last = true, rtp
	}
	c.ticks += int64(int32(rtp - c.last))
	c.last = rtp
	// A step back of seconds is a camera that started anew.
	if behind := c.highest - c.ticks; behind > 0 && behind < 5*c.clockRate {
		c.reordered = true
	}
	c.highest = max(c.highest, c.ticks)
	seconds, rest := c.ticks/c.clockRate, c.ticks%c.clockRate
	t := startAt + time.Duration(seconds)*time.Second + time.Duration(rest)*time.Second/time.Duration(c.clockRate)
	return max(t, 0)
}
