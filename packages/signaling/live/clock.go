package live

// A timeline counts in ticks of a track's clock since its hub was made. It never wraps and never goes back, however
// often the camera starts anew; viewers add a random offset of their own and cut it to 32 bits.

// frameGap is the least distance between two video frames on the timeline: 1 ms at 90 kHz. Frames that come in a burst
// (a cached GOP) are put this far apart, so that the browser decodes them at once instead of playing them.
const frameGap = 90

// unwrapper turns RTP timestamps (RFC 3550 section 5.1) into a number that does not wrap.
type unwrapper struct {
	last  uint32
	value int64
}

func (u *unwrapper) unwrap(rtp uint32) int64 {
	u.value += int64(int32(rtp - u.last))
	u.last = rtp
	return u.value
}

// videoClock keeps the camera's spacing of frames and follows the fastest frames' arrival: a late frame keeps its
// time, an early one pulls the mapping with it.
type videoClock struct {
	rtp     unwrapper
	offset  int64
	arrival int64
	last    int64
	running bool
}

// restart forgets the camera's clock: the next frame's time is its arrival.
func (c *videoClock) restart() { c.running = false }

// at returns the place on the timeline of a frame that comes after all others, given its arrival there.
func (c *videoClock) at(rtp uint32, arrival int64) int64 { return c.advance(c.place(rtp, arrival)) }

// place returns when a frame is shown: of one that comes out of order, before others that came earlier.
func (c *videoClock) place(rtp uint32, arrival int64) int64 {
	// Two seconds: later than that the camera's clock has jumped.
	const lost = 2 * 90000
	r := c.rtp.unwrap(rtp)
	fastest := arrival - r
	if !c.running || fastest > c.offset+lost {
		c.offset, c.running = fastest, true
	} else {
		// A camera's clock that runs slow lets every frame seem late: give in by one in 1,024 of the time passed.
		c.offset = min(c.offset+(arrival-c.arrival)>>10, fastest)
	}
	c.arrival = arrival
	return r + c.offset
}

// advance returns a frame's place behind all others.
func (c *videoClock) advance(place int64) int64 {
	c.last = max(place, c.last+frameGap)
	return c.last
}

// audioClock keeps the camera's timestamps exactly, because every irregular step is heard, until they are off by more
// than slack.
type audioClock struct {
	rtp     unwrapper
	offset  int64
	last    int64
	running bool
}

// at returns a packet's place on the timeline, given where it should be there.
func (c *audioClock) at(rtp uint32, target, slack int64) int64 {
	r := c.rtp.unwrap(rtp)
	off := target - r - c.offset
	if !c.running || off > slack || off < -slack {
		c.offset, c.running = max(target, c.last+1)-r, true
	}
	c.last = r + c.offset
	return c.last
}
