package rtsp

import (
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/google/go-cmp/cmp"
)

// H.264 payloads by kind; 'a' is sound.
var payloads = map[byte][]byte{
	's': {0x67, 1}, 'p': {0x68, 1}, 'e': {0x06, 1},
	'I': {0x65, 1}, 'P': {0x41, 1},
	'(': {0x7c, 0x85, 1}, ')': {0x7c, 0x45, 1}, // first and last fragment of a key picture
	'+': {0x18, 0, 2, 0x67, 1, 0, 2, 0x68, 1, 0, 2, 0x65, 1}, // all of it in one packet
}

func TestGOP(t *testing.T) {
	// A digit sets the timestamp of what follows.
	tests := []struct{ name, in, want string }{
		{"nothing before a key picture", "1P2P3P", ""},
		{"from the key picture on", "1P2IP3P", "IPP"},
		{"with its parameter sets", "1P2spI3P", "spIP"},
		{"with a message in front", "1P2espI3P", "espIP"},
		{"parameter sets with a time of their own", "1P2sp3I4P", "spIP"},
		{"fragmented", "1P2sp()3P", "sp()P"},
		{"aggregated", "1P2+3P", "+P"},
		{"the last one counts", "1spI2P3spI4P5P", "spIPP"},
		{"a key picture of two slices", "1spII2P", "spIIP"},
		{"sound in between", "1Pa2spI3aPa", "spIaPa"},
		{"sound alone", "aaa", ""},
		{"sound that comes between the parts of a key picture", "1P2sapaI3P", "sapaIP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			video, sound := videoLane(), &lane{media: &description.Media{Type: description.MediaTypeAudio}, format: &format.Opus{}}
			var g gop
			var ts uint32
			names := map[*sent]byte{}
			for _, c := range []byte(tt.in) {
				s := &sent{lane: video, ts: ts * 3600, raw: payloads[c]}
				names[s] = c
				switch {
				case c >= '0' && c <= '9':
					ts = uint32(c - '0')
				case c == 'a':
					s.lane = sound
					g.addOther(s)
				default:
					g.addVideo(s, s.raw)
				}
			}
			var got []byte
			for _, s := range g.packets() {
				got = append(got, names[s])
			}
			if d := cmp.Diff(tt.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGOPIsBounded(t *testing.T) {
	video := videoLane()
	var g gop
	add := func(ts uint32, payload []byte) {
		g.addVideo(&sent{lane: video, ts: ts, raw: payload}, payload)
	}
	add(0, payloads['I'])
	for i := range uint32(10 * maxGOPPackets) {
		add(i, payloads['P'])
		if len(g.items) > maxGOPPackets {
			t.Fatalf("%d packets are kept", len(g.items))
		}
	}
	if n := len(g.packets()); n != 0 {
		t.Errorf("%d packets of a GOP that is too long", n)
	}
	large := append([]byte{0x41}, make([]byte, 60000)...)
	add(1, payloads['I'])
	for i := range uint32(200) {
		add(2+i, large)
		if g.bytes > maxGOPBytes {
			t.Fatalf("%d bytes are kept", g.bytes)
		}
	}
	add(1000, payloads['I'])
	if n := len(g.packets()); n != 1 || g.bytes != 2 {
		t.Errorf("%d packets, %d bytes after the next key picture", n, g.bytes)
	}
}
