package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/procfs"

	"porthole/integration/stack"
)

const (
	// playMemory is what player may hold. Its decoders are bounded by themselves; what they hold is looked at all the same.
	playMemory = 150 << 20
	// playEvery is how often their memory is looked at.
	playEvery = 5 * time.Second
)

// soakPlaying has the own screen play a mixed playlist for a while, of which there is a new version now and then. Memory must be
// flat and everything must play.
func soakPlaying(ctx context.Context, bin string, d time.Duration) error {
	dir, err := os.MkdirTemp("", "porthole-playing")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	cam, err := startCamera(ctx)
	if err != nil {
		return err
	}
	defer cam.stop()
	run, err := startStack(ctx, dir, bin, "playing", fmt.Sprintf(
		"[admin]\npassword = %q\n\n[[camera]]\nid = \"door\"\nurl = %q\n", signagePassword, cam.url))
	if err != nil {
		return err
	}
	defer run.Stop()
	u, err := run.NewUser(ctx)
	if err != nil {
		return err
	}
	defer u.Close()
	if status, _, err := u.Post(ctx, "/login", url.Values{"user": {"admin"}, "password": {signagePassword}}); err != nil || status != http.StatusOK {
		return fmt.Errorf("log in: %d, %w", status, err)
	}
	s := soakedPlayer{stack: run, e: u.Editor(), dir: dir}
	if err := s.fill(ctx); err != nil {
		return err
	}
	if err := s.watch(ctx, d); err != nil {
		said := run.Output()
		return fmt.Errorf("%w; Porthole said:\n%s", err, said[max(0, len(said)-4000):])
	}
	return nil
}

type soakedPlayer struct {
	stack *stack.Stack
	e     *stack.Editor
	dir   string
	list  int64
	n     int // versions published
}

// fill makes a playlist of everything and publishes it for all screens.
func (s *soakedPlayer) fill(ctx context.Context) (err error) {
	if s.list, err = s.e.NewPlaylist(ctx, "Mixed"); err != nil {
		return err
	}
	for _, m := range []struct {
		name string
		make func() ([]byte, error)
	}{
		{"1080p.mp4", s.clip("1080p.mp4", "testsrc2=s=1920x1080:r=30:d=5", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M")},
		{"photo.jpg", func() ([]byte, error) { return picture(4000, 3000, "jpeg") }},
		{"720p.mkv", s.clip("720p.mkv", "testsrc2=s=1280x720:r=60:d=5", "-c:v", "libx264", "-preset", "veryfast", "-b:v", "4M")},
		{"hevc.ts", s.clip("hevc.ts", "testsrc2=s=1280x720:r=25:d=3", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")},
		{"page.png", func() ([]byte, error) { return picture(1920, 1080, "png") }},
	} {
		b, err := m.make()
		if err != nil {
			return err
		}
		medium, err := s.e.Upload(ctx, m.name, b, 4<<20)
		if err != nil {
			return fmt.Errorf("upload %s: %w", m.name, err)
		}
		item := url.Values{"kind": {"media"}, "media": {strconv.FormatInt(medium, 10)}}
		if ext := filepath.Ext(m.name); ext == ".jpg" || ext == ".png" {
			item.Set("seconds", "3")
		}
		if err := s.add(ctx, item); err != nil {
			return err
		}
	}
	if err := s.add(ctx, url.Values{"kind": {"camera"}, "camera": {"door"}, "seconds": {"5"}}); err != nil {
		return err
	}
	if err := s.publish(ctx); err != nil {
		return err
	}
	_, _, err = s.e.Post(ctx, "/settings/signage", url.Values{"timezone": {"UTC"}, "default_playlist": {strconv.FormatInt(s.list, 10)}})
	return err
}

func (s *soakedPlayer) add(ctx context.Context, item url.Values) error {
	_, _, err := s.e.Post(ctx, fmt.Sprintf("/playlists/%d/items", s.list), item)
	return err
}

// publish publishes one more text, so that there is something new to switch to.
func (s *soakedPlayer) publish(ctx context.Context) error {
	s.n++
	if err := s.add(ctx, url.Values{"kind": {"text"}, "text": {fmt.Sprintf("Version %d", s.n)}, "seconds": {"2"}}); err != nil {
		return err
	}
	return s.e.Publish(ctx, s.list)
}

// clip makes a video with ffmpeg.
func (s *soakedPlayer) clip(name, source string, args ...string) func() ([]byte, error) {
	return func() ([]byte, error) {
		path := filepath.Join(s.dir, name)
		args := append(append([]string{"-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"}, args...), path)
		if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make a clip with ffmpeg: %w\n%s", err, out)
		}
		return os.ReadFile(path)
	}
}

func picture(w, h int, kind string) ([]byte, error) {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetRGBA(x, y, color.RGBA{uint8(x / 16), uint8(y / 12), uint8((x + y) / 32), 255})
		}
	}
	var b bytes.Buffer
	var err error
	if kind == "jpeg" {
		err = jpeg.Encode(&b, m, nil)
	} else {
		err = png.Encode(&b, m)
	}
	return b.Bytes(), err
}

// playerStatus is what of player's answer counts here.
type playerStatus struct {
	Presented uint64
	Playback  struct {
		Playing  bool
		Version  int64
		Restarts int
		Skipped  []struct{ Name, Reason string }
		Gaps     struct{ Changes, Late, Max uint64 }
	}
}

func (s *soakedPlayer) status(ctx context.Context) (p playerStatus, err error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.stack.State, "run", "player", "player.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://player/status", nil)
	if err != nil {
		return p, fmt.Errorf("ask player: %w", err)
	}
	res, err := c.Do(req)
	if err != nil {
		return p, fmt.Errorf("ask player: %w", err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		return p, fmt.Errorf("read player's answer: %w", err)
	}
	return p, nil
}

// held is the memory of player, and of it and its decoders together, in which shared pages count once.
type held struct{ player, all uint64 }

func (h held) String() string { return fmt.Sprintf("%d MB (player alone %d)", h.all>>20, h.player>>20) }

func (s *soakedPlayer) memory(player int) (h held, err error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return h, fmt.Errorf("list processes: %w", err)
	}
	for _, p := range all {
		st, err := p.Stat()
		if err != nil || st.PPID != player && st.PID != player {
			continue
		}
		m, err := p.ProcSMapsRollup()
		if err != nil {
			if st.PID == player {
				return h, fmt.Errorf("read player's memory: %w", err)
			}
			continue // a decoder that has ended
		}
		h.all += m.Pss
		if st.PID == player {
			h.player = m.Pss
		}
	}
	return h, nil
}

// watch looks at memory for a while. The first quarter is for what is allocated once.
func (s *soakedPlayer) watch(ctx context.Context, d time.Duration) error {
	pids, err := s.stack.PIDs(ctx)
	if err != nil {
		return err
	}
	player := pids["player"]
	var peaks [4]held
	began, last := time.Now(), playerStatus{}
	for n := 0; time.Since(began) < d; n++ {
		if err := wait(ctx, playEvery); err != nil {
			return err
		}
		m, err := s.memory(player)
		if err != nil {
			return err
		}
		peak := &peaks[min(int(4*time.Since(began)/d), 3)]
		peak.player, peak.all = max(peak.player, m.player), max(peak.all, m.all)
		if n%12 != 11 {
			continue
		}
		p, err := s.status(ctx)
		if err != nil {
			return err
		}
		if !p.Playback.Playing || p.Presented <= last.Presented || p.Playback.Restarts > 0 || len(p.Playback.Skipped) > 0 {
			return fmt.Errorf("it does not play as it should: %+v", p)
		}
		last = p
		fmt.Fprintf(os.Stderr, "%s: %v, %d frames, version %d, gaps %+v\n", time.Since(began).Round(time.Second), m, p.Presented, p.Playback.Version, p.Playback.Gaps)
		if n%60 == 59 {
			if err := s.publish(ctx); err != nil {
				return err
			}
		}
	}
	return verdict(peaks)
}

// verdict compares the peaks of the second and the last quarter.
func verdict(peaks [4]held) error {
	if peaks[1].player == 0 || peaks[3].player == 0 {
		return errors.New("too short to say anything: play for some minutes")
	}
	said := fmt.Sprintf("player with its decoders, peak of each quarter: %v, %v, %v, %v", peaks[0], peaks[1], peaks[2], peaks[3])
	most := max(peaks[0].player, peaks[1].player, peaks[2].player, peaks[3].player)
	// The garbage collector's timing alone makes some megabytes, and so does which two decoders are there at once.
	if most > playMemory || peaks[3].all > peaks[1].all*5/4+8<<20 {
		return fmt.Errorf("%s: player has more than %d MB, or it grows", said, playMemory>>20)
	}
	fmt.Fprintln(os.Stdout, said)
	fmt.Fprintln(os.Stdout, "verdict: flat")
	return nil
}
