package live_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"porthole/packages/signaling/live"
)

// crowd lets n browsers watch at once, until each has seen a picture, and then go.
func crowd(t *testing.T, s *live.Server, camera *fakeCamera, n int) {
	t.Helper()
	t.Run("crowd", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var sending sync.WaitGroup
		defer sending.Wait()
		defer stop()
		browsers := make([]*browser, n)
		for i := range browsers {
			browsers[i] = newBrowser(t)
			browsers[i].watch(s, "door")
		}
		sending.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				camera.send(picture(i%10 == 0, byte(i), uint32(i*3600)))
				for range browsers {
					runtime.Gosched()
				}
			}
		})
		for _, b := range browsers {
			b.picture()
		}
		st := s.Status()
		if len(st.Viewers) != n || st.Streams[0].Viewers != n {
			t.Errorf("%d viewers and %d at the stream, want %d", len(st.Viewers), st.Streams[0].Viewers, n)
		}
	})
	eventually(t, "all have left", func() bool { return len(s.Status().Viewers) == 0 })
}

// A hundred viewers of one stream come, see, and go: the camera is read once, and nothing of them stays.
func TestHundredViewers(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, func(c *live.Config) { c.PerCamera, c.Total = 100, 100 })
	settled := func() (heap uint64, goroutines int) {
		// What goroutines that are ending hold goes with the second.
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	crowd(t, s, camera, 5)
	heap, goroutines := settled()
	crowd(t, s, camera, 100)
	eventually(t, "their goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+2 })
	var after uint64
	// 20 KiB of each would be 2 MB.
	eventually(t, "their memory is free", func() bool { after, _ = settled(); return after < heap+2<<20 })
	t.Logf("heap %d KiB before, %d KiB after; %d goroutines before, %d after", heap>>10, after>>10, goroutines, runtime.NumGoroutine())
	if n := camera.plays.Load(); n > 2 {
		t.Errorf("the camera was read %d times", n)
	}
}
