package rtsp

import (
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

func videoLane() *lane {
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	return &lane{media: &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}, format: f}
}

func packet(seq uint16, ts uint32) *rtp.Packet {
	return &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: ts}, Payload: []byte{0x41, 0}}
}

type stamped struct {
	seq uint16
	ts  uint32
}

func TestLaneStamp(t *testing.T) {
	type in struct {
		after    time.Duration // since the step before
		seq      uint16
		ts       uint32
		restart  bool
		wantSeq  uint16
		wantTick uint32
	}
	tests := []struct {
		name  string
		steps []in
	}{
		{"a camera's own numbers at first, with a loss and a wrap", []in{
			{0, 65534, 0xffffff00, false, 65534, 0xffffff00},
			{40 * time.Millisecond, 65535, 3344, false, 65535, 3344},
			{40 * time.Millisecond, 2, 6944, false, 2, 6944},
		}},
		{"an outage of 5 s and other numbers after it", []in{
			{0, 10, 1000, false, 10, 1000},
			{5 * time.Second, 60000, 4000000000, true, 11, 1000 + 450000},
			{40 * time.Millisecond, 60001, 4000003600, false, 12, 1000 + 453600},
		}},
		{"two outages", []in{
			{0, 10, 1000, false, 10, 1000},
			{time.Second, 500, 0, true, 11, 91000},
			{time.Second, 900, 77, true, 12, 181000},
		}},
		{"the same numbers again at once", []in{
			{0, 10, 1000, false, 10, 1000},
			{0, 10, 1000, true, 11, 1001},
		}},
		{"B-frames go back", []in{
			{0, 1, 9000, false, 1, 9000},
			{40 * time.Millisecond, 2, 9000 + 10800, false, 2, 19800},
			{40 * time.Millisecond, 3, 9000 + 3600, false, 3, 12600},
			{time.Second, 9, 0, true, 4, 19800 + 90000 + 3600},
		}},
		{"the camera's clock jumps without a new connection", []in{
			{0, 1, 9000, false, 1, 9000},
			{40 * time.Millisecond, 2, 9000 + 3600, false, 2, 12600},
			{40 * time.Millisecond, 3, 900000000, false, 3, 16200},
			{40 * time.Millisecond, 4, 900003600, false, 4, 19800},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := videoLane()
			now := time.Unix(1000, 0)
			for i, s := range tt.steps {
				now = now.Add(s.after)
				if s.restart {
					l.reset()
				}
				pkt := packet(s.seq, s.ts)
				l.stamp(pkt, now)
				if got := (stamped{pkt.SequenceNumber, pkt.Timestamp}); got != (stamped{s.wantSeq, s.wantTick}) {
					t.Errorf("step %d: %+v, want %+v", i, got, stamped{s.wantSeq, s.wantTick})
				}
			}
		})
	}
}

// TestLaneDate feeds a camera without reports whose packets first come in a burst and then with jitter.
func TestLaneDate(t *testing.T) {
	l := videoLane()
	start := time.Unix(5000, 0)
	var shared offset
	for i := range 500 {
		captured := start.Add(time.Duration(i) * 40 * time.Millisecond)
		delay := time.Duration(i%5) * 10 * time.Millisecond
		arrival := captured.Add(delay)
		if burst := start.Add(2 * time.Second); arrival.Before(burst) {
			arrival = burst
		}
		pkt := packet(uint16(i), uint32(i)*3600)
		l.stamp(pkt, arrival)
		date := l.date(pkt, arrival, time.Time{}, &shared)
		if date.After(arrival) {
			t.Fatalf("packet %d: dated %v after it came", i, date.Sub(arrival))
		}
		if off := date.Sub(captured); i > 60 && (off < -5*time.Millisecond || off > 15*time.Millisecond) {
			t.Fatalf("packet %d: dated %v off", i, off)
		}
	}
	ts, date, ok := l.position(l.lastAt.Add(time.Second))
	if !ok || ts != l.lastTS+90000 || !date.Equal(l.lastNTP.Add(time.Second)) {
		t.Errorf("position = %d %v %v", ts, date, ok)
	}
}

// TestLaneDateReported has a camera that reports a time from its own epoch for both tracks, of which one comes 300 ms
// late: what was captured together is dated together.
func TestLaneDateReported(t *testing.T) {
	video, sound := videoLane(), videoLane()
	var shared offset
	now := time.Unix(1_700_000_000, 0)
	camera := time.Unix(86400, 0)
	for i := range 200 {
		step := time.Duration(i) * 40 * time.Millisecond
		a := packet(uint16(i), uint32(i)*3600)
		sound.stamp(a, now.Add(step))
		dateA := sound.date(a, now.Add(step), camera.Add(step), &shared)
		v := packet(uint16(i), 777+uint32(i)*3600)
		video.stamp(v, now.Add(step+300*time.Millisecond))
		dateV := video.date(v, now.Add(step+300*time.Millisecond), camera.Add(step), &shared)
		if off := dateV.Sub(dateA); off < -time.Millisecond || off > time.Millisecond {
			t.Fatalf("packet %d: picture and sound are %v apart", i, off)
		}
		if off := dateA.Sub(now.Add(step)); off < -time.Millisecond || off > time.Millisecond {
			t.Fatalf("packet %d: sound is dated %v off", i, off)
		}
	}
}

func TestOffsetFollowsSteps(t *testing.T) {
	var o offset
	now := time.Unix(1000, 0)
	o.apply(now, now)
	// The camera's clock is set back by an hour.
	if got := o.apply(now.Add(time.Second-time.Hour), now.Add(time.Second)); !got.Equal(now.Add(time.Second)) {
		t.Errorf("after a step back: %v", got)
	}
	if got := o.apply(now.Add(2*time.Second), now.Add(2*time.Second)); !got.Equal(now.Add(2 * time.Second)) {
		t.Errorf("after a step forward: %v", got)
	}
}

// TestLaneSteady: a measurement that turns out to be late is corrected in steps that no player trips over.
func TestLaneSteady(t *testing.T) {
	l := videoLane()
	now := time.Unix(1000, 0)
	ts := uint32(0xfffff000)
	if got := l.steady(ts, now, now); !got.Equal(now) {
		t.Fatalf("the first report says %v", got)
	}
	for i := 1; i <= 20; i++ {
		now = now.Add(5 * time.Second)
		ts += 450000
		want := now.Add(-time.Duration(min(20*i, 150)) * time.Millisecond)
		if got := l.steady(ts, now.Add(-150*time.Millisecond), now); got.Sub(want).Abs() > time.Millisecond {
			t.Fatalf("report %d says %v, want %v", i, got, want)
		}
	}
	if got := l.steady(ts, now.Add(100*time.Millisecond), now); !got.Equal(now.Add(100 * time.Millisecond)) {
		t.Errorf("forward: %v", got)
	}
	if got := l.steady(ts, now.Add(-time.Hour), now); !got.Equal(now.Add(-time.Hour)) {
		t.Errorf("after the clock was set: %v", got)
	}
}
