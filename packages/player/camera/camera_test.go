package camera_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/media/rtsp"
	"porthole/packages/player/camera"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

// clip makes access units, 25 a second, with the RTP times of their showing.
func clip(t *testing.T, codec rtsp.Codec, args ...string) []rtsp.Unit {
	t.Helper()
	name := "clip.h264"
	isAUD := func(n []byte) bool { return n[0]&31 == 9 }
	if codec == rtsp.H265 {
		name = "clip.hevc"
		isAUD = func(n []byte) bool { return n[0]>>1&63 == 35 }
	}
	b, err := os.ReadFile(decodetest.Clip(t, name, append([]string{"-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-g", "25"}, args...)...))
	if err != nil {
		t.Fatal(err)
	}
	var units []rtsp.Unit
	for n := range bytes.SplitSeq(b, []byte{0, 0, 1}) {
		n = bytes.TrimRight(n, "\x00")
		if len(n) == 0 {
			continue
		}
		if isAUD(n) {
			units = append(units, rtsp.Unit{RTPTime: uint32(len(units)) * 3600})
		}
		u := &units[len(units)-1]
		u.NALUs = append(u.NALUs, n)
	}
	if len(units) != 50 {
		t.Fatalf("%d units", len(units))
	}
	return units
}

// watch runs a Watcher over a camera that sends units and then nothing, and returns the times of its pictures.
func watch(t *testing.T, track rtsp.Track, units []rtsp.Unit, want int) (w *camera.Watcher, times []time.Duration) {
	t.Helper()
	binary := decodetest.Binary(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var once sync.Once
	enough := make(chan struct{})
	w = camera.New(camera.Config{
		Log: slog.New(slog.DiscardHandler), Camera: "door",
		Play: func(ctx context.Context, _ string, sink rtsp.Sink) error {
			sink.Tracks([]rtsp.Track{{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 48000}, track})
			for _, u := range units {
				if ctx.Err() != nil {
					break
				}
				u.Track = 1
				sink.Unit(u)
				sink.Unit(rtsp.Unit{Track: 0, Payload: []byte("sound")})
			}
			<-ctx.Done()
			return ctx.Err()
		},
		Open: func(ctx context.Context, live decode.Live) (*decode.Decoder, error) {
			return decode.Open(ctx, decode.Options{Binary: binary, Live: &live})
		},
		Show: func(p camera.Picture) {
			defer p.Release()
			mu.Lock()
			defer mu.Unlock()
			times = append(times, p.PTS)
			if s := w.State(); s.Pictures+s.Late >= want {
				once.Do(func() { close(enough) })
			}
		},
	})
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx) })
	select {
	case <-enough:
	case <-time.After(60 * time.Second):
		t.Errorf("only %+v", w.State())
	}
	cancel()
	wg.Wait()
	return w, times
}

// TestPictures: cameras of both codecs are shown to the last picture, also when they only describe their parameter sets.
func TestPictures(t *testing.T) {
	h264 := clip(t, rtsp.H264, "-c:v", "libx264", "-tune", "zerolatency", "-x264-params", "aud=1:scenecut=0")
	described := rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}
	bare := make([]rtsp.Unit, len(h264))
	for i, u := range h264 {
		bare[i].RTPTime = u.RTPTime
		for _, n := range u.NALUs {
			switch n[0] & 31 {
			case 7:
				described.SPS = n
			case 8:
				described.PPS = n
			default:
				bare[i].NALUs = append(bare[i].NALUs, n)
			}
		}
	}
	h265 := clip(t, rtsp.H265, "-c:v", "libx265", "-x265-params", "aud=1:bframes=0:scenecut=0:keyint=25:min-keyint=25:open-gop=0:log-level=none")
	for name, c := range map[string]struct {
		track rtsp.Track
		units []rtsp.Unit
		codec string
	}{
		"H.264":            {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}, h264, "h264"},
		"H.264, described": {described, bare, "h264"},
		"H.265":            {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H265, ClockRate: 90000}, h265, "hevc"},
	} {
		t.Run(name, func(t *testing.T) {
			w, times := watch(t, c.track, c.units, 50)
			s := w.State()
			if s.Codec != c.codec || s.Width != 320 || s.Height != 180 || s.Problem != "" || s.Failures != 0 || s.Connections != 0 || s.LastPicture.IsZero() {
				t.Errorf("state %+v", s)
			}
			if d := times[len(times)-1] - times[0]; d > 49*40*time.Millisecond {
				t.Errorf("the pictures last %v", d)
			}
		})
	}
}

// TestReordered: a camera with B-frames is begun again with a decoder that puts its pictures in order.
func TestReordered(t *testing.T) {
	units := clip(t, rtsp.H264, "-c:v", "libx264", "-bf", "2", "-x264-params", "aud=1:scenecut=0:b-pyramid=none:b-adapt=0")
	// They come as I P B B P B B …
	for i := range units {
		at := i
		switch {
		case i%25 == 0:
		case i%25%3 == 1:
			at = i + 2
		default:
			at = i - 1
		}
		units[i].RTPTime = uint32(at) * 3600
	}
	w, times := watch(t, rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}, units, 40)
	if s := w.State(); s.Failures != 0 || s.Connections != 0 {
		t.Errorf("state %+v", s)
	}
	// Beginning again is the only step back.
	back := 0
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			back++
		}
	}
	if back > 1 {
		t.Errorf("%d pictures come after later ones: %v", back, times)
	}
}

// TestWhy: why there are no pictures is said in words for the camera's owner, and it is tried again until there are.
func TestWhy(t *testing.T) {
	video := func(c rtsp.Codec) []rtsp.Track { return []rtsp.Track{{Kind: rtsp.Video, Codec: c, ClockRate: 90000}} }
	for name, c := range map[string]struct {
		tracks []rtsp.Track
		err    error
		open   error
		want   string
	}{
		"no such camera": {err: rtsp.ErrNoCamera, want: "no camera of that name"},
		"offline":        {err: rtsp.ErrUnavailable, want: "does not answer"},
		"proxy is down":  {err: errors.New("connection refused"), want: "the camera proxy does not answer"},
		"silent":         {want: "sends nothing"},
		"MJPEG":          {tracks: video("M-JPEG"), want: "sends M-JPEG"},
		"sound only":     {tracks: []rtsp.Track{{Kind: rtsp.Audio, Codec: rtsp.AAC}}, want: "sends no video"},
		"no decoder":     {tracks: video(rtsp.H264), open: os.ErrNotExist, want: "decoder cannot be started"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				attempts := 0
				w := camera.New(camera.Config{
					Log: slog.New(slog.DiscardHandler), Camera: "door",
					Play: func(ctx context.Context, id string, sink rtsp.Sink) error {
						attempts++
						if id != "door" {
							t.Errorf("camera %q is played", id)
						}
						if c.tracks != nil {
							sink.Tracks(c.tracks)
							sink.Unit(rtsp.Unit{NALUs: [][]byte{idr}})
						}
						if c.err != nil {
							return c.err
						}
						<-ctx.Done()
						return ctx.Err()
					},
					Open: func(context.Context, decode.Live) (*decode.Decoder, error) { return nil, c.open },
					Show: func(camera.Picture) { t.Error("a picture") },
				})
				var wg sync.WaitGroup
				wg.Go(func() { w.Run(ctx) })
				<-time.After(5 * time.Second)
				synctest.Wait()
				if s := w.State(); !strings.Contains(s.Problem, c.want) {
					t.Errorf("problem %q, want %q", s.Problem, c.want)
				}
				<-time.After(time.Minute)
				cancel()
				wg.Wait()
				if attempts < 3 || attempts > 40 {
					t.Errorf("%d attempts in a minute", attempts)
				}
			})
		})
	}
}
