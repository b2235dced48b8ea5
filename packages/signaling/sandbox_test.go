package main

import (
	"bytes"
	"context"
	"image/jpeg"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"porthole/media/decode/decodetest"
	"porthole/media/rtsp"
	"porthole/media/samples"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
)

// demo is proxy's socket with the demo clip behind it, as camera "door".
func demo(t *testing.T, env daemon.Env) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	clip, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := unixsock.Listen(env.Socket("rtsp"), unixsock.Allow(env.SingleUser, "signaling"))
	if err != nil {
		t.Fatal(err)
	}
	hub := rtsp.NewHub(rtsp.Config{Log: quiet})
	hub.SetSources([]rtsp.Source{{ID: "door", URL: "rtsp://" + clip.Addr().String() + "/clip", Transport: "tcp"}})
	wg.Go(func() {
		if err := rtsp.ServeClip(ctx, quiet, clip, samples.Demo(), "clip", "", ""); err != nil {
			t.Errorf("the camera: %v", err)
		}
	})
	wg.Go(func() {
		if err := hub.Run(ctx); err != nil {
			t.Errorf("the hub: %v", err)
		}
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			hub.Handle(c, rtsp.ViaSocket)
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		wg.Wait()
	})
}

// TestSandbox: the process as on a device, its own user without any privilege, makes a snapshot through the decoder's
// child, which is started from within Landlock and seccomp.
func TestSandbox(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test starts a process as on a device: run it as root")
	}
	env, _ := newEnv(t)
	env.SingleUser = false
	// Others pass through, as through /run and /perm.
	if err := os.Chmod(env.RunDir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, decoder := filepath.Join(env.RunDir, "signaling-program"), filepath.Join(env.RunDir, "decoder")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(decodetest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(decoder, b, 0o755); err != nil {
		t.Fatal(err)
	}
	console(t, env, nil)
	demo(t, env)

	log := &testkit.Log{}
	cmd := exec.Command(program, "-run", env.RunDir, "-perm", env.PermDir, "-wss", "127.0.0.1:0", "-ice-udp", "", "-decoder", decoder)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Logf("signaling logged:\n%s", log)
		}
	}()
	through := &http.Client{Transport: unixsock.Transport(env.Socket("signaling"))}
	defer through.CloseIdleConnections()
	var picture []byte
	until(t, "a picture comes", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/cameras/door/snapshot.jpg", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := identity.Set(req.Header, identity.Identity{User: "admin"}); err != nil {
			t.Fatal(err)
		}
		res, err := through.Do(req)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		picture, err = io.ReadAll(res.Body)
		return err == nil && res.StatusCode == http.StatusOK
	})
	if m, err := jpeg.DecodeConfig(bytes.NewReader(picture)); err != nil || m.Width != 1280 || m.Height != 720 {
		t.Errorf("the picture: %+v, %v", m, err)
	}
	for _, say := range []string{"user=2002", "no_new_privs=true", "seccomp=true", decoder} {
		if !strings.Contains(log.String(), say) {
			t.Errorf("the log does not say %q", say)
		}
	}
}
