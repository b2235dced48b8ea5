package camera_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/rtsp"
	"porthole/packages/player/camera"
)

// NAL units by their first byte, with something behind it.
func nal(header ...byte) []byte { return append(header, 0x80, 0x01) }

var (
	sps, pps, idr, slice, aud, sei = nal(0x67), nal(0x68), nal(0x65), nal(0x41), nal(0x09), nal(0x06)
	sps2, pps2                     = nal(0x67, 2), nal(0x68, 2)
	vps265, sps265, pps265         = nal(0x40, 1), nal(0x42, 1), nal(0x44, 1)
	idr265, cra265, slice265       = nal(0x26, 1), nal(0x2a, 1), nal(0x02, 1)
	aud265                         = nal(0x46, 1)
)

// TestParameterSets: a decoder can start at every key picture, wherever the camera says how to decode it.
func TestParameterSets(t *testing.T) {
	type units = [][][]byte
	h264 := rtsp.Track{Codec: rtsp.H264, ClockRate: 90000}
	described := h264
	described.SPS, described.PPS = sps, pps
	h265 := rtsp.Track{Codec: rtsp.H265, ClockRate: 90000}
	for name, c := range map[string]struct {
		track    rtsp.Track
		in, want units
		keys     []bool
	}{
		"in every key unit":  {h264, units{{aud, sps, pps, sei, idr}, {aud, slice}}, units{{sps, pps, sei, idr}, {slice}}, []bool{true, false}},
		"once":               {h264, units{{sps, pps, idr}, {slice}, {idr}}, units{{sps, pps, idr}, {slice}, {sps, pps, idr}}, []bool{true, false, true}},
		"described only":     {described, units{{idr}, {slice}}, units{{sps, pps, idr}, {slice}}, []bool{true, false}},
		"described, changed": {described, units{{sps2, pps2, idr}, {idr}}, units{{sps2, pps2, idr}, {sps2, pps2, idr}}, []bool{true, true}},
		"in a unit alone":    {h264, units{{sps, pps}, {idr}, {pps2}, {slice}, {idr}}, units{{sps, pps, idr}, {slice}, {sps, pps2, idr}}, []bool{true, false, true}},
		"two of a kind":      {h264, units{{sps, pps, pps2, idr}, {idr}}, units{{sps, pps, pps2, idr}, {sps, pps, pps2, idr}}, []bool{true, true}},
		"before a slice":     {h264, units{{sps, pps, idr}, {pps2, slice}}, units{{sps, pps, idr}, {pps2, slice}}, []bool{true, false}},
		"nothing to see":     {h264, units{{aud}, {sei}, {}, {{}, {0x65}}}, nil, nil},
		"H.265":              {h265, units{{aud265, vps265, sps265, pps265, idr265}, {slice265}, {cra265}}, units{{vps265, sps265, pps265, idr265}, {slice265}, {vps265, sps265, pps265, cra265}}, []bool{true, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var in []rtsp.Unit
			for i, n := range c.in {
				in = append(in, rtsp.Unit{RTPTime: uint32(i) * 3600, NALUs: n})
			}
			out, reordered := camera.Convert(c.track, in)
			var got units
			var keys []bool
			for _, u := range out {
				got, keys = append(got, u.Data), append(keys, u.Key)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.keys, keys); d != "" || reordered {
				t.Errorf("reordered %v, keys:\n%s", reordered, d)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	const wrap = 1<<32 - 3600
	for name, c := range map[string]struct {
		in        []uint32
		want      []time.Duration // since the first
		reordered bool
	}{
		"in a row":     {[]uint32{7, 3607, 7207}, []time.Duration{0, 40 * time.Millisecond, 80 * time.Millisecond}, false},
		"wraps":        {[]uint32{wrap, 0, 3600}, []time.Duration{0, 40 * time.Millisecond, 80 * time.Millisecond}, false},
		"B-frames":     {[]uint32{0, 10800, 3600, 7200}, []time.Duration{0, 120 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}, true},
		"starts anew":  {[]uint32{90000 * 30, 0, 3600}, []time.Duration{0, -30 * time.Second, -30*time.Second + 40*time.Millisecond}, false},
		"far back":     {[]uint32{90000 * 300, 0}, []time.Duration{0, -time.Minute}, false},
		"same instant": {[]uint32{5, 5}, []time.Duration{0, 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var in []rtsp.Unit
			for _, at := range c.in {
				in = append(in, rtsp.Unit{RTPTime: at, NALUs: [][]byte{slice}})
			}
			out, reordered := camera.Convert(rtsp.Track{Codec: rtsp.H264, ClockRate: 90000}, in)
			var got []time.Duration
			for _, u := range out {
				got = append(got, u.PTS-out[0].PTS)
			}
			if d := cmp.Diff(c.want, got); d != "" || reordered != c.reordered {
				t.Errorf("reordered %v\n%s", reordered, d)
			}
		})
	}
}

// FuzzConvert: whatever NAL units a camera sends, the decoder gets what it can take.
func FuzzConvert(f *testing.F) {
	f.Add(true, uint32(1), uint32(2), sps, pps, idr)
	f.Add(false, uint32(1<<31), uint32(0), vps265, sps265, idr265)
	f.Add(true, uint32(1<<32-1), uint32(1<<31), []byte{}, []byte{0x65}, aud)
	f.Fuzz(func(t *testing.T, h265 bool, first, second uint32, a, b, c []byte) {
		track := rtsp.Track{Codec: rtsp.H264, SPS: c}
		if h265 {
			track = rtsp.Track{Codec: rtsp.H265, ClockRate: 90000}
		}
		out, _ := camera.Convert(track, []rtsp.Unit{{RTPTime: first, NALUs: [][]byte{a, b}}, {RTPTime: second, NALUs: [][]byte{c, a}}})
		for _, u := range out {
			if u.PTS < 0 || len(u.Data) == 0 {
				t.Errorf("unit %+v", u)
			}
		}
	})
}
