package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"porthole/media/rtsp"
)

// The clock clip: each picture carries its number in black and white blocks, so that a page can say which one it shows.
const (
	clockWidth, clockHeight = 640, 360
	clockFPS                = 25
	// clockPictures is a loop: two pictures of one number are 10 s apart, so a latency below 5 s is unambiguous.
	clockPictures = 250
	clockGOP      = 50
	// A picture's number has clockBits, behind a white and a black block and before its complement.
	clockBits  = 8
	blockSize  = 32
	blockCount = 2 + 2*clockBits
)

// clockClip is an MPEG-TS clip for rtsp.ServeClip, with the number of each picture by what its slices hold.
type clockClip struct {
	ts      []byte
	numbers map[[32]byte]int
}

// makeClock draws the clip and has ffmpeg encode it.
func makeClock(ctx context.Context, dir string) (*clockClip, error) {
	raw, ts := filepath.Join(dir, "clock.h264"), filepath.Join(dir, "clock.ts")
	encode := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s", fmt.Sprintf("%dx%d", clockWidth, clockHeight),
		"-r", fmt.Sprint(clockFPS), "-i", "-", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
		"-g", fmt.Sprint(clockGOP), "-sc_threshold", "0", "-b:v", "1500k", "-x264-params", "aud=1", raw)
	var film bytes.Buffer
	for n := range clockPictures {
		film.Write(clockPicture(n))
	}
	encode.Stdin = &film
	if out, err := encode.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("encode the clock with ffmpeg: %w\n%s", err, out)
	}
	join := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-y", "-r", fmt.Sprint(clockFPS), "-i", raw, "-f", "lavfi", "-t", fmt.Sprint(clockPictures/clockFPS),
		"-i", "anullsrc=r=48000:cl=mono", "-c:v", "copy", "-c:a", "aac", ts)
	if out, err := join.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("put sound to the clock with ffmpeg: %w\n%s", err, out)
	}
	stream, err := os.ReadFile(raw)
	if err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	c := &clockClip{numbers: map[[32]byte]int{}}
	if c.ts, err = os.ReadFile(ts); err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	for n, nals := range accessUnits(stream) {
		c.numbers[slicesHash(nals)] = n
	}
	if len(c.numbers) != clockPictures {
		return nil, fmt.Errorf("the clock has %d different pictures, want %d", len(c.numbers), clockPictures)
	}
	return c, nil
}

// clockPicture is a gray picture: blocks with the number on top, noise below, so that the encoder has work to do.
func clockPicture(n int) []byte {
	p := make([]byte, clockWidth*clockHeight)
	noise := uint32(n + 1)
	for i := range p {
		noise = noise*1664525 + 1013904223
		p[i] = byte(96 + noise>>26)
	}
	for b := range blockCount {
		white := b == 0
		if bit := b - 2; bit >= 0 && bit < clockBits {
			white = n>>bit&1 == 1
		} else if bit >= clockBits {
			white = n>>(bit-clockBits)&1 == 0
		}
		value := byte(16)
		if white {
			value = 235
		}
		for y := range blockSize {
			for x := range blockSize {
				p[y*clockWidth+b*blockSize+x] = value
			}
		}
	}
	return p
}

// accessUnits splits an Annex B stream (H.264) whose units each begin with a delimiter.
func accessUnits(stream []byte) (units [][][]byte) {
	for _, nal := range bytes.Split(stream, []byte{0, 0, 1})[1:] {
		nal = bytes.TrimRight(nal, "\x00")
		if len(nal) == 0 {
			continue
		}
		if nal[0]&0x1f == 9 {
			units = append(units, nil)
		}
		if len(units) > 0 {
			units[len(units)-1] = append(units[len(units)-1], nal)
		}
	}
	return units
}

// slicesHash is of a picture's slices alone: parameter sets and delimiters come and go on the way.
func slicesHash(nals [][]byte) (sum [32]byte) {
	h := sha256.New()
	for _, n := range nals {
		if kind := n[0] & 0x1f; kind == 1 || kind == 5 {
			h.Write(bytes.TrimRight(n, "\x00"))
		}
	}
	h.Sum(sum[:0])
	return sum
}

// clockTimes notes when each picture came from the camera.
type clockTimes struct {
	clip  *clockClip
	video int
	// pass gets every unit as well; may be nil.
	pass rtsp.Sink

	mu sync.Mutex
	// at is guarded by mu: the last two arrivals of each number.
	at map[int][2]time.Time
}

func (c *clockTimes) Tracks(tracks []rtsp.Track) {
	for i, t := range tracks {
		if t.Kind == rtsp.Video {
			c.video = i
		}
	}
	if c.pass != nil {
		c.pass.Tracks(tracks)
	}
}

func (c *clockTimes) Unit(u rtsp.Unit) {
	now := time.Now()
	if u.Track == c.video {
		if n, ok := c.clip.numbers[slicesHash(u.NALUs)]; ok {
			c.mu.Lock()
			c.at[n] = [2]time.Time{c.at[n][1], now}
			c.mu.Unlock()
		}
	}
	if c.pass != nil {
		c.pass.Unit(u)
	}
}

// latency is from the arrival of the picture that was shown at the given time; false when it is not known.
func (c *clockTimes) latency(number int, shown time.Time) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, at := range c.at[number] {
		if d := shown.Sub(at); !at.IsZero() && d > -time.Second && d < 5*time.Second {
			return d, true
		}
	}
	return 0, false
}
