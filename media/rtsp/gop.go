package rtsp

import "slices"

const (
	// maxGOPPackets and maxGOPBytes bound what is kept of a camera: 4 s at 12 Mbit/s.
	maxGOPPackets = 8192
	maxGOPBytes   = 6 << 20
)

// gop keeps everything since the last key picture of one video track, so that a new reader has a picture at once.
// A camera's mutex guards it.
type gop struct {
	items []*sent
	bytes int
	// whole says that items begin with a key picture and lack nothing since.
	whole bool
	// unit is where the access unit with timestamp unitTS begins in items; picture says that it holds a picture.
	unit    int
	unitTS  uint32
	picture bool
	// number counts the units.
	number uint64
}

// reset forgets the packets; the unit under way goes on.
func (g *gop) reset() { *g = gop{unitTS: g.unitTS, picture: g.picture, number: g.number} }

// packets returns what a new reader should get first; nothing while there is no whole GOP.
func (g *gop) packets() []*sent {
	if !g.whole {
		return nil
	}
	return g.items
}

// seen is what a packet of the track whose key pictures count brought.
type seen int

const (
	seenMore seen = iota
	// seenPicture is the first packet of a picture, seenKey of one that a decoder can start with.
	seenPicture
	seenKey
)

// addVideo takes the next packet of the track whose key pictures count and numbers its unit.
func (g *gop) addVideo(s *sent, payload []byte) seen {
	// Parameter sets may come with a timestamp of their own: a unit without picture goes on.
	if g.number == 0 || (s.ts != g.unitTS && g.picture) {
		if !g.whole {
			g.drop(len(g.items))
		}
		g.unit = len(g.items)
		g.picture = false
		g.number++
		s.first = true
	}
	s.unit = g.number
	g.unitTS = s.ts
	first := !g.picture
	key := false
	for n := range nals(s.lane.format, payload) {
		key = key || n.kind == nalKey
		g.picture = g.picture || n.kind == nalKey || n.kind == nalSlice
	}
	what := seenMore
	if first && g.picture {
		what = seenPicture
	}
	if key && first {
		g.drop(g.unit)
		g.unit = 0
		g.whole = true
		what = seenKey
	}
	g.add(s)
	return what
}

// addOther takes a packet of another track; it counts only between pictures.
func (g *gop) addOther(s *sent) {
	if len(g.items) > 0 {
		g.add(s)
	}
}

func (g *gop) add(s *sent) {
	g.items = append(g.items, s)
	g.bytes += len(s.raw)
	if len(g.items) > maxGOPPackets || g.bytes > maxGOPBytes {
		// Too long to keep: the next key picture begins anew.
		g.reset()
	}
}

func (g *gop) drop(n int) {
	for _, s := range g.items[:n] {
		g.bytes -= len(s.raw)
	}
	g.items = slices.Delete(g.items, 0, n)
}
