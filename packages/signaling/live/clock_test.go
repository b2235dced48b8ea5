package live

import "testing"

const second = 90000

func TestVideoClock(t *testing.T) {
	type in struct {
		rtp     uint32
		arrival int64
	}
	for name, c := range map[string]struct {
		in   []in
		want []int64
	}{
		"a steady camera keeps its spacing": {
			[]in{{1000, 500}, {4600, 4100}, {8200, 7700}},
			[]int64{500, 4100, 7700},
		},
		"a late frame keeps its time": {
			[]in{{0, 1000}, {3600, 4600}, {7200, 10000}, {10800, 11800}},
			[]int64{1000, 4600, 8205, 11800},
		},
		"a burst is squeezed and ends at its arrival": {
			[]in{{0, 5000}, {3600, 5010}, {7200, 5020}, {10800, 5030}, {14400, 8630}},
			[]int64{5000, 5090, 5180, 5270, 8630},
		},
		"timestamps wrap": {
			[]in{{0xffffffff - 599, 100}, {3000, 3700}},
			[]int64{100, 3700},
		},
		"a clock that jumps ahead is followed": {
			[]in{{0, 1000}, {3600, 4600}, {3600 * second, 8200}},
			[]int64{1000, 4600, 8200},
		},
		"a clock that jumps back is followed": {
			[]in{{3600 * second, 1000}, {3600*second + 3600, 4600}, {7200, 8200}},
			[]int64{1000, 4600, 8200},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var clock videoClock
			for i, f := range c.in {
				if got := clock.at(f.rtp, f.arrival); got != c.want[i] {
					t.Errorf("frame %d: at %d, want %d", i, got, c.want[i])
				}
			}
		})
	}
}

// A camera that comes back counts from somewhere else; its viewers must not notice.
func TestVideoClockRestart(t *testing.T) {
	var clock videoClock
	clock.at(4e9, 1000)
	clock.at(4e9+3600, 4600)
	clock.restart()
	if got := clock.at(77, 10*second); got != 10*second {
		t.Errorf("after the restart: at %d, want its arrival", got)
	}
	if got := clock.at(77+3600, 10*second+3600); got != 10*second+3600 {
		t.Errorf("second frame: at %d", got)
	}
}

// A camera whose clock is slow by 100 ppm must not fall behind more and more.
func TestVideoClockDrift(t *testing.T) {
	var clock videoClock
	var lag int64
	for i := range int64(25 * 3600) {
		arrival := i * 3600
		lag = arrival - clock.at(uint32(arrival-arrival/10000), arrival)
	}
	if lag > second/100 {
		t.Errorf("an hour later frames are %d ticks behind", lag)
	}
}

func TestAudioClock(t *testing.T) {
	clock := audioClock{}
	// 20 ms packets at 8 kHz that arrive irregularly keep their regular timestamps.
	for i, arrival := range []int64{1000, 1300, 1310, 1500} {
		if got, want := clock.at(uint32(50+160*i), arrival, 2400), int64(1000+160*i); got != want {
			t.Errorf("packet %d: at %d, want %d", i, got, want)
		}
	}
	// A gap longer than the slack moves the mapping to the arrival.
	if got := clock.at(50+160*4, 20000, 2400); got != 20000 {
		t.Errorf("after a gap: at %d, want 20000", got)
	}
	// It never goes back.
	if got := clock.at(50+160*4+8000, 20100, 2400); got != 20100 {
		t.Errorf("after a jump ahead: at %d, want 20100", got)
	}
	if got := clock.at(0, 20000, 2400); got <= 20100 {
		t.Errorf("went back to %d", got)
	}
}
