package rtsp

import (
	"bytes"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
)

// fill makes a NAL unit of n bytes in which no start code can be found.
func fill(n int, header ...byte) []byte {
	b := bytes.Clone(header)
	for i := len(b); i < n; i++ {
		b = append(b, byte(i%250)+1)
	}
	return b
}

func aggregate(header []byte, units ...[]byte) []byte {
	b := bytes.Clone(header)
	for _, u := range units {
		b = append(b, byte(len(u)>>8), byte(len(u)))
		b = append(b, u...)
	}
	return b
}

// TestRefit cuts large packets and puts the pieces together with the decoders of gortsplib.
func TestRefit(t *testing.T) {
	avc, hevc := &format.H264{PayloadTyp: 96, PacketizationMode: 1}, &format.H265{PayloadTyp: 96}
	tests := []struct {
		name    string
		format  format.Format
		payload []byte
		want    [][]byte
		single  bool
	}{
		{"H.264, small", avc, fill(1000, 0x65), [][]byte{fill(1000, 0x65)}, true},
		{"H.264, one unit", avc, fill(9000, 0x65), [][]byte{fill(9000, 0x65)}, false},
		{"H.264, just too large", avc, fill(maxPacket-11, 0x41), [][]byte{fill(maxPacket-11, 0x41)}, false},
		{
			"H.264, aggregated", avc, aggregate([]byte{0x78}, fill(20, 0x67), fill(8, 0x68), fill(5000, 0x65)),
			[][]byte{fill(20, 0x67), fill(8, 0x68), fill(5000, 0x65)}, false,
		},
		{"H.265, small", hevc, fill(1000, 0x26, 1), [][]byte{fill(1000, 0x26, 1)}, true},
		{"H.265, one unit", hevc, fill(9000, 0x26, 1), [][]byte{fill(9000, 0x26, 1)}, false},
		{
			"H.265, aggregated", hevc, aggregate([]byte{0x60, 1}, fill(20, 0x42, 1), fill(3000, 0x26, 1)),
			[][]byte{fill(20, 0x42, 1), fill(3000, 0x26, 1)}, false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pkts := refit(tt.format, &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: 65535, Marker: true}, Payload: tt.payload})
			if tt.single != (len(pkts) == 1) {
				t.Errorf("%d packets", len(pkts))
			}
			u, err := newUnits(0, tt.format)
			if err != nil {
				t.Fatal(err)
			}
			var got [][]byte
			for i, p := range pkts {
				if n := p.MarshalSize(); n > maxPacket {
					t.Errorf("packet %d has %d bytes", i, n)
				}
				if p.SequenceNumber != uint16(65535+i) || p.Marker != (i == len(pkts)-1) {
					t.Errorf("packet %d: sequence number %d, marker %v", i, p.SequenceNumber, p.Marker)
				}
				if unit, ok := u.next(p, p0); ok {
					got = unit.NALUs
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRefitFragment cuts the fragments of a unit further.
func TestRefitFragment(t *testing.T) {
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	whole := fill(9000, 0x65)
	u, err := newUnits(0, f)
	if err != nil {
		t.Fatal(err)
	}
	seq := uint16(0)
	var got [][]byte
	for i, part := range [][]byte{whole[1:4000], whole[4000:8000], whole[8000:]} {
		header := []byte{0x7c, 0x05}
		switch i {
		case 0:
			header[1] |= 0x80
		case 2:
			header[1] |= 0x40
		}
		for _, p := range refit(f, &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Marker: i == 2}, Payload: append(header, part...)}) {
			seq = p.SequenceNumber + 1
			if unit, ok := u.next(p, p0); ok {
				got = unit.NALUs
			}
		}
	}
	if d := cmp.Diff([][]byte{whole}, got); d != "" {
		t.Error(d)
	}
}

func TestRefitCannot(t *testing.T) {
	if pkts := refit(&format.Opus{}, &rtp.Packet{Payload: make([]byte, 2000)}); len(pkts) != 0 {
		t.Errorf("%d packets of a format that cannot be cut", len(pkts))
	}
}

// TestUnitsWithoutMarker has a camera that does not say where an access unit ends.
func TestUnitsWithoutMarker(t *testing.T) {
	u, err := newUnits(3, &format.H264{PayloadTyp: 96, PacketizationMode: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []Unit
	for i, p := range []struct {
		ts      uint32
		payload []byte
	}{{100, payloads['s']}, {100, payloads['p']}, {100, payloads['I']}, {200, payloads['P']}, {300, payloads['P']}} {
		pkt := packet(uint16(i), p.ts)
		pkt.Payload = p.payload
		if unit, ok := u.next(pkt, p0.Add(ticksToDuration(int64(p.ts)))); ok {
			got = append(got, unit)
		}
	}
	want := []Unit{
		{Track: 3, RTPTime: 100, NTP: p0.Add(ticksToDuration(100)), NALUs: [][]byte{payloads['s'], payloads['p'], payloads['I']}},
		{Track: 3, RTPTime: 200, NTP: p0.Add(ticksToDuration(200)), NALUs: [][]byte{payloads['P']}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzNALs(f *testing.F) {
	for _, p := range payloads {
		f.Add(p, false)
	}
	f.Add(fill(3000, 0x65), false)
	f.Add(aggregate([]byte{0x60, 1}, fill(2000, 0x26, 1), fill(3, 0x42, 1)), true)
	f.Add(fill(1600, 0x62, 1, 0x93), true)
	f.Add(fill(1600, 0x18), false)
	f.Fuzz(func(t *testing.T, payload []byte, hevc bool) {
		var fo format.Format = &format.H264{PacketizationMode: 1}
		if hevc {
			fo = &format.H265{}
		}
		for n := range nals(fo, payload) {
			if len(n.body) > len(payload) {
				t.Errorf("a unit of %d bytes in %d", len(n.body), len(payload))
			}
		}
		learn(fo, payload)
		if len(payload) == 0 {
			return
		}
		for _, p := range refit(fo, &rtp.Packet{Payload: payload}) {
			if p.MarshalSize() > maxPacket || len(p.Payload) == 0 {
				t.Errorf("a packet of %d bytes with %d of payload", p.MarshalSize(), len(p.Payload))
			}
		}
	})
}
