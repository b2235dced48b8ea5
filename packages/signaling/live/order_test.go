package live

import (
	"testing"
	"time"

	"porthole/media/rtsp"
)

// picture of a stream: 'I' key, 'P' referred to, 'B' referred to and late, 'b' late and disposable.
func TestOrder(t *testing.T) {
	const frame = 3600
	for name, c := range map[string]struct {
		inOrder bool
		// at says when the pictures are shown, as many frames after the first.
		kinds string
		at    []int64
		// late are those that come late.
		late      string
		reordered bool
	}{
		"no B-frames":              {false, "IPPP", []int64{0, 1, 2, 3}, "....", false},
		"B-frames nobody needs":    {false, "IPbbPbb", []int64{0, 3, 1, 2, 6, 4, 5}, "..bb.bb", false},
		"B-pyramid":                {false, "IPBbbPBbb", []int64{0, 4, 2, 1, 3, 8, 6, 5, 7}, "..Bbb.Bbb", true},
		"open GOP":                 {false, "IPbIbbP", []int64{0, 2, 1, 5, 3, 4, 6}, "..b.bb.", false},
		"set back once, in order":  {true, "IPPPPP", []int64{10, 11, 9, 10, 11, 12}, "..PP..", false},
		"set back far":             {false, "IPPP", []int64{100, 101, 10, 11}, "....", false},
		"parameter sets are wrong": {true, "IPBPBPBPB", []int64{0, 2, 1, 4, 3, 6, 5, 8, 7}, "..B.B.B.B", true},
	} {
		t.Run(name, func(t *testing.T) {
			var o order
			o.track(rtsp.Track{Codec: rtsp.H264, InOrder: c.inOrder})
			got := ""
			for i, k := range c.kinds {
				if late := o.see(c.at[i]*frame, k == 'I', k == 'b', time.Now()); late {
					got += string(k)
				} else {
					got += "."
				}
			}
			if got != c.late || o.reordered != c.reordered {
				t.Errorf("late %s, reordered %v; want %s, %v", got, o.reordered, c.late, c.reordered)
			}
		})
	}
}

// What is known of a camera outlasts a new connection, but not a new encoding.
func TestOrderIsRemembered(t *testing.T) {
	var o order
	track := rtsp.Track{Codec: rtsp.H264, SPS: []byte{1}}
	o.track(track)
	for _, at := range []int64{0, 3, 1} {
		o.see(at*3600, at == 0, false, time.Now())
	}
	if o.track(track); !o.reordered || !o.judged(time.Now()) {
		t.Error("forgotten with the connection")
	}
	// Timestamps begin anew with each.
	if o.see(-90000, false, false, time.Now()) {
		t.Error("the first picture of a connection is late")
	}
	track.SPS = []byte{2}
	if o.track(track); o.reordered || o.judged(time.Now()) {
		t.Error("kept for another encoding")
	}
}
