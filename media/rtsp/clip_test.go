package rtsp

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/media/samples"
)

func TestParseClip(t *testing.T) {
	c, err := parseClip(samples.Demo())
	if err != nil {
		t.Fatal(err)
	}
	if got := ticksToDuration(c.length); got != 8*time.Second {
		t.Errorf("a round lasts %v", got)
	}
	count := map[Codec]int{}
	for _, s := range c.samples {
		count[codecOf(s.track.format)]++
	}
	if count[H264] != 200 || count[AAC] != 375 {
		t.Errorf("samples: %v", count)
	}
	if got := trackStatus(c.tracks[0].media, order{}); got.Detail != "1280×720 main" {
		t.Errorf("video is described as %q", got.Detail)
	}
}

func TestParseClipRefuses(t *testing.T) {
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte(strings.Repeat("no clip ", 100)), "a cut off one": samples.Demo()[:2000]} {
		if _, err := parseClip(data); err == nil || !strings.Contains(err.Error(), "read clip") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClipGoesOn plays three rounds: timestamps go on over the seams, in step with the clock.
func TestClipGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := parseClip(samples.Demo())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*8*time.Second+time.Second)
		defer cancel()
		begin := time.Now()
		last := map[Codec]uint32{}
		pictures := 0
		err = c.play(ctx, func(s sample, offset int64, due time.Time) error {
			if late := time.Since(due); late < 0 || late > time.Millisecond {
				t.Fatalf("written %v late", late)
			}
			pkts, err := s.packets(offset)
			if err != nil {
				return err
			}
			codec, ts := codecOf(s.track.format), pkts[0].Timestamp
			step, clock := uint32(3600), 90000.0
			if codec == AAC {
				step, clock = 1024, 48000
			} else {
				pictures++
			}
			if before, ok := last[codec]; ok && ts != before+step {
				t.Fatalf("%s: timestamp %d after %d, %v from the beginning", codec, ts, before, time.Since(begin))
			}
			last[codec] = ts
			if off := float64(ts)/clock - time.Since(begin).Seconds(); off < -0.001 || off > 0.001 {
				t.Fatalf("%s: %.3f s off the clock", codec, off)
			}
			return nil
		})
		if err != nil || pictures < 620 {
			t.Errorf("%d pictures, %v", pictures, err)
		}
	})
}
