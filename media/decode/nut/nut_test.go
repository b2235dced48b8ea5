package nut_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/decode/nut"
)

const maxSize = 8 << 20

// ffmpeg runs Debian's ffmpeg and returns what it wrote.
func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	bin, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("this test needs ffmpeg: apt-get install ffmpeg")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append([]string{"-hide_banner", "-v", "error"}, args...)...)
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, &log)
	}
	return out.Bytes()
}

// packet is what a test compares.
type packet struct {
	Stream int
	PTS    time.Duration
	Data   []byte
}

func readAll(t *testing.T, data []byte) ([]nut.Stream, []packet) {
	t.Helper()
	r, err := nut.NewReader(chunks{bytes.NewReader(data)}, maxSize)
	if err != nil {
		t.Fatal(err)
	}
	var out []packet
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Streams(), out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) != p.Size {
			t.Fatalf("packet of %d bytes has a size of %d", len(data), p.Size)
		}
		out = append(out, packet{p.Stream, r.Streams()[p.Stream].TimeBase.Duration(p.PTS), data})
	}
}

// chunks gives at most 1000 bytes a read, as a pipe may.
type chunks struct{ r io.Reader }

func (r chunks) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), 1000)]) }

func TestReadsWhatFFmpegWrites(t *testing.T) {
	// Frames at irregular times; 48x48 is small enough for elision headers, 640x360 is not.
	for _, size := range []string{"48x48", "640x360"} {
		t.Run(size, func(t *testing.T) {
			src := fmt.Sprintf("testsrc2=s=%s:r=10:d=8,setpts=N*(N+2)", size)
			args := []string{"-f", "lavfi", "-i", src, "-f", "lavfi", "-i", "sine=d=2", "-fps_mode", "passthrough", "-enc_time_base:v", "1:90000"}
			out := ffmpeg(t, nil, append(args, "-map", "0", "-map", "1", "-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", "-f", "nut", "-")...)
			want := ffmpeg(t, nil, append(args, "-map", "0", "-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-")...)
			streams, packets := readAll(t, out)
			if len(streams) != 2 || streams[0].Class != nut.Video || fmt.Sprintf("%dx%d", streams[0].Width, streams[0].Height) != size ||
				string(streams[0].FourCC[:]) != "I420" || streams[1].SampleRate != 44100 || streams[1].Channels != 1 {
				t.Fatalf("streams %+v", streams)
			}
			var video []byte
			n, samples := 0, 0
			for _, p := range packets {
				if p.Stream == 1 {
					samples += len(p.Data) / 2
					continue
				}
				if want := time.Duration(n*(n+2)) * 100 * time.Millisecond; p.PTS != want {
					t.Errorf("frame %d at %v, want %v", n, p.PTS, want)
				}
				video = append(video, p.Data...)
				n++
			}
			if n != 80 || !bytes.Equal(video, want) {
				t.Errorf("%d frames, pictures equal: %t", n, bytes.Equal(video, want))
			}
			if samples != 88200 {
				t.Errorf("%d samples", samples)
			}
		})
	}
}

func TestFFmpegReadsWhatIsWritten(t *testing.T) {
	var file bytes.Buffer
	base := nut.TimeBase{Num: 1, Den: 90000}
	w, err := nut.NewWriter(&file,
		nut.Stream{Class: nut.Video, FourCC: [4]byte([]byte("I420")), TimeBase: base, Width: 320, Height: 240},
		nut.Stream{Class: nut.Audio, FourCC: [4]byte{'a', 'l', 'a', 'w'}, TimeBase: nut.TimeBase{Num: 1, Den: 8000}, SampleRate: 8000, Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	hour := base.Ticks(time.Hour)
	for i, pts := range []int64{0, 3600, 3601, 90000 * 5, hour, hour + 1} {
		frame := bytes.Repeat([]byte{byte(i + 1)}, 320*240*3/2)
		if err := w.WritePacket(0, pts, true, frame[:1000], frame[1000:]); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("0,%d,%d", pts, len(frame)))
	}
	if err := w.WritePacket(1, 8000*3600+1, true, make([]byte, 160)); err != nil {
		t.Fatal(err)
	}
	want = append(want, fmt.Sprintf("1,%d,160", 8000*3600+1))
	// Sample aspect and checksum columns differ by version: compare stream, pts, size.
	out := ffmpeg(t, file.Bytes(), "-copyts", "-f", "nut", "-i", "pipe:0", "-map", "0", "-c", "copy", "-f", "framecrc", "-")
	var got []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.ReplaceAll(line, " ", ""), ",")
		got = append(got, strings.Join([]string{f[0], f[2], f[4]}, ","))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoundTrip(t *testing.T) {
	var file bytes.Buffer
	w, err := nut.NewWriter(&file, nut.Stream{Class: nut.Video, FourCC: [4]byte([]byte("H264")), TimeBase: nut.TimeBase{Num: 1, Den: 90000}, Width: 2, Height: 2})
	if err != nil {
		t.Fatal(err)
	}
	want := []packet{{0, 0, []byte("first")}, {0, time.Second, nil}, {0, 40 * time.Hour, bytes.Repeat([]byte("N"), 10000)}}
	for _, p := range want {
		if err := w.WritePacket(0, nut.TimeBase{Num: 1, Den: 90000}.Ticks(p.PTS), false, p.Data); err != nil {
			t.Fatal(err)
		}
	}
	_, got := readAll(t, file.Bytes())
	if diff := cmp.Diff(want, got, cmp.Transformer("string", func(b []byte) string { return string(b) })); diff != "" {
		t.Error(diff)
	}
	if err := w.WritePacket(0, -1, true); err == nil {
		t.Error("a negative timestamp was written")
	}
	if _, err := nut.NewWriter(&file, nut.Stream{}); err == nil {
		t.Error("a stream without time base was written")
	}
}

func TestTruncated(t *testing.T) {
	whole := sample(t)
	r, err := nut.NewReader(bytes.NewReader(whole[:len(whole)-1]), maxSize)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		if _, err = r.Next(); err == nil {
			_, err = io.Copy(io.Discard, r)
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut within a packet: %v", err)
	}
	if _, err := nut.NewReader(bytes.NewReader(whole[:60]), maxSize); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut within the headers: %v", err)
	}
	if _, err := nut.NewReader(strings.NewReader(strings.Repeat("x", 100)), maxSize); !errors.Is(err, nut.ErrFormat) {
		t.Errorf("not NUT: %v", err)
	}
	r, err = nut.NewReader(bytes.NewReader(whole), 3)
	if err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, nut.ErrFormat) {
		t.Errorf("packet over the limit: %v", err)
	}
}

func TestTimeBase(t *testing.T) {
	for _, tt := range []struct {
		base  nut.TimeBase
		ticks int64
		want  time.Duration
	}{
		{nut.TimeBase{Num: 1, Den: 90000}, 3003, 33366666},
		{nut.TimeBase{Num: 1001, Den: 30000}, 1, 33366666},
		{nut.TimeBase{Num: 1, Den: 1 << 30}, 1 << 50, 1 << 20 * time.Second},
		{nut.TimeBase{Num: 2, Den: 1}, 5, 10 * time.Second},
	} {
		if got := tt.base.Duration(tt.ticks); got != tt.want {
			t.Errorf("%d × %d/%d s = %v, want %v", tt.ticks, tt.base.Num, tt.base.Den, got, tt.want)
		}
		if got := tt.base.Ticks(tt.want); got != tt.ticks {
			t.Errorf("%v in %d/%d s = %d ticks, want %d", tt.want, tt.base.Num, tt.base.Den, got, tt.ticks)
		}
	}
}

func sample(t testing.TB) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := nut.NewWriter(&file, nut.Stream{Class: nut.Video, FourCC: [4]byte([]byte("H264")), TimeBase: nut.TimeBase{Num: 1, Den: 90000}, Width: 2, Height: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := w.WritePacket(0, int64(i), true, []byte("data")); err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

// FuzzReader: no bytes make the reader panic, run on or hand out more than was there.
func FuzzReader(f *testing.F) {
	whole := sample(f)
	f.Add(whole)
	f.Add(whole[:80])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := nut.NewReader(bytes.NewReader(data), 1<<16)
		total := int64(0)
		for err == nil {
			var p nut.Packet
			if p, err = r.Next(); err != nil {
				break
			}
			if p.Stream >= len(r.Streams()) || p.Size > 1<<16 {
				t.Fatalf("packet %+v", p)
			}
			var n int64
			n, err = io.Copy(io.Discard, r)
			total += n
		}
		if total > 256*int64(len(data)) {
			t.Fatalf("%d bytes of payload from %d bytes", total, len(data))
		}
	})
}
