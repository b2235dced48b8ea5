package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"porthole/integration/stack"
	"porthole/media/rtsp"
)

// clipFrames is the length of the measured clip: ten seconds of 1080p30.
const clipFrames = 300

// makeClip writes a 1080p30 clip as a camera sends it: H.264 without B-frames at 4 Mbit/s, and sound.
func makeClip(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-y",
		"-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=10", "-f", "lavfi", "-i", "sine=sample_rate=48000:d=10",
		"-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "60", "-keyint_min", "60",
		"-sc_threshold", "0", "-x264-params", "open-gop=0:aud=1:repeat-headers=1", "-b:v", "4M", "-maxrate", "5M", "-bufsize", "5M",
		"-c:a", "aac", "-b:a", "64k", "-ac", "1", "-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a 1080p30 clip with ffmpeg: %w\n%s", err, out)
	}
	return nil
}

// onScreen shows a 1080p30 camera on the off-screen display and reports the processor's time per frame shown, of player
// and of its decoder, beside that of the same decoder throwing its pictures away.
func onScreen(ctx context.Context, t *table, dir, bin string, perStep time.Duration) error {
	clip := filepath.Join(dir, "clip.ts")
	if err := makeClip(ctx, clip); err != nil {
		return err
	}
	data, err := os.ReadFile(clip)
	if err != nil {
		return fmt.Errorf("read the clip: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the camera: %w", err)
	}
	camera, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- rtsp.ServeClip(camera, slog.New(slog.DiscardHandler), l, data, "hd", "", "") }()
	defer func() {
		stop()
		<-served //nolint:errcheck // it was told to end
	}()
	run, err := startStack(ctx, dir, bin, "screen", fmt.Sprintf(
		"[admin]\npassword = \"measure-me-please\"\n\n[[camera]]\nid = \"hd\"\nurl = \"rtsp://%s/hd\"\n\n[player]\nshow = \"camera\"\ncamera = \"hd\"\n", l.Addr()))
	if err != nil {
		return err
	}
	defer run.Stop()
	pids, err := run.PIDs(ctx)
	if err != nil {
		return err
	}
	s := screen{stack: run, pid: pids["player"]}
	decoder, err := s.measure(ctx, t, perStep)
	if err != nil {
		return err
	}
	return onlyDecode(ctx, t, decoder, clip)
}

type screen struct {
	stack *stack.Stack
	pid   int
}

// presented asks player how many frames it has shown, once the camera is on the screen.
func (s screen) presented(ctx context.Context) (frames uint64, err error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.stack.State, "run", "player", "player.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://player/status", nil)
	if err != nil {
		return 0, fmt.Errorf("ask player: %w", err)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask player: %w", err)
	}
	defer res.Body.Close()
	var status struct {
		Showing   string
		Presented uint64
		Problems  []string
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return 0, fmt.Errorf("read player's answer: %w", err)
	}
	if status.Showing != "camera" {
		return 0, fmt.Errorf("player shows %q: %q", status.Showing, status.Problems)
	}
	return status.Presented, nil
}

// child returns player's decoder: its process and program.
func (s screen) child() (pid int, program string, err error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return 0, "", fmt.Errorf("list processes: %w", err)
	}
	for _, p := range all {
		st, err := p.Stat()
		if err != nil || st.PPID != s.pid {
			continue
		}
		if program, err = p.Executable(); err == nil {
			return p.PID, program, nil
		}
	}
	return 0, "", errors.New("player has no decoder running")
}

// measure holds the camera on the screen for a while, and returns which program decodes.
func (s screen) measure(ctx context.Context, t *table, d time.Duration) (decoder string, err error) {
	var pid int
	if err := waitFor(ctx, func() error {
		if _, err := s.presented(ctx); err != nil {
			return err
		}
		pid, decoder, err = s.child()
		return err
	}); err != nil {
		return "", err
	}
	// The start, with its hurry through the camera's cached pictures, does not count.
	if err := wait(ctx, 3*time.Second); err != nil {
		return "", err
	}
	type sample struct {
		frames          uint64
		player, decoder usage
	}
	take := func() (x sample, err error) {
		if x.frames, err = s.presented(ctx); err != nil {
			return x, err
		}
		if x.player, err = usageOf([]int{s.pid}); err != nil {
			return x, err
		}
		x.decoder, err = usageOf([]int{pid})
		return x, err
	}
	from, err := take()
	if err != nil {
		return "", err
	}
	if err := wait(ctx, d); err != nil {
		return "", err
	}
	to, err := take()
	if err != nil {
		return "", err
	}
	frames := float64(to.frames - from.frames)
	if frames < 1 {
		return "", errors.New("no frame was shown")
	}
	decode, show := to.decoder.cpu-from.decoder.cpu, to.player.cpu-from.player.cpu
	t.set(value, "1080p30 camera on the screen: frames per second shown", fmt.Sprintf("%.1f", frames/to.player.at.Sub(from.player.at).Seconds()))
	t.set(value, "… processor time per frame, decoder", perFrame(decode, frames))
	t.set(value, "… processor time per frame, player (RTSP, scaling, drawing)", perFrame(show, frames))
	t.set(value, "… memory, decoder / player (RSS)", mebibytes(to.decoder.rss)+" / "+mebibytes(to.player.rss))
	return decoder, nil
}

func perFrame(cpu time.Duration, frames float64) string {
	return ms(time.Duration(float64(cpu) / frames))
}

// onlyDecode has the same decoder decode the same clip and throw the pictures away.
func onlyDecode(ctx context.Context, t *table, decoder, clip string) error {
	cmd := exec.CommandContext(ctx, decoder, "-hide_banner", "-v", "error", "-nostdin", "-stats", "-i", clip, "-map", "0:v", "-f", "null", "-")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("decode the clip: %w\n%s", err, out.Bytes())
	}
	if !strings.Contains(out.String(), "frame=  "+strconv.Itoa(clipFrames)) {
		return fmt.Errorf("the decoder did not decode %d frames: %s", clipFrames, out.Bytes())
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	t.set(value, "… the same decoder with -f null", perFrame(cpu, clipFrames))
	return nil
}
