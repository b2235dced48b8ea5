package rtsp

import "time"

// rateSeconds is over how long rates are taken.
const rateSeconds = 10

// rates counts what came in the last seconds. A camera's mutex guards it.
type rates struct {
	// begin is when counting began, slots holds the seconds since, the one numbered n at n modulo its length.
	begin time.Time
	slots [rateSeconds + 1]slot
}

type slot struct {
	second   int64
	bytes    int
	pictures int
}

func (r *rates) add(now time.Time, bytes, pictures int) {
	if r.begin.IsZero() {
		r.begin = now
	}
	n := int64(now.Sub(r.begin) / time.Second)
	s := &r.slots[n%int64(len(r.slots))]
	if s.second != n {
		*s = slot{second: n}
	}
	s.bytes += bytes
	s.pictures += pictures
}

// of returns the rates of the last ten full seconds, or of those there are; zero in the first one.
func (r *rates) of(now time.Time) (kbitPerSecond, fps float64) {
	if r.begin.IsZero() {
		return 0, 0
	}
	n := int64(now.Sub(r.begin) / time.Second)
	over := min(n, rateSeconds)
	if over == 0 {
		return 0, 0
	}
	var bytes, pictures int
	for _, s := range r.slots {
		if s.second < n && s.second >= n-over {
			bytes += s.bytes
			pictures += s.pictures
		}
	}
	return float64(bytes) * 8 / 1000 / float64(over), float64(pictures) / float64(over)
}

// gopMeter measures from one key picture to the next. A camera's mutex guards it.
type gopMeter struct {
	// begun says that a key picture has come, at timestamp ts, and how many pictures since, with it.
	begun bool
	ts    uint32
	count int
	// pictures and seconds are of the last whole GOP; zero while there was none.
	pictures int
	seconds  float64
}

func (g *gopMeter) add(what seen, ts uint32, clockRate int) {
	switch what {
	case seenKey:
		if g.begun {
			g.pictures, g.seconds = g.count, float64(int32(ts-g.ts))/float64(clockRate)
		}
		g.begun, g.ts, g.count = true, ts, 1
	case seenPicture:
		g.count++
	}
}

// interrupted forgets the GOP under way.
func (g *gopMeter) interrupted() { g.begun = false }
