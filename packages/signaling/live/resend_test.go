package live

import (
	"slices"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// wire keeps what is written, as the network would take it.
type wire struct{ packets []rtp.Packet }

func (w *wire) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	w.packets = append(w.packets, rtp.Packet{Header: *h, Payload: slices.Clone(payload)})
	return len(payload), nil
}

func (w *wire) Write(b []byte) (int, error) { return len(b), nil }

// What is asked for again comes as it was, around the end of the sequence numbers too; what is too old, was never sent,
// or is another's does not come. Sending makes no garbage.
func TestResend(t *testing.T) {
	w := &wire{}
	track := newOutTrack(webrtc.RTPCodecTypeAudio, webrtc.MimeTypePCMU, 8000)
	track.to, track.ssrc, track.pt, track.seq = w, 7, 0, 65530
	for i := range 200 {
		if err := track.write([]byte{byte(i)}, int64(i*160), i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	first := slices.Clone(w.packets)
	ask := func(ssrc uint32, seqs ...uint16) []rtp.Packet {
		w.packets = nil
		track.resend(&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)})
		return w.packets
	}
	newest, oldest := first[199], first[200-keptSounds]
	got := ask(7, oldest.SequenceNumber, newest.SequenceNumber)
	if len(got) != 2 || got[0].String() != oldest.String() || got[1].String() != newest.String() || got[0].Payload[0] != oldest.Payload[0] {
		t.Errorf("sent again: %v, want %v and %v", got, oldest, newest)
	}
	for name, seq := range map[string]uint16{"too old": oldest.SequenceNumber - 1, "not sent yet": newest.SequenceNumber + 1} {
		if got := ask(7, seq); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := ask(8, newest.SequenceNumber); len(got) != 0 {
		t.Errorf("another's packet: %v", got)
	}
	// Who asks all the time gets the reserve, and then no more than every second packet.
	total := 0
	for range 1000 {
		total += len(ask(7, newest.SequenceNumber))
	}
	if total < resendReserve-10 || total > resendReserve {
		t.Errorf("%d packets sent again, of a reserve of %d", total, resendReserve)
	}
	for i := range 10 {
		if err := track.write([]byte{1}, int64(i), false); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(ask(7, newest.SequenceNumber, newest.SequenceNumber+1, newest.SequenceNumber+2, newest.SequenceNumber+3, newest.SequenceNumber+4, newest.SequenceNumber+5, newest.SequenceNumber+6)); n != 5 {
		t.Errorf("%d of 10 packets sent again", n)
	}
	for range 100 {
		if err := track.write([]byte{1}, 0, false); err != nil {
			t.Fatal(err)
		}
	}
	newest = w.packets[len(w.packets)-1]
	track.to = nil
	if got := ask(7, newest.SequenceNumber); len(got) != 0 {
		t.Errorf("after the end: %v", got)
	}
	track.to = discardRTP{}
	payload := []byte{1}
	if n := testing.AllocsPerRun(100, func() { _ = track.write(payload, 0, false) }); n != 0 {
		t.Errorf("a packet costs %v allocations", n)
	}
}

type discardRTP struct{}

func (discardRTP) WriteRTP(*rtp.Header, []byte) (int, error) { return 0, nil }
func (discardRTP) Write([]byte) (int, error)                 { return 0, nil }
