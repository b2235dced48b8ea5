package live

import "slices"

// frame is one access unit or audio packet, packetised once for all viewers. Nothing in it changes after it was made.
type frame struct {
	audio bool
	// key means that decoding can start here.
	key bool
	// ticks is the place on the track's timeline.
	ticks    int64
	payloads [][]byte
	// converted means that it comes from a conversion, not from the camera.
	converted bool
	// raw is what a conversion takes, and shown where on the timeline it is shown.
	raw   [][]byte
	shown int64
}

func (f *frame) size() int {
	n := 0
	parts := f.payloads
	if parts == nil {
		parts = f.raw
	}
	for _, p := range parts {
		n += len(p)
	}
	return n
}

// Bounds of a cached GOP: ten seconds at 60 frames a second, or an 8 Mbit/s camera's six seconds. A longer GOP is
// dropped, and who joins waits for its end.
const (
	maxGOPFrames = 600
	maxGOPBytes  = 6 << 20
)

// gop holds the frames since the last one that decoding can start at.
type gop struct {
	frames []*frame
	bytes  int
}

func (g *gop) add(f *frame) {
	switch {
	case f.key:
		g.drop()
	case len(g.frames) == 0:
		return
	}
	g.frames = append(g.frames, f)
	g.bytes += f.size()
	if len(g.frames) > maxGOPFrames || g.bytes > maxGOPBytes {
		g.drop()
	}
}

func (g *gop) drop() {
	clear(g.frames)
	g.frames, g.bytes = g.frames[:0], 0
}

// squeezed returns the cached frames, frameGap apart, ending at the time of the newest.
func (g *gop) squeezed() []*frame {
	frames := slices.DeleteFunc(slices.Clone(g.frames), func(f *frame) bool { return f.payloads == nil })
	for i := range frames {
		f := *frames[i]
		f.ticks = frames[len(frames)-1].ticks - int64(len(frames)-1-i)*frameGap
		frames[i] = &f
	}
	return frames
}
