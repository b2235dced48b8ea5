package rtsp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/google/go-cmp/cmp"
)

// slowReader is a backlog that a camera feeds with pictures of four packets, every fifth of them a key picture, and sound.
type slowReader struct {
	backlog
	now   time.Time
	gop   gop
	video *lane
	sound *lane
	unit  uint32
	size  int
	got   []string
	most  int
}

func newSlowReader(size int) *slowReader {
	return &slowReader{
		now: time.Unix(1000, 0), size: size, video: videoLane(),
		sound: &lane{index: 1, track: 1, media: &description.Media{Type: description.MediaTypeAudio}, format: &format.Opus{}},
	}
}

// picture feeds a picture and a packet of sound, and lets time pass.
func (r *slowReader) picture(after time.Duration) {
	kind := byte(0x41)
	if r.unit%5 == 0 {
		kind = 0x65
	}
	for i := range 4 {
		raw := make([]byte, r.size)
		raw[0] = kind
		s := &sent{lane: r.video, ts: r.unit, seq: uint16(4*r.unit) + uint16(i), raw: raw}
		var resume []*sent
		if r.gop.addVideo(s, raw) == seenKey {
			resume = r.gop.packets()
		}
		r.push(s, resume, r.now)
		r.most = max(r.most, r.bytes)
	}
	a := &sent{lane: r.sound, ts: r.unit, raw: make([]byte, 100), first: true}
	r.gop.addOther(a)
	r.push(a, nil, r.now)
	r.unit++
	r.now = r.now.Add(after)
}

// read takes n packets of video, and all sound on the way; -1 takes all.
func (r *slowReader) read(n int) {
	for n != 0 {
		s := r.take(1 << 20)
		if s == nil {
			return
		}
		if s.lane == r.video {
			r.got = append(r.got, fmt.Sprintf("%d.%d", s.ts, s.seq%4))
			n--
		}
	}
}

// decodes checks that what was read is whole pictures, each after the one before or a key picture, and returns the gaps.
func (r *slowReader) decodes(t *testing.T) (gaps int) {
	t.Helper()
	if len(r.got)%4 != 0 {
		t.Fatalf("%d packets are no whole pictures", len(r.got))
	}
	before := -1
	for i := 0; i < len(r.got); i += 4 {
		var unit int
		if _, err := fmt.Sscan(strings.Split(r.got[i], ".")[0], &unit); err != nil {
			t.Fatal(err)
		}
		want := []string{}
		for p := range 4 {
			want = append(want, fmt.Sprintf("%d.%d", unit, p))
		}
		if d := cmp.Diff(want, r.got[i:i+4]); d != "" {
			t.Fatal(d)
		}
		if before >= 0 && unit != before+1 {
			gaps++
			if unit%5 != 0 {
				t.Fatalf("picture %d after %d", unit, before)
			}
		}
		before = unit
	}
	return gaps
}

func TestBacklogKeepsUp(t *testing.T) {
	r := newSlowReader(1000)
	for range 100 {
		r.picture(40 * time.Millisecond)
		r.read(-1)
	}
	if gaps := r.decodes(t); gaps != 0 || len(r.got) != 400 || r.dropped != 0 || r.gaps != 0 || cap(r.items) > 2*smallQueue {
		t.Errorf("%d gaps, %d packets, %d dropped, room for %d", gaps, len(r.got), r.dropped, cap(r.items))
	}
}

// TestBacklogStalls has a reader stop in every packet of a picture and go on much later: it has lost whole pictures, and
// what it gets is recent.
func TestBacklogStalls(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		pause time.Duration
	}{{"by time", 100, 40 * time.Millisecond}, {"by bytes", 100_000, time.Millisecond}} {
		for in := range 4 {
			t.Run(fmt.Sprintf("%s in packet %d", tt.name, in), func(t *testing.T) {
				r := newSlowReader(tt.size)
				for range 8 {
					r.picture(tt.pause)
				}
				r.read(5*4 + in)
				for range 1000 {
					r.picture(tt.pause)
				}
				if limit := hardBytes + 4*tt.size; r.most > limit {
					t.Errorf("up to %d bytes waited", r.most)
				}
				if r.len() > 1200 {
					t.Errorf("%d packets wait", r.len())
				}
				r.read(-1)
				r.picture(tt.pause)
				for range 10 {
					r.picture(tt.pause)
					r.read(-1)
				}
				if gaps := r.decodes(t); gaps == 0 || gaps > int(r.gaps) || r.dropped == 0 {
					t.Errorf("%d gaps, %d counted, %d packets dropped", gaps, r.gaps, r.dropped)
				}
				if last := r.got[len(r.got)-1]; last != fmt.Sprintf("%d.3", r.unit-1) {
					t.Errorf("the last packet is %s of %d pictures", last, r.unit)
				}
			})
		}
	}
}

// TestBacklogWithoutGOP begins in the middle of a GOP that is not kept: nothing comes before the key picture, and nothing
// counts as missed.
func TestBacklogWithoutGOP(t *testing.T) {
	r := newSlowReader(100)
	r.picture(0)
	r.picture(0)
	r.start(nil, true, r.now)
	for range 10 {
		r.picture(40 * time.Millisecond)
		r.read(-1)
	}
	if r.decodes(t); len(r.got) == 0 || r.got[0] != "5.0" || r.dropped != 0 || r.gaps != 0 {
		t.Errorf("%v, %d dropped, %d gaps", r.got, r.dropped, r.gaps)
	}
}

// TestBacklogWithoutKeys: an intra-refresh stream has no key pictures, and goes on all the same.
func TestBacklogWithoutKeys(t *testing.T) {
	r := newSlowReader(100)
	r.start(nil, true, r.now)
	for range 200 {
		r.unit += max(1-min(r.unit%5, 1), 0) // never a multiple of five
		r.picture(40 * time.Millisecond)
		r.read(-1)
	}
	if len(r.got) < 100 {
		t.Errorf("%d packets", len(r.got))
	}
}

// TestBacklogSound: a stalled reader of sound alone has bounded memory and goes on with what is new.
func TestBacklogSound(t *testing.T) {
	var q backlog
	l := newSlowReader(0).sound
	now := time.Unix(1000, 0)
	for i := range uint32(100_000) {
		q.push(&sent{lane: l, ts: i, raw: make([]byte, 200), first: true}, nil, now)
		now = now.Add(20 * time.Millisecond)
	}
	if q.len() > 300 || q.gaps != 1 || q.dropped < 99_000 {
		t.Errorf("%d wait, %d gaps, %d dropped", q.len(), q.gaps, q.dropped)
	}
	for q.take(1000) != nil {
	}
	q.push(&sent{lane: l, ts: 1, raw: make([]byte, 200), first: true}, nil, now)
	if q.len() != 1 {
		t.Error("the next packet does not come")
	}
}

func TestTallyPut(t *testing.T) {
	var c tally
	b := make([]byte, 100)
	for range 3 {
		c.put(b, &sent{raw: append([]byte{0x80}, make([]byte, 31)...)})
	}
	report := make([]byte, reportSize)
	if n := c.put(b, &sent{raw: report, report: true}); n != reportSize || b[23] != 3 || b[27] != 60 || report[23] != 0 {
		t.Errorf("%d bytes: % x", n, b[:n])
	}
}

func TestRates(t *testing.T) {
	var r rates
	start := time.Unix(1000, 0)
	for i := range 25 * 30 {
		r.add(start.Add(time.Duration(i)*40*time.Millisecond), 5000, 1)
	}
	if kbit, fps := r.of(start.Add(30 * time.Second)); kbit != 1000 || fps != 25 {
		t.Errorf("%v kbit/s, %v fps", kbit, fps)
	}
	if kbit, fps := r.of(start.Add(35 * time.Second)); kbit != 500 || fps != 12.5 {
		t.Errorf("after five seconds without: %v kbit/s, %v fps", kbit, fps)
	}
	if kbit, fps := r.of(start.Add(time.Hour)); kbit != 0 || fps != 0 {
		t.Errorf("an hour later: %v kbit/s, %v fps", kbit, fps)
	}
	r = rates{}
	for i := range 75 {
		r.add(start.Add(time.Duration(i)*40*time.Millisecond), 5000, 1)
	}
	if kbit, fps := r.of(start.Add(3 * time.Second)); kbit != 1000 || fps != 25 {
		t.Errorf("after three seconds: %v kbit/s, %v fps", kbit, fps)
	}
}

func TestGOPMeter(t *testing.T) {
	var g gopMeter
	ts := uint32(0xffff0000)
	for i := range 120 {
		what := seenPicture
		if i%50 == 0 {
			what = seenKey
		}
		g.add(what, ts, 90000)
		g.add(seenMore, ts, 90000)
		ts += 3600
	}
	if g.pictures != 50 || g.seconds != 2 {
		t.Errorf("%d pictures, %v s", g.pictures, g.seconds)
	}
}
