package rtsp

import (
	"slices"
	"time"

	"github.com/pion/rtp"
)

const (
	// maxGOPPackets and maxGOPBytes bound what is kept of a camera: 2 s at 8 Mbit/s. It must fit a reader's queue.
	maxGOPPackets = 1536
	maxGOPBytes   = 3 << 20
)

// sent is a packet as readers get it.
type sent struct {
	lane *lane
	pkt  *rtp.Packet
	ntp  time.Time
}

// gop keeps everything since the last key picture of one video track, so that a new reader has a picture at once.
// A camera's mutex guards it.
type gop struct {
	items []sent
	bytes int
	// whole says that items begin with a key picture and lack nothing since.
	whole bool
	// unit is where the access unit with timestamp unitTS begins in items; picture says that it holds a picture.
	unit    int
	unitTS  uint32
	picture bool
}

func (g *gop) reset() { *g = gop{} }

// packets returns what a new reader should get first; nothing while there is no whole GOP.
func (g *gop) packets() []sent {
	if !g.whole {
		return nil
	}
	return g.items
}

// addVideo takes the next packet of the track whose key pictures count.
func (g *gop) addVideo(s sent) {
	// Parameter sets may come with a timestamp of their own: a unit without picture goes on.
	if len(g.items) == 0 || (s.pkt.Timestamp != g.unitTS && g.picture) {
		if !g.whole {
			g.drop(len(g.items))
		}
		g.unit = len(g.items)
		g.picture = false
	}
	g.unitTS = s.pkt.Timestamp
	first := !g.picture
	key := false
	for n := range nals(s.lane.format, s.pkt.Payload) {
		key = key || n.kind == nalKey
		g.picture = g.picture || n.kind == nalKey || n.kind == nalSlice
	}
	if key && first {
		g.drop(g.unit)
		g.unit = 0
		g.whole = true
	}
	g.add(s)
}

// addOther takes a packet of another track; it counts only between pictures.
func (g *gop) addOther(s sent) {
	if len(g.items) > 0 {
		g.add(s)
	}
}

func (g *gop) add(s sent) {
	g.items = append(g.items, s)
	g.bytes += len(s.pkt.Payload)
	if len(g.items) > maxGOPPackets || g.bytes > maxGOPBytes {
		// Too long to keep: the next key picture begins anew.
		g.reset()
	}
}

func (g *gop) drop(n int) {
	for _, s := range g.items[:n] {
		g.bytes -= len(s.pkt.Payload)
	}
	g.items = slices.Delete(g.items, 0, n)
}
