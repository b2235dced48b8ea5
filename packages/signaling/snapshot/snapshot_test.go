package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/media/rtsp"
	"porthole/packages/signaling/snapshot"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

// clip makes the access units of one GOP of a picture whose left half is red and whose right half is blue.
func clip(t *testing.T, codec rtsp.Codec, args ...string) []rtsp.Unit {
	t.Helper()
	name := "clip.h264"
	isAUD := func(n []byte) bool { return n[0]&31 == 9 }
	if codec == rtsp.H265 {
		name = "clip.hevc"
		isAUD = func(n []byte) bool { return n[0]>>1&63 == 35 }
	}
	b, err := os.ReadFile(decodetest.Clip(t, name, append([]string{
		"-f", "lavfi", "-i", "color=red:s=640x360:r=25:d=1,drawbox=x=320:w=320:h=360:color=blue:t=fill", "-g", "25",
	}, args...)...))
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
			units = append(units, rtsp.Unit{Track: 1, RTPTime: uint32(len(units)) * 3600})
		}
		u := &units[len(units)-1]
		u.NALUs = append(u.NALUs, n)
	}
	return units
}

func open(t *testing.T) func(context.Context, decode.Live) (*decode.Decoder, error) {
	binary := decodetest.Binary(t)
	return func(ctx context.Context, live decode.Live) (*decode.Decoder, error) {
		return decode.Open(ctx, decode.Options{Binary: binary, Live: &live, Frames: 1})
	}
}

// plays is a camera that sends sound and the units, and then nothing more.
func plays(track rtsp.Track, units []rtsp.Unit) func(context.Context, string, rtsp.Sink) error {
	return func(ctx context.Context, _ string, sink rtsp.Sink) error {
		sink.Tracks([]rtsp.Track{{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 48000}, track})
		for _, u := range units {
			if ctx.Err() != nil {
				break
			}
			sink.Unit(rtsp.Unit{Track: 0, Payload: []byte{1}})
			sink.Unit(u)
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

func taker(t *testing.T, cfg snapshot.Config) *snapshot.Taker {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	taker := snapshot.New(ctx, cfg)
	t.Cleanup(func() {
		cancel()
		taker.Wait()
	})
	return taker
}

func near(c color.Color, r, g, b int) bool {
	cr, cg, cb, _ := c.RGBA()
	for _, p := range [][2]int{{int(cr >> 8), r}, {int(cg >> 8), g}, {int(cb >> 8), b}} {
		if d := p[0] - p[1]; d < -12 || d > 12 {
			return false
		}
	}
	return true
}

// halves checks a picture by its colours and size.
func halves(t *testing.T, p snapshot.Picture, w, h int) {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(p.JPEG))
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Bounds().Size(); got != image.Pt(w, h) || p.Width != w || p.Height != h {
		t.Errorf("the picture has %v, said %d×%d, want %d×%d", got, p.Width, p.Height, w, h)
	}
	left, right := m.At(w/4, h/2), m.At(w*3/4, h/2)
	if !near(left, 254, 0, 0) || !near(right, 0, 0, 254) {
		t.Errorf("left is %v, right %v", left, right)
	}
}

// TestCodecs: a picture of every kind of camera, also where the decoder needs more than the key picture, and where the
// parameter sets are in the description only.
func TestCodecs(t *testing.T) {
	var still bytes.Buffer
	m := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for y := range 360 {
		for x := range 640 {
			c := color.RGBA{R: 254, A: 255}
			if x >= 320 {
				c = color.RGBA{B: 254, A: 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	if err := jpeg.Encode(&still, m, nil); err != nil {
		t.Fatal(err)
	}
	aud := []string{"-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "aud=1"}
	h264 := clip(t, rtsp.H264, aud...)
	bare := rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}
	var without []rtsp.Unit
	for _, u := range h264 {
		keep := u
		keep.NALUs = nil
		for _, n := range u.NALUs {
			switch n[0] & 31 {
			case 7:
				bare.SPS = n
			case 8:
				bare.PPS = n
			default:
				keep.NALUs = append(keep.NALUs, n)
			}
		}
		without = append(without, keep)
	}
	for name, c := range map[string]struct {
		track rtsp.Track
		units []rtsp.Unit
	}{
		"H.264":           {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}, h264},
		"H.264, B":        {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}, clip(t, rtsp.H264, "-c:v", "libx264", "-x264-params", "aud=1:bframes=3:b-adapt=0")},
		"H.264, SDP":      {bare, without},
		"H.265":           {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H265, ClockRate: 90000}, clip(t, rtsp.H265, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "aud=1:bframes=0:log-level=none:repeat-headers=1")},
		"H.265, B":        {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H265, ClockRate: 90000}, clip(t, rtsp.H265, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "aud=1:bframes=3:log-level=none:repeat-headers=1")},
		"JPEG":            {rtsp.Track{Kind: rtsp.Video, Codec: "JPEG", ClockRate: 90000}, []rtsp.Unit{{Track: 1, Payload: []byte("noise")}, {Track: 1, Payload: still.Bytes()}}},
		"from the middle": {rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}, append(append([]rtsp.Unit{}, h264[3:]...), h264...)},
	} {
		t.Run(name, func(t *testing.T) {
			taker := taker(t, snapshot.Config{Play: plays(c.track, c.units), Open: open(t)})
			for _, want := range []struct{ asked, w, h int }{{0, 640, 360}, {320, 320, 180}, {329, 320, 180}, {5000, 640, 360}, {16, 16, 9}} {
				p, err := taker.Take(t.Context(), "door", want.asked)
				if err != nil {
					t.Fatal(err)
				}
				halves(t, p, want.w, want.h)
				if since := time.Since(p.Taken); since < 0 || since > time.Minute {
					t.Errorf("taken %v ago", since)
				}
			}
		})
	}
}

// TestOneFlight: however many ask for a camera, it is read once, and once more when the picture is old.
func TestOneFlight(t *testing.T) {
	units := clip(t, rtsp.H264, "-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "aud=1")
	var reads atomic.Int64
	play := plays(rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}, units)
	taker := taker(t, snapshot.Config{
		Open: open(t), Fresh: time.Hour,
		Play: func(ctx context.Context, stream string, sink rtsp.Sink) error {
			reads.Add(1)
			return play(ctx, stream, sink)
		},
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := taker.Take(t.Context(), "door", 0); err != nil {
				t.Errorf("take: %v", err)
			}
		})
	}
	wg.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("the camera was read %d times", n)
	}
	if _, err := taker.Take(t.Context(), "yard", 0); err != nil || reads.Load() != 2 {
		t.Errorf("another camera: %v, read %d times", err, reads.Load())
	}
}

// TestFresh: a picture is good for a second.
func TestFresh(t *testing.T) {
	picture := jpegOf(t)
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		taker := snapshot.New(ctx, snapshot.Config{Log: slog.New(slog.DiscardHandler), Play: func(ctx context.Context, stream string, sink rtsp.Sink) error {
			reads.Add(1)
			return plays(rtsp.Track{Kind: rtsp.Video, Codec: "JPEG"}, []rtsp.Unit{{Track: 1, Payload: picture}})(ctx, stream, sink)
		}})
		for _, wait := range []time.Duration{0, 900 * time.Millisecond, 200 * time.Millisecond} {
			<-time.After(wait)
			if _, err := taker.Take(ctx, "door", 0); err != nil {
				t.Fatal(err)
			}
		}
		if n := reads.Load(); n != 2 {
			t.Errorf("read %d times within 1.1 s, want 2", n)
		}
		cancel()
		taker.Wait()
	})
}

func jpegOf(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 32, 16)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRefused: why there is no picture, within bounds.
func TestRefused(t *testing.T) {
	video := rtsp.Track{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000}
	silent := plays(video, nil)
	noDecoder := func(context.Context, decode.Live) (*decode.Decoder, error) { return nil, errors.New("no such program") }
	never := func(context.Context, decode.Live) (*decode.Decoder, error) {
		return nil, errors.New("this must not be opened")
	}
	for name, c := range map[string]struct {
		play func(context.Context, string, rtsp.Sink) error
		open func(context.Context, decode.Live) (*decode.Decoder, error)
		want error
		says string
	}{
		"unknown":    {func(context.Context, string, rtsp.Sink) error { return rtsp.ErrNoCamera }, never, snapshot.ErrUnknown, ""},
		"offline":    {func(context.Context, string, rtsp.Sink) error { return rtsp.ErrUnavailable }, never, snapshot.ErrOffline, ""},
		"proxy away": {func(context.Context, string, rtsp.Sink) error { return os.ErrNotExist }, never, snapshot.ErrOffline, ""},
		"silent":     {silent, open(t), snapshot.ErrOffline, ""},
		"VP9":        {plays(rtsp.Track{Kind: rtsp.Video, Codec: "VP9"}, nil), never, snapshot.ErrCodec, "VP9"},
		"sound only": {plays(rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.Opus}, nil), never, snapshot.ErrCodec, "no video"},
		"no decoder": {silent, noDecoder, snapshot.ErrDecoder, ""},
		"bad JPEG":   {plays(rtsp.Track{Kind: rtsp.Video, Codec: "JPEG"}, []rtsp.Unit{{Track: 1, Payload: []byte("\xff\xd8rubbish\xff\xd9")}}), never, snapshot.ErrDecoder, ""},
		"not H.264": {plays(video, []rtsp.Unit{{Track: 1, NALUs: [][]byte{{0x67, 1, 2}, {0x68, 1}, {0x65, 0xff, 0xff, 3}}}}), open(t),
			snapshot.ErrOffline, ""}, // a picture that never comes is no picture
	} {
		t.Run(name, func(t *testing.T) {
			taker := taker(t, snapshot.Config{Play: c.play, Open: c.open, Timeout: 2 * time.Second})
			_, err := taker.Take(t.Context(), "door", 0)
			if name == "not H.264" && errors.Is(err, snapshot.ErrDecoder) {
				return // it says so where it notices
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// TestBounds: two cameras at once, so many callers, and a camera nobody waits for any more is left alone.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running := map[string]bool{}
		most := 0
		ctx, cancel := context.WithCancel(t.Context())
		taker := snapshot.New(ctx, snapshot.Config{
			Log: slog.New(slog.DiscardHandler), Waiting: 4,
			Play: func(ctx context.Context, stream string, _ rtsp.Sink) error {
				mu.Lock()
				running[stream] = true
				most = max(most, len(running))
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				delete(running, stream)
				mu.Unlock()
				return ctx.Err()
			},
		})
		callers, leave := context.WithCancel(ctx)
		results := make(chan error, 4)
		for _, stream := range []string{"a", "b", "c", "c"} {
			go func() {
				_, err := taker.Take(callers, stream, 0)
				results <- err
			}()
		}
		synctest.Wait()
		if _, err := taker.Take(ctx, "a", 0); !errors.Is(err, snapshot.ErrBusy) {
			t.Errorf("a fifth caller: %v", err)
		}
		mu.Lock()
		if len(running) != 2 || most != 2 {
			t.Errorf("%d cameras are read, %d at most, want 2", len(running), most)
		}
		mu.Unlock()
		leave()
		for range 4 {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that left: %v", err)
			}
		}
		synctest.Wait()
		mu.Lock()
		if len(running) != 0 {
			t.Errorf("still read: %v", running)
		}
		mu.Unlock()
		// All places are free again; a silent camera ends with the time limit.
		if _, err := taker.Take(ctx, "a", 0); !errors.Is(err, snapshot.ErrOffline) {
			t.Errorf("a silent camera: %v", err)
		}
		cancel()
		taker.Wait()
	})
}
