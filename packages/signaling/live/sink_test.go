package live

import (
	"testing"
	"testing/synctest"
	"time"

	"porthole/media/rtsp"
	"porthole/packages/internal/retry"
)

// TestLipSync: a camera whose sound arrives 300 ms before its picture, and whose connection is uneven. On the timeline they are
// together, as its reports say.
func TestLipSync(t *testing.T) {
	for name, late := range map[string]time.Duration{"picture late": 300 * time.Millisecond, "sound late": -240 * time.Millisecond, "together": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHub(discard(), "door", nil)
				h.stop = func() {}
				var worst time.Duration
				s := &sink{hub: h, clock: &videoClock{}}
				sound := rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.PCMU, ClockRate: 8000, Channels: 1}
				s.Tracks(append([]rtsp.Track{sound}, oneTrack...))
				began := time.Now()
				v := &Viewer{audio: &outTrack{}, video: &outTrack{}, queue: make(chan []*frame, 10), events: make(chan Event, 16)}
				h.viewers[v] = struct{}{}
				// When what was taken at a time is on the timeline.
				picture, heard := map[time.Duration]time.Duration{}, map[time.Duration]time.Duration{}
				take := func(to map[time.Duration]time.Duration, at time.Duration, rate int) {
					for len(v.queue) > 0 {
						to[at] = duration((<-v.queue)[0].ticks, rate)
					}
				}
				for n := range 500 {
					jitter := time.Duration(n*7%5) * time.Millisecond
					retry.Pause(t.Context(), time.Until(began.Add(time.Duration(n)*20*time.Millisecond+jitter+time.Second)))
					at := time.Duration(n) * 20 * time.Millisecond
					if p := at - max(late, 0); p >= 0 && n%2 == 0 {
						s.Unit(rtsp.Unit{Track: 1, RTPTime: uint32(ticks(p, 90000)), NTP: began.Add(p), NALUs: [][]byte{idr}})
						take(picture, p, 90000)
					}
					if a := at - max(-late, 0); a >= 0 {
						s.Unit(rtsp.Unit{Track: 0, RTPTime: uint32(ticks(a, 8000)), NTP: began.Add(a), Payload: []byte{1}})
						take(heard, a, 8000)
					}
				}
				compared := 0
				for at, p := range picture {
					if a, ok := heard[at]; ok && at > time.Second {
						worst = max(worst, (p - a).Abs())
						compared++
					}
				}
				if compared < 100 || worst > 60*time.Millisecond {
					t.Errorf("%d compared, the worst is %v off", compared, worst)
				}
			})
		})
	}
}
