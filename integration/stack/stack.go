// Package stack runs the whole of Porthole for tests and measurements: hostrun with its processes on free loopback ports
// and a state folder of its own, exactly as `make run` starts them.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Options say what to run.
type Options struct {
	// Bin is the folder of the built programs, Config the process list (gokrazy-instance/pi/config.json).
	Bin, Config string
	// Dir is an empty folder for state and files.
	Dir string
	// Provision is the content of a porthole.toml; empty means none.
	Provision string
	// Args are further arguments of hostrun.
	Args []string
}

// Stack is a running Porthole.
type Stack struct {
	// HTTPS, HTTP and WSS are the ports.
	HTTPS, HTTP, WSS int
	// ClaimCode is empty when the device is claimed.
	ClaimCode string
	// State is hostrun's state folder.
	State string

	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}
}

// lockedBuffer is written by hostrun's pipes and read by tests.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Build compiles the programs into dir. With race, the processes report data races in their log and die of them.
func Build(ctx context.Context, root, dir string, race bool) error {
	args := []string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	args = append(args, "./gokrazy-instance/hostrun", "./packages/system", "./packages/proxy", "./packages/signaling", "./packages/console", "./packages/player")
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build Porthole: %w\n%s", err, out)
	}
	return nil
}

// Start runs Porthole and returns when it answers, within two minutes.
func Start(ctx context.Context, o Options) (*Stack, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	ready := filepath.Join(o.Dir, "ready.json")
	s := &Stack{State: filepath.Join(o.Dir, "state"), out: &lockedBuffer{}, done: make(chan struct{})}
	args := []string{"-config", o.Config, "-bin", o.Bin, "-state", s.State, "-bind", "127.0.0.1",
		"-https", strconv.Itoa(ports[0]), "-http", strconv.Itoa(ports[1]), "-wss", strconv.Itoa(ports[2]), "-ready-file", ready}
	if o.Provision != "" {
		file := filepath.Join(o.Dir, "porthole.toml")
		if err := os.WriteFile(file, []byte(o.Provision), 0o600); err != nil {
			return nil, fmt.Errorf("write provisioning: %w", err)
		}
		args = append(args, "-provision", file)
	}
	s.cmd = exec.Command(filepath.Join(o.Bin, "hostrun"), append(args, o.Args...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old ready file: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start hostrun: %w", err)
	}
	go func() {
		defer close(s.done)
		s.cmd.Wait() //nolint:errcheck // its output tells
	}()
	if err := s.awaitReady(ctx, ready); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start Porthole: %w\n%s", err, s.out)
	}
	return s, nil
}

func (s *Stack) awaitReady(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(file)
		if err == nil {
			var ready struct {
				HTTPS     int    `json:"https_port"`
				HTTP      int    `json:"http_port"`
				WSS       int    `json:"wss_port"`
				ClaimCode string `json:"claim_code"`
			}
			if err := json.Unmarshal(b, &ready); err != nil {
				return fmt.Errorf("read %s: %w", file, err)
			}
			s.HTTPS, s.HTTP, s.WSS, s.ClaimCode = ready.HTTPS, ready.HTTP, ready.WSS, ready.ClaimCode
			return nil
		}
		select {
		case <-s.done:
			return errors.New("hostrun ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Stop ends everything and waits.
func (s *Stack) Stop() {
	s.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended by itself
	<-s.done
}

// Output is what hostrun and its processes have said.
func (s *Stack) Output() string { return s.out.String() }

// Addr is the address of the shared port.
func (s *Stack) Addr() string { return net.JoinHostPort("localhost", strconv.Itoa(s.HTTPS)) }

// URL is the address of a page on the shared port.
func (s *Stack) URL(path string) string { return "https://" + s.Addr() + path }

// PIDs returns the processes by name, as the supervisor knows them; zero for one that is down.
func (s *Stack) PIDs(ctx context.Context) (map[string]int, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.State, "run", "gokrazy-http.sock"))
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gokrazy/", nil)
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	defer res.Body.Close()
	var status struct {
		Services []struct {
			Pid  int
			Path string
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return nil, fmt.Errorf("read the supervisor's answer: %w", err)
	}
	pids := map[string]int{}
	for _, svc := range status.Services {
		pids[filepath.Base(svc.Path)] = svc.Pid
	}
	return pids, nil
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
