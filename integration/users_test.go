package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"porthole/gokrazy-instance/hostrun/supervise"
	"porthole/integration/stack"
	"porthole/media/rtsp/rtsptest"
)

// users are the processes with their users (docs/architecture.md).
var users = map[string]int{"system": 0, "proxy": 2001, "signaling": 2002, "player": 2003, "console": 2004}

// video is the group of those who may use the screen.
const video = 2101

// rooted is Porthole as gokrazy starts it: everything as root, each process giving it up by itself.
type rooted struct {
	*stack.Stack
	dir string

	mu  sync.Mutex
	log strings.Builder // guarded by mu
}

func (r *rooted) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// startRooted needs root. system gets a /dev of its own, because it hands real devices over.
func startRooted(t *testing.T, provision string) *rooted {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("giving up root can only be tested as root: run the tests as root, as CI does")
	}
	dir := t.TempDir()
	r := &rooted{dir: dir, Stack: &stack.Stack{State: dir}}
	file := func(name, content string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file("boot/porthole.toml", "[admin]\npassword = \""+password+"\"\n"+provision, 0o600)
	file("run/perm-status.json", `{"state":"repaired","problem":"The storage was damaged and has been repaired.","size_bytes":1}`, 0o644)
	file("bin/system", fmt.Sprintf("#!/bin/sh\nexec unshare -m sh -c 'mount -t tmpfs none /dev && mknod -m 600 /dev/fb0 c 1 3 && exec \"$0\" \"$@\"' %s/real/system \"$@\"\n", dir), 0o755)
	var ports []string
	for i, port := range []*int{&r.HTTPS, &r.HTTP, &r.WSS} {
		// Below 1024, as on a device. Nobody else uses this address.
		*port = 443 + i
		ports = append(ports, net.JoinHostPort("127.0.0.1", strconv.Itoa(*port)))
	}
	// Chromium takes no candidate with port 443 from a private address (libwebrtc, VerifyCandidate).
	const ice = "127.0.0.1:8444"
	args := map[string][]string{
		"system":    {"-gokrazy-socket", dir + "/run/gokrazy-http.sock", "-cpu-governor", ""},
		"proxy":     {"-https", ports[0], "-http", ports[1], "-ice-tcp", ice},
		"signaling": append(decoder(t), "-wss", ports[2], "-ice-udp", ice, "-shared", ports[0], "-loopback"),
		"player":    append(decoder(t), "-display", "offscreen"),
		"console":   decoder(t),
	}
	var commands []supervise.Command
	for name := range users {
		program := filepath.Join(bins, name)
		if slices.Contains(args[name], "-decoder") {
			program = static(t, name)
		}
		b, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		folder := "bin/"
		if name == "system" {
			folder = "real/"
		}
		file(folder+name, string(b), 0o755)
		commands = append(commands, supervise.Command{
			Name: name, Path: filepath.Join(dir, "bin", name), Dir: dir, Home: filepath.Join(dir, "home", name),
			Args: append([]string{"-run", dir + "/run", "-perm", dir + "/perm", "-boot", dir + "/boot"}, args[name]...),
		})
	}
	sup := supervise.New(supervise.Config{Commands: commands, PermDir: dir,
		OnLine: func(process, _, line string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			fmt.Fprintf(&r.log, "%s: %s\n", process, line)
		},
		OnExit: func(string, string) {},
	})
	socket := filepath.Join(dir, "run", "gokrazy-http.sock")
	control, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	api := &http.Server{Handler: sup.Handler()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var serving sync.WaitGroup
	go func() { ended <- sup.Run(ctx) }()
	serving.Go(func() { api.Serve(control) })
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		api.Close()
		serving.Wait()
		if t.Failed() {
			t.Logf("what Porthole said:\n%s", r.said())
		}
	})
	return r
}

// static builds a process as it is in the image. What the race detector is linked to reads the list of its threads in /proc,
// which Landlock denies to a decoder's child.
func static(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "./packages/"+name)
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// decoder names a program that decodes. The image's is static; this machine's ffmpeg, like what the race detector is
// linked to, loads libraries.
func decoder(t *testing.T) []string {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-decoder", path}
	for _, dir := range []string{"/usr/lib", "/usr/local/lib", "/lib", "/lib64", "/etc"} {
		args = append(args, "-decoder-libraries", dir)
	}
	return args
}

// user returns the real, effective, saved and file system user of a process, and its capabilities.
func user(t *testing.T, pid int) (uids, caps string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "Uid":
			uids = strings.Join(strings.Fields(value), " ")
		case "CapEff":
			caps = strings.TrimSpace(value)
		}
	}
	return uids, caps
}

// TestOwnUsers runs everything as on a device, with real users: what people do works, whoever dies comes back, and nobody
// runs into what it has given up.
func TestOwnUsers(t *testing.T) {
	cam := rtsptest.New(t, "cam", "camera secret")
	cam.Publish(t)
	r := startRooted(t, fmt.Sprintf(frontDoor, cam.URL()))
	eventually(t, "console has taken porthole.toml over", func() error {
		b, err := os.ReadFile(filepath.Join(r.dir, "boot/porthole.toml"))
		if err == nil && strings.Contains(string(b), password) {
			err = errors.New("its secrets are still there")
		}
		return err
	})
	var u *stack.User
	eventually(t, "the console answers", func() (err error) {
		u, err = r.NewUser(t.Context())
		return err
	})
	t.Cleanup(u.Close)
	if status, page, err := u.Post(t.Context(), "/login", map[string][]string{"user": {"admin"}, "password": {password}}); err != nil || status != 200 || !strings.Contains(page, "has been repaired") {
		t.Fatalf("log in and see what is wrong with the storage: %d, %v\n%s", status, err, page)
	}
	at, err := u.StreamURL(t.Context(), "door")
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, r.Stack)
	b.do(t, chromedp.Navigate(r.URL("/livestream/viewer?camera=door")))
	b.plays(t, "live picture")

	pids := checkUsers(t, r)
	for name := range users {
		if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all come back", func() error {
		now, err := r.PIDs(t.Context())
		for name := range users {
			if err == nil && (now[name] == 0 || now[name] == pids[name]) {
				err = fmt.Errorf("%s has not yet", name)
			}
		}
		return err
	})
	b.plays(t, "the page goes on")
	eventually(t, "play with ffmpeg", func() error { return frames(t.Context(), at, 10) })
	checkUsers(t, r)
	checkDevice(t, r)
	checkUpload(t, r.Stack, b)
	checkHandover(t, r)
	checkCertificates(t, r)
	checkACME(t, r)

	// A denial that a process gets over is still one that it runs into on every device.
	for line := range strings.Lines(r.said()) {
		if strings.Contains(line, "permission denied") || strings.Contains(line, "not permitted") || strings.Contains(line, "DATA RACE") ||
			strings.Contains(line, "start the decoder") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

func checkUsers(t *testing.T, r *rooted) map[string]int {
	t.Helper()
	pids, err := r.PIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, uid := range users {
		want := strings.TrimSpace(strings.Repeat(strconv.Itoa(uid)+" ", 4))
		wantCaps := map[string]string{"system": "000000000060000b", "player": "0000000000000000", "console": "0000000000000000"}[name]
		if wantCaps == "" {
			wantCaps = "0000000000000400"
		}
		eventually(t, name+" gives up root", func() error {
			if uids, caps := user(t, pids[name]); uids != want || caps != wantCaps {
				return fmt.Errorf("users %s, capabilities %s; want %s, %s", uids, caps, want, wantCaps)
			}
			return nil
		})
	}
	return pids
}

// checkDevice: what only a device has.
func checkDevice(t *testing.T, r *rooted) {
	t.Helper()
	pids, err := r.PIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the screen is handed over", func() error {
		st, err := os.Stat(fmt.Sprintf("/proc/%d/root/dev/fb0", pids["system"]))
		if err != nil {
			return err
		}
		if gid := st.Sys().(*syscall.Stat_t).Gid; gid != video || st.Mode().Perm() != 0o660 {
			return fmt.Errorf("group %d, %v", gid, st.Mode())
		}
		return nil
	})
	beat := filepath.Join(r.dir, "run/system/heartbeat")
	first, err := os.ReadFile(beat)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the heart beats", func() error {
		now, err := os.ReadFile(beat)
		if err == nil && string(now) == string(first) {
			err = errors.New("still the same")
		}
		return err
	})
	for _, name := range []string{"proxy", "signaling", "player", "console"} {
		if !regexp.MustCompile(name + `: .*gave up all privileges but these.*user=` + strconv.Itoa(users[name])).MatchString(r.said()) {
			t.Errorf("%s does not say what it gave up", name)
		}
	}
	r.checkModes(t, map[string]string{
		"perm/console": "2004:2004 drwx------", "perm/console/porthole.db": "2004:2004 -rw-------", "perm/tls": "0:2100 drwxr-x---",
		"perm/tls/device/privkey.pem": "0:2100 -rw-r-----", "perm/system": "0:0 drwx------", "run/proxy": "2001:2001 drwx--x--x",
		"run/proxy/settings.json": "2001:2001 -rw-------", "perm/player": "2003:2003 drwx------", "run/player": "2003:2003 drwx--x--x",
	})
}

// checkModes compares owner, group and mode of files and folders.
func (r *rooted) checkModes(t *testing.T, files map[string]string) {
	t.Helper()
	for path, want := range files {
		st, err := os.Stat(filepath.Join(r.dir, path))
		if err != nil {
			t.Error(err)
			continue
		}
		sys := st.Sys().(*syscall.Stat_t)
		if got := fmt.Sprintf("%d:%d %v", sys.Uid, sys.Gid, st.Mode()); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// checkHandover: proxy may hand connections over, and signaling take them.
func checkHandover(t *testing.T, r *rooted) {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(r.HTTPS)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A STUN binding request (RFC 8489) of a viewer that does not exist, framed for TCP (RFC 4571): signaling hangs up.
	io.WriteString(c, "\x00\x20\x00\x01\x00\x0c\x21\x12\xa4\x42123456789012\x00\x06\x00\x05us:me\x00\x00\x00")
	c.SetReadDeadline(time.Now().Add(30 * time.Second))
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %q, %v", b, err)
	}
	sock := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "run/proxy/proxy.sock"))
	}}}
	res, err := sock.Get("http://proxy/status")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var status struct {
		HTTPS struct {
			Served map[string]int
		}
		Refused map[string]int
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil || status.HTTPS.Served["ice"] == 0 || status.Refused["stun"] != 0 {
		t.Errorf("proxy says it handed over %d and could not %d times; %v", status.HTTPS.Served["ice"], status.Refused["stun"], err)
	}
}
