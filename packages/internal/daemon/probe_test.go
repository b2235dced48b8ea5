package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/daemon"
)

// probe is a process that tries whatever it is told on its standard input, one attempt a line, and answers each with
// "ok" or the error.
func probe() {
	var needs daemon.Needs
	if err := json.Unmarshal([]byte(os.Getenv("DAEMON_NEEDS")), &needs); err != nil {
		panic(err)
	}
	daemon.Process{
		Name:  os.Getenv("DAEMON_NAME"),
		Needs: func(daemon.Env) daemon.Needs { return needs },
		Run: func(context.Context, daemon.Env) error {
			fmt.Fprintln(os.Stdout, "ready")
			for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
				if err := attempt(strings.Fields(lines.Text())); err != nil {
					fmt.Fprintln(os.Stdout, err)
				} else {
					fmt.Fprintln(os.Stdout, "ok")
				}
			}
			return io.EOF
		},
	}.Main()
}

func attempt(words []string) error {
	what, arg := words[0], words[1]
	switch what {
	case "read":
		_, err := os.ReadFile(arg)
		return err
	case "list":
		_, err := os.ReadDir(arg)
		return err
	case "write":
		return os.WriteFile(arg, []byte("mine"), 0o600)
	case "remove":
		return os.Remove(arg)
	case "rename":
		return os.Rename(arg, words[2])
	case "execute":
		cmd := exec.Command(arg)
		cmd.Env = append(os.Environ(), "DAEMON_TEST=hello")
		return cmd.Run()
	case "home":
		if h, tmp := os.Getenv("HOME"), os.TempDir(); h != arg || tmp != arg {
			return fmt.Errorf("home %s, temporary files in %s", h, tmp)
		}
		return nil
	case "unix":
		c, err := net.Dial("unix", arg)
		if err == nil {
			c.Close()
		}
		return err
	case "bind", "connect":
		// Not by package net, which takes multipath TCP where it can.
		a, err := net.ResolveTCPAddr("tcp4", arg)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
		if what == "bind" {
			return unix.Bind(fd, to)
		}
		return unix.Connect(fd, to)
	case "family":
		fd, err := unix.Socket(map[string]int{"alg": unix.AF_ALG, "packet": unix.AF_PACKET, "netlink": unix.AF_NETLINK}[arg], unix.SOCK_DGRAM, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	case "call":
		return map[string]func() error{
			"unshare": func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
			"setuid":  func() error { return unix.Setresuid(0, 0, 0) },
			"reboot":  func() error { return unix.Reboot(0) },
			"chroot":  func() error { return unix.Chroot("/") },
			"mount":   func() error { return unix.Mount("none", "/", "tmpfs", 0, "") },
			"ptrace":  func() error { return unix.PtraceAttach(1) },
			"namespaced child": func() error {
				_, _, errno := unix.RawSyscall6(unix.SYS_CLONE, unix.CLONE_NEWUSER|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
				if errno == 0 {
					return nil
				}
				return errno
			},
		}[strings.Join(words[1:], " ")]()
	}
	return fmt.Errorf("cannot %s", what)
}

// prober is a running probe.
type prober struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
	log string // the file it logs to
	cmd *exec.Cmd
}

// device is what the processes share: a place for their state, and a program that all users can execute.
type device struct{ dir, program string }

func newDevice(t *testing.T) device {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("giving up root can only be tested as root: run the tests as root, as CI does")
	}
	d := device{dir: t.TempDir()}
	d.program = filepath.Join(d.dir, "probe")
	for _, dir := range []string{filepath.Dir(d.dir), d.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d device) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

// start starts a process as gokrazy does: as root.
func (d device) start(t *testing.T, name string, needs daemon.Needs) *prober {
	t.Helper()
	n, err := json.Marshal(needs)
	if err != nil {
		t.Fatal(err)
	}
	p := &prober{t: t, log: d.path(name + ".log")}
	p.cmd = exec.Command(d.program, "-run", d.path("run"), "-perm", d.path("perm"), "-boot", d.path("boot"))
	p.cmd.Env = append(os.Environ(), "DAEMON_TEST=probe", "DAEMON_NAME="+name, "DAEMON_NEEDS="+string(n))
	stderr, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	p.cmd.Stderr = stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); p.cmd.Wait() })
	p.in, p.out = in, bufio.NewScanner(out)
	if !p.out.Scan() || p.out.Text() != "ready" {
		in.Close()
		p.cmd.Wait()
		t.Fatalf("%s did not start: %s", name, p.said())
	}
	return p
}

// said is all it has logged.
func (p *prober) said() string {
	p.t.Helper()
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// try returns what became of an attempt: "ok" or an error.
func (p *prober) try(attempt string) string {
	p.t.Helper()
	fmt.Fprintln(p.in, attempt)
	if !p.out.Scan() {
		p.t.Fatalf("ended at %q: %v", attempt, p.out.Err())
	}
	return p.out.Text()
}

// may checks that attempts succeed.
func (p *prober) may(attempts ...string) {
	p.t.Helper()
	for _, a := range attempts {
		if got := p.try(a); got != "ok" {
			p.t.Errorf("%s: %s", a, got)
		}
	}
}

// mayNot checks that attempts are denied, for a reason that stands in the error.
func (p *prober) mayNot(reason string, attempts ...string) {
	p.t.Helper()
	for _, a := range attempts {
		if got := p.try(a); !strings.Contains(got, reason) {
			p.t.Errorf("%s: %s, want: %s", a, got, reason)
		}
	}
}
