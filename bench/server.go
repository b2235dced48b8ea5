package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"porthole/integration/stack"
)

// server is one of the measured programs, with the camera configured as "demo".
type server struct {
	name string
	// pids are the processes whose CPU and memory count.
	pids []int
	// front is the one of several processes that serves RTSP.
	front []int
	// dial reaches its RTSP (Porthole: in TLS), dialPlain the same port without.
	dial           func(context.Context) (net.Conn, error)
	dialPlain      func(context.Context) (net.Conn, error)
	user, password string
	// whep is the URL to post offers to; authorize prepares the request.
	whep      string
	authorize func(*http.Request)
	stop      func()
	// page shows the camera in a browser; enter logs the browser in, nil where there is no login.
	page  string
	enter func(*chromium) error
	// parts are the process ids by name, of several processes.
	parts map[string]int
}

func launch(ctx context.Context, dir, path string, args ...string) (*exec.Cmd, func(), error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", path, err)
	}
	return cmd, func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
		cmd.Wait()                          //nolint:errcheck // how it ends after SIGTERM does not matter
	}, nil
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func startPorthole(ctx context.Context, dir, bin, cameraURL string) (*server, error) {
	const password = "measure-me-please"
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, fmt.Errorf("find the programs: %w", err)
	}
	config, err := filepath.Abs("gokrazy-instance/pi/config.json")
	if err != nil {
		return nil, fmt.Errorf("find the process list: %w", err)
	}
	run, err := stack.Start(ctx, stack.Options{
		Bin: bin, Config: config, Dir: dir,
		Provision: fmt.Sprintf("[admin]\npassword = %q\n\n[[camera]]\nid = \"bench\"\nurl = %q\n", password, cameraURL),
		// The measured question is what many viewers cost, not where the limit is.
		Args: []string{"-arg", "signaling=-max-viewers=200", "-arg", "signaling=-max-viewers-per-camera=200"},
	})
	if err != nil {
		return nil, err
	}
	s, err := portholeServer(ctx, run, password)
	if err != nil {
		run.Stop()
		return nil, err
	}
	return s, nil
}

func portholeServer(ctx context.Context, run *stack.Stack, password string) (*server, error) {
	user, err := run.NewUser(ctx)
	if err != nil {
		return nil, err
	}
	defer user.Close()
	if _, _, err := user.Post(ctx, "/login", url.Values{"user": {"admin"}, "password": {password}}); err != nil {
		return nil, err
	}
	at, err := user.StreamURL(ctx, "bench")
	if err != nil {
		return nil, err
	}
	pids, err := run.PIDs(ctx)
	if err != nil {
		return nil, err
	}
	streamPassword, _ := at.User.Password()
	// The certificate is checked by the tests; here the question is speed.
	insecure := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // loopback measurement
	s := &server{
		name: "Porthole", user: at.User.Username(), password: streamPassword, stop: run.Stop,
		dial: func(ctx context.Context) (net.Conn, error) {
			return (&tls.Dialer{Config: insecure}).DialContext(ctx, "tcp", run.Addr())
		},
		dialPlain: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", run.Addr())
		},
		whep:      run.URL("/cameras/bench/whep"),
		authorize: func(r *http.Request) { r.SetBasicAuth(at.User.Username(), streamPassword) },
		page:      run.URL("/livestream/viewer?camera=bench"),
		enter:     func(b *chromium) error { return b.logIn(run.URL(""), "admin", password) },
		parts:     pids,
	}
	for name, pid := range pids {
		s.pids = append(s.pids, pid)
		if name == "proxy" {
			s.front = append(s.front, pid)
		}
	}
	return s, nil
}

func startMediaMTX(ctx context.Context, dir, _, cameraURL string) (*server, error) {
	path := os.Getenv("MEDIAMTX")
	if path == "" {
		return nil, nil
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "mediamtx.yml")
	content := fmt.Sprintf(`
rtspAddress: 127.0.0.1:%d
rtspTransports: [tcp]
webrtcAddress: 127.0.0.1:%d
webrtcLocalUDPAddress: 127.0.0.1:%d
webrtcAdditionalHosts: [127.0.0.1]
rtmp: no
hls: no
srt: no
moq: no
paths:
  bench:
    source: %s
    sourceOnDemand: yes
`, ports[0], ports[1], ports[2], cameraURL)
	return startPeer(ctx, dir, "MediaMTX", path, config, content, []string{config}, ports[0], fmt.Sprintf("http://127.0.0.1:%d/bench/whep", ports[1]), fmt.Sprintf("http://127.0.0.1:%d/bench/", ports[1]))
}

func startGo2RTC(ctx context.Context, dir, _, cameraURL string) (*server, error) {
	path := os.Getenv("GO2RTC")
	if path == "" {
		return nil, nil
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "go2rtc.yaml")
	content := fmt.Sprintf(`
api: {listen: "127.0.0.1:%d"}
rtsp: {listen: "127.0.0.1:%d"}
webrtc: {listen: "127.0.0.1:%d", candidates: ["127.0.0.1:%d"], filters: {loopback: true}}
streams: {bench: "%s"}
`, ports[1], ports[0], ports[2], ports[2], cameraURL)
	return startPeer(ctx, dir, "go2rtc", path, config, content, []string{"-config", config}, ports[0], fmt.Sprintf("http://127.0.0.1:%d/api/webrtc?src=bench", ports[1]), fmt.Sprintf("http://127.0.0.1:%d/webrtc.html?src=bench", ports[1]))
}

func startPeer(ctx context.Context, dir, name, path, config, content string, args []string, rtspPort int, whep, page string) (*server, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	cmd, stop, err := launch(ctx, dir, path, args...)
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(rtspPort))
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	if err := waitFor(ctx, func() error {
		c, err := dial(ctx)
		if err != nil {
			return err
		}
		return c.Close()
	}); err != nil {
		stop()
		return nil, fmt.Errorf("wait for %s: %w", name, err)
	}
	return &server{name: name, pids: []int{cmd.Process.Pid}, dial: dial, whep: whep, page: page, authorize: func(*http.Request) {}, stop: stop}, nil
}

// waitFor tries until ok succeeds, for at most 30 s.
func waitFor(ctx context.Context, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return poll(ctx, 100*time.Millisecond, ok)
}
