package live

import "testing"

func picture(key bool, ticks int64, size int) *frame {
	return &frame{key: key, ticks: ticks, payloads: [][]byte{make([]byte, size)}}
}

func TestGOPStartsAtKeyFrame(t *testing.T) {
	var g gop
	g.add(picture(false, 1, 10))
	if len(g.frames) != 0 {
		t.Fatal("a GOP started without a key frame")
	}
	g.add(picture(true, 3600, 100))
	g.add(picture(false, 7200, 10))
	g.add(picture(true, 10800, 100))
	g.add(picture(false, 14400, 10))
	g.add(picture(false, 18000, 10))
	got := g.squeezed()
	if len(got) != 3 || !got[0].key {
		t.Fatalf("%d frames, the first a key frame: %v; want the last GOP's 3", len(got), got[0].key)
	}
	for i, want := range []int64{18000 - 180, 18000 - 90, 18000} {
		if got[i].ticks != want {
			t.Errorf("frame %d at %d, want %d", i, got[i].ticks, want)
		}
	}
	if g.frames[0].ticks != 10800 {
		t.Error("squeezing changed the cache")
	}
}

func TestGOPIsBounded(t *testing.T) {
	for name, size := range map[string]int{"frames": 1, "bytes": 1 << 20} {
		var g gop
		g.add(picture(true, 0, size))
		for i := range maxGOPFrames + 1 {
			g.add(picture(false, int64(i), size))
		}
		if len(g.frames) != 0 || g.bytes != 0 {
			t.Errorf("%s: %d frames, %d bytes are kept", name, len(g.frames), g.bytes)
		}
		g.add(picture(true, 0, 1))
		if len(g.frames) != 1 {
			t.Errorf("%s: the next key frame is not kept", name)
		}
	}
}
