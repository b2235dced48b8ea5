package decode_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// camera makes the access units of a live stream, 25 a second, a key picture every second.
func camera(t testing.TB, codec decode.Codec, seconds string, args ...string) []decode.Unit {
	t.Helper()
	name, encoder := "a.h264", []string{"-c:v", "libx264", "-tune", "zerolatency", "-x264-params", "aud=1:scenecut=0"}
	isAUD := func(nal []byte) bool { return nal[0]&31 == 9 }
	isKey := func(nal []byte) bool { return nal[0]&31 == 5 }
	if codec == decode.H265 {
		name, encoder = "a.hevc", []string{"-c:v", "libx265", "-x265-params", "aud=1:bframes=0:scenecut=0:keyint=25:min-keyint=25:open-gop=0:log-level=none:repeat-headers=1"}
		isAUD = func(nal []byte) bool { return nal[0]>>1&63 == 35 }
		isKey = func(nal []byte) bool { k := nal[0] >> 1 & 63; return k == 19 || k == 20 }
	}
	all := append([]string{"-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=" + seconds, "-g", "25", "-preset", "ultrafast"}, encoder...)
	data := read(t, decodetest.Clip(t, name, append(all, args...)...))
	var units []decode.Unit
	for nal := range bytes.SplitSeq(data, []byte{0, 0, 1}) {
		nal = bytes.TrimRight(nal, "\x00")
		if len(nal) == 0 {
			continue
		}
		if isAUD(nal) {
			units = append(units, decode.Unit{PTS: time.Duration(len(units)) * 40 * time.Millisecond})
		}
		u := &units[len(units)-1]
		u.Key = u.Key || isKey(nal)
		u.Data = append(u.Data, nal)
	}
	return units
}

func openLive(t testing.TB, live decode.Live, change ...func(*decode.Options)) *decode.Decoder {
	t.Helper()
	opts := decode.Options{Binary: decodetest.Binary(t), Live: &live}
	for _, c := range change {
		c(&opts)
	}
	d, err := decode.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestLiveLatency: each picture comes out before the next one is sent, with the time it was sent with.
func TestLiveLatency(t *testing.T) {
	for _, codec := range []decode.Codec{decode.H264, decode.H265} {
		t.Run(string(codec), func(t *testing.T) {
			units := camera(t, codec, "2")
			if len(units) != 50 || !units[25].Key {
				t.Fatalf("%d units", len(units))
			}
			d := openLive(t, decode.Live{Codec: codec})
			// As from a camera that has been up for a day.
			const day = 24 * time.Hour
			for i, u := range units {
				u.PTS += day
				if err := d.Send(u); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				f, err := d.Next(ctx)
				cancel()
				if err != nil {
					t.Fatalf("picture %d: %v", i, err)
				}
				if f.PTS != u.PTS {
					t.Fatalf("picture %d has the time %v, want %v", i, f.PTS, u.PTS)
				}
				f.Release()
			}
			info, err := d.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.Width != 640 || info.Height != 360 || info.Duration != 0 {
				t.Errorf("info %+v", info)
			}
		})
	}
}

// TestLiveReorder: a camera with B-frames, its pictures in the order of showing.
func TestLiveReorder(t *testing.T) {
	units := camera(t, decode.H264, "2", "-tune", "film", "-bf", "2", "-x264-params", "aud=1:scenecut=0:b-pyramid=none:b-adapt=0")
	// Decoding order I P B B P B B …: times as a camera gives them.
	for i := range units {
		at := i
		switch {
		case i%25 == 0:
		case i%25%3 == 1:
			at = i + 2
		default:
			at = i - 1
		}
		units[i].PTS = time.Duration(at) * 40 * time.Millisecond
	}
	d := openLive(t, decode.Live{Codec: decode.H264, Reorder: true})
	for _, u := range units {
		if err := d.Send(u); err != nil {
			t.Fatal(err)
		}
	}
	last := -time.Second
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		f, err := d.Next(ctx)
		cancel()
		if err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		if f.PTS <= last {
			t.Errorf("picture %d at %v comes after one at %v", i, f.PTS, last)
		}
		last = f.PTS
		f.Release()
	}
}

// TestLiveStart: pictures before the first key picture are left out; a picture without content is no reason to end.
func TestLiveStart(t *testing.T) {
	units := camera(t, decode.H264, "2")
	d := openLive(t, decode.Live{Codec: decode.H264})
	for _, u := range units[20:] {
		if err := d.Send(u); err != nil {
			t.Fatal(err)
		}
	}
	f, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.PTS != units[25].PTS || d.Skipped() != 5 {
		t.Errorf("first picture at %v, %d skipped", f.PTS, d.Skipped())
	}
	f.Release()
	if err := d.Send(decode.Unit{PTS: -1}); err == nil {
		t.Error("a negative time was taken")
	}
}

// TestLiveLag: a decoder whose frames nobody takes is not fed for ever; when they are taken again it starts over from a key picture.
func TestLiveLag(t *testing.T) {
	units := camera(t, decode.H264, "2")
	d := openLive(t, decode.Live{Codec: decode.H264}, func(o *decode.Options) { o.Frames = 1 })
	f, last := (*decode.Frame)(nil), time.Duration(0)
	const rounds = 40
	for round := range rounds {
		for _, u := range units {
			u.PTS += time.Duration(round) * 2 * time.Second
			last = u.PTS
			if err := d.Send(u); err != nil {
				t.Fatal(err)
			}
		}
		if f == nil { // keep the only buffer
			var err error
			if f, err = d.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if d.Skipped() < rounds*50/2 {
		t.Errorf("only %d of %d skipped", d.Skipped(), rounds*50)
	}
	for n := 0; f.PTS != last; n++ {
		f.Release()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		var err error
		if f, err = d.Next(ctx); err != nil {
			t.Fatalf("%d pictures on: %v", n, err)
		}
		cancel()
	}
	f.Release()
}

// TestLiveQuiet: a camera that sends nothing is not a decoder that hangs; one that sends and shows nothing is.
func TestLiveQuiet(t *testing.T) {
	units := camera(t, decode.H264, "2")
	d := openLive(t, decode.Live{Codec: decode.H264}, func(o *decode.Options) { o.FrameTimeout = 300 * time.Millisecond })
	if err := d.Send(units[0]); err != nil {
		t.Fatal(err)
	}
	f, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := d.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("quiet camera: %v", err)
	}
	// Slices of nothing.
	for i := range 40 {
		if err := d.Send(decode.Unit{PTS: time.Hour + time.Duration(i), Data: [][]byte{{0x09, 0xf0}}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.Next(t.Context())
	var item *decode.Error
	if !errors.As(err, &item) {
		t.Errorf("camera without pictures: %v", err)
	}
	if err := d.Send(units[0]); !errors.Is(err, item) {
		t.Errorf("send after the end: %v", err)
	}
}

// TestSendToFile: a decoder for a file takes no units.
func TestSendToFile(t *testing.T) {
	d := open(t, decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264"))
	if err := d.Send(decode.Unit{}); err == nil {
		t.Error("it took one")
	}
}
