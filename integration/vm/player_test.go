package vm_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"porthole/integration/stack"
	"porthole/integration/vm"
)

// words is the text item of the tests' playlists.
const words = "Good morning everybody"

// showing is a device whose own screen plays the playlist of its own server.
type showing struct {
	disk string
	m    *vm.Machine
	u    console
	e    *stack.Editor
	// camera is the id of its camera, empty for none.
	camera string
	// list is the playlist's id, items what may be on the screen: codes, "camera", "text".
	list  int64
	items []string
	// switching says that items are of two playlists, of which one takes the other's place.
	switching bool
}

// TestPlayer is the life of a screen that plays: one item of each kind; decoders that are killed; then the power is cut in the middle of
// downloads and of new playlists. From the first item on nothing but items is on the screen.
func TestPlayer(t *testing.T) {
	s := &showing{camera: "yard", disk: newDisk(t, theVMImage(t), 8<<30,
		fmt.Sprintf("[[camera]]\nid = \"yard\"\nurl = %q\nuser = \"cam\"\npassword = \"camera secret\"\n", throughSLIRP(serveCamera(t, "127.0.0.1"))))}
	s.boot(t)
	s.fill(t, oneOfEach...)
	s.watch(t, "every item", 0, s.items...)
	s.report(t)
	s.killDecoders(t)
	s.cutPower(t, *powerCuts)
}

// TestLongPlayerKinds: every format, and a decoder that hangs.
func TestLongPlayerKinds(t *testing.T) {
	t.Parallel()
	s := &showing{disk: newDisk(t, theVMImage(t), 8<<30)}
	s.boot(t)
	s.fill(t)
	s.watch(t, "every item", 0, s.items...)
	s.report(t)
	s.hang(t)
}

// TestLongPlayerTurned: every orientation, for every kind of item.
func TestLongPlayerTurned(t *testing.T) {
	t.Parallel()
	s := &showing{disk: newDisk(t, theVMImage(t), 8<<30)}
	s.boot(t)
	s.fill(t, oneOfEach...)
	for quarters, orientation := range []string{"landscape", "portrait", "landscape-flipped", "portrait-flipped"} {
		s.orient(t, orientation)
		s.watch(t, orientation, quarters, s.items...)
	}
}

// TestLongPlayerAlone: the server is silent and a day goes by: the playlist goes on, also after the power was cut.
func TestLongPlayerAlone(t *testing.T) {
	t.Parallel()
	s := &showing{disk: newDisk(t, theVMImage(t), 8<<30)}
	s.boot(t)
	s.fill(t, oneOfEach...)
	s.watch(t, "every item", 0, s.items...)
	a := s.m.Agent()
	server := find(t, a, "console")
	if err := a.Signal(t.Context(), server.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, by := range []time.Duration{25 * time.Hour, -30 * 24 * time.Hour} {
		if err := a.MoveClock(t.Context(), by); err != nil {
			t.Fatal(err)
		}
		s.watch(t, fmt.Sprintf("every item without a server, the clock moved by %v", by), 0, s.items...)
	}
	if err := a.Signal(t.Context(), server.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.m.Kill()
	s.reboot(t)
	s.watch(t, "every item after the power was cut", 0, s.items...)
}

// throughSLIRP is an address of this machine's loopback as a guest in QEMU's user network has it.
func throughSLIRP(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // our own
	}
	u.Host = "10.0.2.2:" + u.Port()
	return u.String()
}

// boot starts the device, and waits for the console.
func (s *showing) boot(t *testing.T) {
	t.Helper()
	s.m = startVM(t, s.disk)
	s.enter(t)
}

// enter waits for the console and logs in.
func (s *showing) enter(t *testing.T) {
	t.Helper()
	s.u = logIn(t, s.m)
	s.e = &stack.Editor{HTTP: s.u.c, Base: s.u.at}
}

// reboot starts the device, and says how long it takes until something of its playlist is on the screen, and until the console answers.
func (s *showing) reboot(t *testing.T) {
	t.Helper()
	began := time.Now()
	s.m = startVM(t, s.disk)
	s.watch(t, "something that was there before", 0)
	played := time.Since(began)
	s.enter(t)
	t.Logf("from power on it took %v until what was there before was on the screen, and %v until the console answered",
		played.Round(time.Second), time.Since(began).Round(time.Second))
}

// kinds are items of every format, oneOfEach those of a short test.
var (
	kinds = []struct {
		shows code
		name  string
		file  func(*testing.T, code) []byte
	}{
		{"RGBY", "plain.png", func(t *testing.T, c code) []byte { return c.png(t, 320, 200) }},
		{"RRGB", "h264.mp4", func(t *testing.T, c code) []byte { return c.film(t, "a.mp4", "-c:v", "libx264") }},
		{"BRYG", "sideways.jpg", func(t *testing.T, c code) []byte { return c.sideways(t, 320, 200) }},
		{"BBRG", "hevc.ts", func(t *testing.T, c code) []byte {
			return c.film(t, "a.ts", "-c:v", "libx265", "-x265-params", "log-level=none")
		}},
		{"GKMC", "alpha.png", func(t *testing.T, c code) []byte { return c.png(t, 320, 200) }},
		{"GGBR", "vp9.mkv", func(t *testing.T, c code) []byte {
			return c.film(t, "a.mkv", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
		}},
		{"YBGR", "plain.gif", func(t *testing.T, c code) []byte { return c.encoded(t, "a.gif") }},
		{"YYRB", "mpeg4.mp4", func(t *testing.T, c code) []byte { return c.film(t, "a.mp4", "-c:v", "mpeg4", "-q:v", "2") }},
		{"CMRG", "plain.webp", func(t *testing.T, c code) []byte { return c.encoded(t, "a.webp", "-lossless", "1") }},
		{"MCGR", "plain.bmp", func(t *testing.T, c code) []byte { return c.encoded(t, "a.bmp") }},
	}
	oneOfEach = []code{"RGBY", "RRGB", "BRYG"}
)

// itemSeconds is how long each item is shown: QEMU interprets, and the next one has to be ready meanwhile, or it is passed over.
const itemSeconds = "7"

// fill makes and publishes a playlist of the given codes (none: all of them), a text and the camera, if there is one, and makes it everybody's.
func (s *showing) fill(t *testing.T, only ...code) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	if s.list, err = s.e.NewPlaylist(ctx, "All kinds"); err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if len(only) == 0 || slices.Contains(only, k.shows) {
			s.add(ctx, t, k.name, k.file(t, k.shows))
			s.items = append(s.items, string(k.shows))
		}
	}
	s.post(ctx, t, url.Values{"kind": {"text"}, "text": {words}, "seconds": {itemSeconds}})
	s.items = append(s.items, "text")
	if s.camera != "" {
		s.post(ctx, t, url.Values{"kind": {"camera"}, "camera": {s.camera}, "seconds": {itemSeconds}})
		s.items = append(s.items, "camera")
	}
	s.publish(ctx, t)
	t.Logf("a playlist with %d items is published", len(s.items))
}

// publish publishes the playlist, and makes it everybody's.
func (s *showing) publish(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := s.e.Publish(ctx, s.list); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.e.Post(ctx, "/settings/signage", url.Values{"timezone": {"UTC"}, "default_playlist": {strconv.FormatInt(s.list, 10)}}); err != nil {
		t.Fatal(err)
	}
}

// add uploads a file and puts it at the end of the draft.
func (s *showing) add(ctx context.Context, t *testing.T, name string, file []byte) {
	t.Helper()
	medium, err := s.e.Upload(ctx, name, file, 1<<20)
	if err != nil {
		t.Fatalf("upload %s: %v", name, err)
	}
	s.post(ctx, t, url.Values{"kind": {"media"}, "media": {strconv.FormatInt(medium, 10)}, "seconds": {itemSeconds}})
}

func (s *showing) post(ctx context.Context, t *testing.T, item url.Values) {
	t.Helper()
	if _, _, err := s.e.Post(ctx, fmt.Sprintf("/playlists/%d/items", s.list), item); err != nil {
		t.Fatalf("add %v: %v", item, err)
	}
}

// orient hangs the screen another way.
func (s *showing) orient(t *testing.T, how string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askOnce)
	defer cancel()
	// The own screen is the first there was.
	if _, _, err := s.e.Post(ctx, "/screens/1", url.Values{"name": {"own"}, "orientation": {how}, "group": {"0"}, "playlist": {"0"}}); err != nil {
		t.Fatal(err)
	}
}

// look says what is on the screen, as the person in front of a screen that hangs turned sees it.
func (s *showing) look(ctx context.Context, dir string, quarters int) (string, image.Image, error) {
	img, err := s.m.Screen(ctx)
	if err != nil {
		return "", nil, err
	}
	what, err := seen(ctx, dir, hung(img, quarters), words)
	return what, img, err
}

// watch looks at the screen until everything wanted was there. From the first of it on, only items of the playlist may be, in its
// order; of these a screendump now and then may miss one or two.
func (s *showing) watch(t *testing.T, what string, quarters int, wanted ...string) {
	t.Helper()
	dir := t.TempDir()
	var order []string
	missing := slices.Clone(wanted)
	eventually(t, what, func(ctx context.Context) error {
		on, img, err := s.look(ctx, dir, quarters)
		if img == nil {
			return err
		}
		if err != nil || !slices.Contains(s.items, on) {
			if len(order) == 0 {
				return fmt.Errorf("%s is not on the screen yet: %w", what, errors.Join(err, fmt.Errorf("there is %q", on)))
			}
			show(t, "none of it", img)
			st, _ := s.state(ctx)
			t.Fatalf("%s: after %q there is %q on the screen (%v); player says %+v", what, order, on, err, st)
		}
		if n := len(order); n == 0 || order[n-1] != on {
			show(t, on, img)
			if n > 0 {
				s.follows(t, order[n-1], on)
			}
			order = append(order, on)
			if n > 0 && n%len(s.items) == 0 {
				st, _ := s.state(ctx)
				t.Logf("%s: so far there were %q; player says %+v", what, order, st)
			}
		}
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == on })
		if len(missing) > 0 {
			return fmt.Errorf("%q are not seen yet; there were %q", missing, order)
		}
		return nil
	})
	t.Logf("%s: there were %q", what, order)
}

// follows checks the order of two items of which all that lie between were missed.
func (s *showing) follows(t *testing.T, before, after string) {
	t.Helper()
	const missed = 3 // the machine may be busy
	n := len(s.items)
	if s.switching {
		return
	}
	if step := (slices.Index(s.items, after) - slices.Index(s.items, before) + n) % n; step > missed+1 {
		t.Errorf("after %q comes %q, which is not the order of %q", before, after, s.items)
	}
}

const playerSocket = "/run/porthole/player/player.sock"

// state is what player says of itself, as far as it concerns these tests.
type state struct {
	Presented uint64 `json:"presented"`
	Playback  struct {
		Playing bool                             `json:"playing"`
		Version int64                            `json:"version"`
		Item    *struct{ Kind string }           `json:"item"`
		Skipped []struct{ Name, Reason string }  `json:"skipped"`
		Gaps    struct{ Changes, Late, Max int } `json:"gaps"`
	} `json:"playback"`
	Link struct {
		Connected     bool
		Kind, Problem string
		Step, Trust   string
		Fingerprint   string
		Pending       string
		PendingCA     string `json:"pending_ca_fingerprint"`
	} `json:"link"`
}

func (s *showing) state(ctx context.Context) (st state, err error) {
	err = s.m.Agent().Ask(ctx, playerSocket, "/status", &st)
	return st, err
}

// report checks what player says of itself.
func (s *showing) report(t *testing.T) {
	t.Helper()
	eventually(t, "ask player how it goes", func(ctx context.Context) error {
		st, err := s.state(ctx)
		if err != nil {
			return err
		}
		if !st.Playback.Playing || st.Playback.Version == 0 || st.Presented == 0 {
			t.Errorf("player says %+v", st)
		}
		for _, k := range st.Playback.Skipped {
			// A machine that is busy besides cannot help that; what was skipped for ever was never seen.
			if k.Reason != "it was not ready in time" {
				t.Errorf("%s was skipped: %s", k.Name, k.Reason)
			}
		}
		t.Logf("gaps between items, in refreshes, by QEMU's interpreter: %+v", st.Playback.Gaps)
		return nil
	})
}

// decoder waits for a decoder of player.
func (s *showing) decoder(t *testing.T) (pid int) {
	t.Helper()
	a := s.m.Agent()
	player := find(t, a, "player").PID
	eventually(t, "find player's decoder", func(ctx context.Context) error {
		pids, err := a.Find(ctx, "ffmpeg-porthole", player)
		if err == nil && len(pids) == 0 {
			err = errors.New("it has none")
		}
		if err == nil {
			pid = pids[0]
		}
		return err
	})
	return pid
}

// killDecoders kills decoders, whatever they do: the playlist goes on.
func (s *showing) killDecoders(t *testing.T) {
	t.Helper()
	for range 3 {
		// It may have ended meanwhile.
		_ = s.m.Agent().Kill(t.Context(), s.decoder(t))
	}
	s.watch(t, "a film and a picture after decoders were killed", 0, "RRGB", "BRYG")
}

// hang stops a decoder in its tracks: the playlist goes on without it.
func (s *showing) hang(t *testing.T) {
	t.Helper()
	_ = s.m.Agent().Signal(t.Context(), s.decoder(t), syscall.SIGSTOP)
	// What comes before it and behind it.
	s.watch(t, "pictures while a decoder hangs", 0, "RGBY", "YBGR", "MCGR", "text")
}

// cutPower cuts the power, again and again, while another playlist is published, downloaded and switched to. At the next start nothing
// but the old or the new one is on the screen, and in the end the new one is.
func (s *showing) cutPower(t *testing.T, cuts int) {
	t.Helper()
	s.switching = true
	for cut := range cuts {
		old, fresh := s.items, []string{string(version(cut)), "RRGB"}
		s.replace(t, cut)
		moment := time.NewTimer(rand.N(5 * time.Second))
		select {
		case <-moment.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		s.m.Kill()
		s.e.HTTP.CloseIdleConnections()
		s.items = append(slices.Clone(old), fresh...)
		s.reboot(t)
		s.watch(t, fmt.Sprintf("playlist %d after power cut %d", cut+1, cut+1), 0, fresh...)
		s.items = fresh
	}
	s.watch(t, "nothing but the last", 0, s.items...)
	switchOff(t, s.m)
}

// version is the picture in the n-th of these playlists.
func version(n int) code {
	const letters = "RGBYCM"
	at := func(i int) byte { return letters[i%len(letters)] }
	return code([]byte{'W', at(n), at(n/len(letters) + 1), at(n + 2)})
}

// replace publishes a playlist with a new picture, large enough to be downloaded for a while, and a film that was there before.
func (s *showing) replace(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	if s.list, err = s.e.NewPlaylist(ctx, fmt.Sprintf("Power cut %d", n+1)); err != nil {
		t.Fatal(err)
	}
	s.add(ctx, t, fmt.Sprintf("version-%d.png", n), version(n).grainy(t, 640, 400))
	s.add(ctx, t, fmt.Sprintf("film-%d.mp4", n), code("RRGB").film(t, "a.mp4", "-c:v", "libx264"))
	s.publish(ctx, t)
}
