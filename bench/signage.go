package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
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
	signagePassword = "measure-me-please"
	// screens poll, downloaders fetch a video at once.
	screens, downloaders = 1000, 50
	videoBytes           = 64 << 20
	// pollEvery leaves room below the 60 requests a minute that a player has.
	pollEvery = 1050 * time.Millisecond
)

//go:embed seed.py
var seed string

// besideSignage measures the signage server: a thousand screens that poll, fifty that download, and what its pages weigh.
// The floor is one program that serves the same bytes as files over TLS.
func besideSignage(ctx context.Context, dir, bin string, p plan) error {
	run, err := signageStack(ctx, dir, bin)
	if err != nil {
		return err
	}
	defer run.Stop()
	t := newTable()
	if err := signageLoad(ctx, t, dir, run, p.perStep); err != nil {
		said := run.Output()
		return fmt.Errorf("%w; Porthole said:\n%s", err, said[max(0, len(said)-4000):])
	}
	if p.tries > 0 {
		if err := openPages(ctx, t, run, min(p.tries, 5)); err != nil {
			return fmt.Errorf("open the pages: %w", err)
		}
	}
	return t.print(os.Stdout)
}

// signageStack starts a device that has screens: it must have been started once to have a database.
func signageStack(ctx context.Context, dir, bin string) (*stack.Stack, error) {
	run, err := startStack(ctx, dir, bin, "signage", fmt.Sprintf("[admin]\npassword = %q\n", signagePassword))
	if err != nil {
		return nil, err
	}
	run.Stop()
	cmd := exec.CommandContext(ctx, "python3", "-c", seed, filepath.Join(run.State, "perm"), strconv.Itoa(screens), strconv.Itoa(videoBytes))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("fill the database (install the Debian package python3): %w: %s", err, &stderr)
	}
	return startStack(ctx, dir, bin, "signage", "")
}

// station is a server that screens poll and download from.
type station struct {
	name, addr string
	// host stands in the requests.
	host string
	// poll and video are the paths for a screen.
	poll, video func(screen int) string
	pids        map[string]int
}

func signageLoad(ctx context.Context, t *table, dir string, run *stack.Stack, d time.Duration) error {
	porthole, err := portholeStation(ctx, run)
	if err != nil {
		return err
	}
	floor, stop, err := floorStation(ctx, dir, run, porthole)
	if err != nil {
		return err
	}
	defer stop()
	// In turn and twice, so that what else the machine does meets both.
	for range 2 {
		for _, s := range []*station{porthole, floor} {
			if err := pollAll(ctx, t, s, d); err != nil {
				return fmt.Errorf("poll %s: %w", s.name, err)
			}
			if err := downloadAll(ctx, t, s); err != nil {
				return fmt.Errorf("download from %s: %w", s.name, err)
			}
		}
	}
	return nil
}

func portholeStation(ctx context.Context, run *stack.Stack) (*station, error) {
	pids, err := run.PIDs(ctx)
	if err != nil {
		return nil, err
	}
	s := &station{
		name: "Porthole", addr: run.Addr(), host: run.Addr(),
		poll: func(n int) string { return "/api/playlists/" + strconv.Itoa(1000+n) },
		pids: map[string]int{"proxy": pids["proxy"], "console": pids["console"]},
	}
	videos := make([]string, downloaders+1)
	for n := 1; n <= downloaders; n++ {
		if videos[n], err = videoOf(ctx, s, n); err != nil {
			return nil, err
		}
	}
	s.video = func(n int) string { return videos[n] }
	return s, nil
}

// videoOf reads the path of a screen's video from its playlist.
func videoOf(ctx context.Context, s *station, n int) (string, error) {
	_, body, err := fetchOnce(ctx, s, n, s.poll(n))
	if err != nil {
		return "", err
	}
	var list struct {
		Playlist []struct{ URL string }
	}
	if err := json.Unmarshal(body, &list); err != nil || len(list.Playlist) != 10 {
		return "", fmt.Errorf("screen %d has no playlist of ten items: %.200s (%w)", n, body, err)
	}
	at, err := url.Parse(list.Playlist[0].URL)
	if err != nil {
		return "", fmt.Errorf("read the address of a video: %w", err)
	}
	return at.RequestURI(), nil
}

// floorStation serves a playlist and the video as files over TLS, from a process of its own.
func floorStation(ctx context.Context, dir string, run *stack.Stack, like *station) (*station, func(), error) {
	files := filepath.Join(dir, "floor")
	if err := os.Mkdir(files, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make a folder: %w", err)
	}
	_, body, err := fetchOnce(ctx, like, 1, like.poll(1))
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(files, "playlist.json"), body, 0o600); err != nil {
		return nil, nil, fmt.Errorf("keep a playlist: %w", err)
	}
	media, err := filepath.Glob(filepath.Join(run.State, "perm/console/media/*"))
	if err != nil || len(media) != 1 {
		return nil, nil, fmt.Errorf("there are %d media: %w", len(media), err)
	}
	if err := os.Link(media[0], filepath.Join(files, "video.mp4")); err != nil {
		return nil, nil, fmt.Errorf("link the video: %w", err)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	addr := "localhost:" + strconv.Itoa(ports[0])
	cmd, stop, err := launch(ctx, dir, self, "-static", addr, "-files", files, "-tls", filepath.Join(run.State, "perm/tls/device"))
	if err != nil {
		return nil, nil, err
	}
	s := &station{
		name: "floor: files over TLS", addr: addr, host: addr, pids: map[string]int{"it": cmd.Process.Pid},
		poll: func(int) string { return "/playlist.json" }, video: func(int) string { return "/video.mp4" },
	}
	if err := waitFor(ctx, func() error {
		_, _, err := fetchOnce(ctx, s, 1, s.poll(1))
		return err
	}); err != nil {
		stop()
		return nil, nil, err
	}
	return s, stop, nil
}

// serveStatic is the floor's process.
func serveStatic(addr, files, tlsDir string) error {
	srv := &http.Server{Addr: addr, Handler: http.FileServer(http.Dir(files)), ReadHeaderTimeout: 10 * time.Second}
	return srv.ListenAndServeTLS(filepath.Join(tlsDir, "fullchain.pem"), filepath.Join(tlsDir, "privkey.pem"))
}

// request is what screen n sends.
func (s *station) request(n int, path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer bench-code-%d\r\nUser-Agent: Kiwy-Signage-Player/1.0\r\nAccept: */*\r\n\r\n", path, s.host, n)
}

// fetchOnce asks on a connection of its own.
func fetchOnce(ctx context.Context, s *station, n int, path string) (int, []byte, error) {
	c, err := dialScreen(ctx, s, n)
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	res, err := c.ask(s.request(n, path))
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.200s", path, res.Status, body)
	}
	return res.StatusCode, body, err
}

// memoryOf adds up what processes hold alone and their parts of what they share (PSS), in bytes.
func memoryOf(pids map[string]int) (map[string]uint64, error) {
	out := map[string]uint64{}
	for name, pid := range pids {
		p, err := procfs.NewProc(pid)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", name, err)
		}
		m, err := p.ProcSMapsRollup()
		if err != nil {
			return nil, fmt.Errorf("read the memory of %s: %w", name, err)
		}
		out[name] = m.Pss
	}
	return out, nil
}
