package live

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp/codecs"

	"porthole/media/rtsp"
)

var (
	sps = []byte{0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa0, 0x28}
	pps = []byte{0x68, 0xee, 0x3c, 0x80}
	idr = append([]byte{0x65, 0x88}, bytes.Repeat([]byte{0xab}, 3000)...)
	non = append([]byte{0x41, 0x9a}, bytes.Repeat([]byte{0xcd}, 40)...)
)

// depacketize does what a browser does: joins the payloads to NAL units.
func depacketize(t *testing.T, payloads [][]byte) [][]byte {
	t.Helper()
	var d codecs.H264Packet
	var out [][]byte
	for _, p := range payloads {
		if len(p) > maxPayload {
			t.Errorf("a payload has %d bytes", len(p))
		}
		b, err := d.Unmarshal(p)
		if err != nil {
			t.Fatal(err)
		}
		for n := range bytes.SplitSeq(b, []byte{0, 0, 0, 1}) {
			if len(n) > 0 {
				out = append(out, n)
			}
		}
	}
	return out
}

func packetize(p packetizer, nalus [][]byte) ([][]byte, bool) {
	units, key := p.arrange(nalus)
	return p.payloads(units), key
}

func TestPacketizeH264(t *testing.T) {
	pps2 := []byte{0x68, 0x11}
	for name, c := range map[string]struct {
		track rtsp.Track
		units [][][]byte
		want  [][]byte
		key   bool
	}{
		"parameter sets come before the IDR": {
			rtsp.Track{Codec: rtsp.H264, SPS: sps, PPS: pps}, [][][]byte{{idr}}, [][]byte{sps, pps, idr}, true,
		},
		"they are not sent twice": {
			rtsp.Track{Codec: rtsp.H264, SPS: sps, PPS: pps}, [][][]byte{{{0x09, 0xf0}, sps, pps, idr}}, [][]byte{sps, pps, idr}, true,
		},
		"those in the stream count": {
			rtsp.Track{Codec: rtsp.H264}, [][][]byte{{sps, pps, idr}, {idr}}, [][]byte{sps, pps, idr}, true,
		},
		"those sent by themselves count": {
			rtsp.Track{Codec: rtsp.H264}, [][][]byte{{sps, pps}, {idr}}, [][]byte{sps, pps, idr}, true,
		},
		"two picture parameter sets": {
			rtsp.Track{Codec: rtsp.H264, SPS: sps, PPS: pps}, [][][]byte{{sps, pps, pps2, idr}}, [][]byte{sps, pps, pps2, idr}, true,
		},
		"other pictures come without": {
			rtsp.Track{Codec: rtsp.H264, SPS: sps, PPS: pps}, [][][]byte{{idr}, {{0x09, 0xf0}, non}}, [][]byte{non}, false,
		},
		"an IDR that nobody can decode is no picture": {
			rtsp.Track{Codec: rtsp.H264}, [][][]byte{{idr}}, nil, false,
		},
		"empty units are no picture": {
			rtsp.Track{Codec: rtsp.H264, SPS: sps, PPS: pps}, [][][]byte{{{}, nil}}, nil, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPacketizer(c.track)
			var payloads [][]byte
			var key bool
			for _, u := range c.units {
				payloads, key = packetize(p, u)
			}
			if key != c.key {
				t.Errorf("key frame: %v", key)
			}
			if d := cmp.Diff(c.want, depacketize(t, payloads)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPacketizeH265(t *testing.T) {
	vps, sps, pps := []byte{0x40, 1, 1}, []byte{0x42, 1, 2}, []byte{0x44, 1, 3}
	idr := append([]byte{19 << 1, 1}, bytes.Repeat([]byte{7}, 2500)...)
	trail := []byte{1 << 1, 1, 9}
	p := newPacketizer(rtsp.Track{Codec: rtsp.H265})
	if payloads, _ := packetize(p, [][]byte{idr}); payloads != nil {
		t.Error("a picture without parameter sets was sent")
	}
	payloads, key := packetize(p, [][]byte{vps, sps, pps, idr})
	if !key || len(payloads) != 3+3 {
		t.Fatalf("key %v, %d payloads; want the sets and three fragments", key, len(payloads))
	}
	payloads, key = packetize(p, [][]byte{idr})
	if !key || !bytes.Equal(payloads[0], vps) || !bytes.Equal(payloads[1], sps) || !bytes.Equal(payloads[2], pps) {
		t.Error("the parameter sets are not sent again with the next key frame")
	}
	payloads, key = packetize(p, [][]byte{{35 << 1, 1, 0x50}, trail})
	if key || len(payloads) != 1 || !bytes.Equal(payloads[0], trail) {
		t.Errorf("key %v, payloads %x", key, payloads)
	}
}

// FuzzPicture: whatever a camera sends, what goes on is packets of a size that fits, and nothing of it is made up.
func FuzzPicture(f *testing.F) {
	f.Add(slices.Concat(sps, []byte{0, 0, 1}, pps, []byte{0, 0, 1}, idr))
	f.Add([]byte{19 << 1, 1, 7, 0, 0, 1, 0x44, 1, 0, 0, 1, 0x42, 1})
	f.Add([]byte{0, 0, 1, 0xb6, 0x40, 1})
	f.Add([]byte{0xff, 0xd8, 0xff, 0xd9})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, track := range []rtsp.Track{{Codec: rtsp.H264, SPS: sps, PPS: pps}, {Codec: rtsp.H264}, {Codec: rtsp.H265, VPS: sps, SPS: sps, PPS: pps}, {Codec: rtsp.H265}} {
			p := newPacketizer(track)
			for range 2 {
				nalus := bytes.Split(data, []byte{0, 0, 1})
				units, key := p.arrange(nalus)
				if key && len(units) < 2 {
					t.Errorf("%s: a key picture without parameter sets", track.Codec)
				}
				p.disposable(units)
				for _, b := range p.payloads(units) {
					if len(b) == 0 || len(b) > maxPayload {
						t.Errorf("%s: a payload of %d bytes", track.Codec, len(b))
					}
				}
			}
		}
		for _, track := range []rtsp.Track{{Codec: rtsp.MPEG4, Config: pps}, {Codec: rtsp.JPEG}} {
			if parts, key := rawPicture(track, data); key && len(parts) == 0 {
				t.Errorf("%s: a key picture of nothing", track.Codec)
			}
		}
	})
}

func TestDisposable(t *testing.T) {
	for name, c := range map[string]struct {
		codec rtsp.Codec
		units [][]byte
		want  bool
	}{
		"H.264 referred to":        {rtsp.H264, [][]byte{{0x41}}, false},
		"H.264 not referred to":    {rtsp.H264, [][]byte{{0x06}, {0x01}, {0x01}}, true},
		"H.264 IDR":                {rtsp.H264, [][]byte{sps, pps, {0x65}}, false},
		"H.265 TRAIL_R":            {rtsp.H265, [][]byte{{1 << 1, 1}}, false},
		"H.265 TRAIL_N":            {rtsp.H265, [][]byte{{39 << 1, 1}, {0, 1}}, true},
		"H.265 RASL_N":             {rtsp.H265, [][]byte{{8 << 1, 1}}, true},
		"H.265 IDR_N_LP, even too": {rtsp.H265, [][]byte{{20 << 1, 1}}, false},
	} {
		if got := newPacketizer(rtsp.Track{Codec: c.codec}).disposable(c.units); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
