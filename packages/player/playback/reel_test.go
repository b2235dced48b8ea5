package playback

import (
	"context"
	"errors"
	"image"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/media/decode"
	"porthole/packages/player/stage"
)

// script is a decoder whose frames have given times.
type script struct {
	info decode.StreamInfo
	end  error

	mu    sync.Mutex // guards what follows
	times []time.Duration
	taken int
}

func (s *script) Next(ctx context.Context) (*decode.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == len(s.times) {
		return nil, s.end
	}
	s.taken++
	return &decode.Frame{Image: image.NewYCbCr(image.Rect(0, 0, 2, 2), image.YCbCrSubsampleRatio420), PTS: s.times[s.taken-1]}, ctx.Err()
}
func (s *script) Info(context.Context) (decode.StreamInfo, error) { return s.info, nil }
func (s *script) Close() error                                    { return nil }

func ms(list ...int) []time.Duration {
	out := make([]time.Duration, len(list))
	for i, n := range list {
		out[i] = time.Duration(n) * time.Millisecond
	}
	return out
}

// TestPacing: each frame comes at the refresh nearest to its time, whatever the rates are and whatever the file says, and
// the video takes as long as its frames do.
func TestPacing(t *testing.T) {
	const interval = 10 * time.Millisecond // 100 Hz
	for name, c := range map[string]struct {
		times   []time.Duration
		rate    float64
		want    []int // refreshes at which a frame comes
		end     time.Duration
		dropped int
	}{
		"25 per second":             {ms(0, 40, 80, 120), 25, []int{0, 4, 8, 12}, 160 * time.Millisecond, 0},
		"it begins late":            {ms(500, 540, 580), 25, []int{0, 4, 8}, 120 * time.Millisecond, 0},
		"30 per second":             {ms(0, 33, 67, 100), 30, []int{0, 3, 7, 10}, 133 * time.Millisecond, 0},
		"200 per second":            {ms(0, 5, 10, 15, 20), 200, []int{0, 1, 2}, 25 * time.Millisecond, 2},
		"times that go back":        {ms(0, 40, 20, 80), 25, []int{0, 4, 10}, 160 * time.Millisecond, 1},
		"all at once":               {ms(0, 0, 0), 25, []int{0, 1}, 40 * time.Millisecond, 1},
		"a step of a day":           {ms(0, 86_400_000, 86_400_040), 25, []int{0, 1000, 1004}, 10_080 * time.Millisecond, 0},
		"one picture":               {ms(0), 0, []int{0}, 40 * time.Millisecond, 0},
		"a rate that is a lie":      {ms(0), 1e-9, []int{0}, 10 * time.Second, 0},
		"seldom, at their own time": {ms(0, 1000, 3000), 25, []int{0, 100, 300}, 5 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{info: decode.StreamInfo{FrameRate: c.rate}, end: io.EOF, times: c.times}
				v := &video{reel: newReel(t.Context(), s), wake: make(chan struct{}, 1)}
				if err := v.reel.primed(t.Context()); err != nil {
					t.Fatal(err)
				}
				const begin = 7 * time.Second
				v.begin(begin)
				var got []int
				dropped, end := 0, time.Duration(0)
				for n := range 2000 {
					synctest.Wait()
					r := stage.Refresh{Time: begin + time.Duration(n)*interval, Interval: interval}
					change, late := v.next(r)
					dropped += late
					if change.Video != nil {
						got = append(got, n)
						change.Video.Release()
					}
					if at, known, err := v.end(r); err != nil {
						t.Fatal(err)
					} else if known {
						end = at - begin
					}
				}
				if !slices.Equal(got, c.want) || end != max(c.end, leastLength) || dropped != c.dropped {
					t.Errorf("frames at %v, %v long, %d dropped; want %v, %v, %d", got, end, dropped, c.want, c.end, c.dropped)
				}
				v.reel.close()
			})
		})
	}
}

// TestEarlyEnd: a file that breaks is shown as far as it goes; then it says why.
func TestEarlyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		v := &video{reel: newReel(t.Context(), &script{end: broken, times: ms(0, 40, 1500)}), wake: make(chan struct{}, 1), length: time.Minute}
		v.begin(0)
		for at := time.Duration(0); ; at += 10 * time.Millisecond {
			synctest.Wait()
			r := stage.Refresh{Time: at, Interval: 10 * time.Millisecond}
			v.next(r)
			end, known, err := v.end(r)
			if at < 1500*time.Millisecond && (err != nil || end != time.Minute || !known) {
				t.Fatalf("at %v: %v, %v, %v", at, end, known, err)
			}
			if err != nil {
				if !errors.Is(err, broken) || at < 1540*time.Millisecond {
					t.Errorf("at %v: %v", at, err)
				}
				break
			}
			if at > 5*time.Second {
				t.Fatal("nobody hears of it")
			}
		}
		v.reel.close()
	})
}
