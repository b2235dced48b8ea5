//go:build linux

package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dontSupervise is the exit code with which a process asks to stay down, as 0 does.
const dontSupervise = 125

// pipeDelay bounds how long the output of a process that has ended is waited for: a grandchild may hold the pipe.
const pipeDelay = 2 * time.Second

// service is one supervised process.
type service struct {
	cmd    Command
	args   []string // with the program's path first; without passwords
	delay  time.Duration
	onExit func(status string)
	stdout *ring
	stderr *ring

	mu      sync.Mutex
	stopped bool // guarded by mu, as is what follows; nobody wants it to run
	closing bool // and nobody will
	once    bool // /restart?supervise=once: stays down after the next run
	active  bool // its process group may have members
	pid     int  // of the last start, also after its end, as with gokrazy
	started time.Time
}

// urlPassword finds the password in a URL.
var urlPassword = regexp.MustCompile(`(://[^:@/\s]*:)[^@/\s]*@`)

func newService(cfg Config, c Command) *service {
	s := &service{cmd: c, delay: cfg.RestartDelay, stopped: c.DontStart}
	s.args = []string{c.Path}
	for _, a := range c.Args {
		s.args = append(s.args, urlPassword.ReplaceAllString(a, "$1***@"))
	}
	s.stdout = newRing(func(line string) { cfg.OnLine(c.Name, "stdout", line) })
	s.stderr = newRing(func(line string) { cfg.OnLine(c.Name, "stderr", line) })
	s.onExit = func(status string) { cfg.OnExit(c.Name, status) }
	return s
}

// note writes what gokrazy would into the service's own log.
func (s *service) note(format string, args ...any) {
	fmt.Fprintf(s.stderr, "%s gokrazy: %s\n", time.Now().Format("2006/01/02 15:04:05"), fmt.Sprintf(format, args...))
}

// run keeps the process running until ctx ends.
func (s *service) run(ctx context.Context) {
	// Pdeathsig fires when the thread that started the process ends (prctl(2), PR_SET_PDEATHSIG): this goroutine keeps
	// its thread, and never unlocks it, so that it ends with the goroutine.
	runtime.LockOSThread()
	for attempt := 0; ; {
		if !s.isStopped() {
			s.runOnce(attempt)
			attempt++
		}
		t := time.NewTimer(s.delay)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (s *service) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped || s.closing
}

func (s *service) runOnce(attempt int) {
	cmd, err := s.start(attempt)
	if err != nil {
		s.note("%v", err)
		s.ended(false)
		s.onExit(err.Error())
		return
	}
	if cmd == nil {
		return
	}
	waitErr := cmd.Wait()
	// A process that left its output to a child has still ended the way it has.
	status := cmd.ProcessState.String()
	if cmd.ProcessState == nil {
		status = fmt.Sprint(waitErr)
	}
	code := cmd.ProcessState.ExitCode()
	switch code {
	case 0:
		s.note("exited successfully, stopping")
	case dontSupervise:
		s.note("process should not be supervised, stopping")
		fallthrough
	default:
		s.note("%s", status)
	}
	reap(cmd.Process.Pid)
	s.ended(code == 0 || code == dontSupervise)
	s.onExit(status)
}

// start starts the process; it returns nil without error when that is no longer wanted.
func (s *service) start(attempt int) (*exec.Cmd, error) {
	cmd := &exec.Cmd{
		Path: s.cmd.Path, Args: append([]string{s.cmd.Path}, s.cmd.Args...), Dir: s.cmd.Dir,
		Stdout: s.stdout, Stderr: s.stderr, Env: s.environ(attempt), WaitDelay: pipeDelay,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	if err := os.MkdirAll(s.cmd.Home, 0o700); err != nil {
		s.note("creating $HOME: %v", err)
	}
	s.note("attempt %d, starting %q", attempt, s.args)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.closing {
		return nil, nil
	}
	s.started = time.Now()
	s.pid = 0
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.cmd.Name, err)
	}
	s.pid = cmd.Process.Pid
	s.active = true
	return cmd, nil
}

func (s *service) environ(attempt int) []string {
	env := os.Environ()
	env = append(env, s.cmd.Env...)
	if attempt == 0 {
		env = append(env, "GOKRAZY_FIRST_START=1")
	}
	env = append(env, "HOME="+s.cmd.Home)
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "PATH=") }) {
		env = append(env, "PATH="+filepath.Dir(s.cmd.Path))
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "USER=") }) {
		env = append(env, "USER=root")
	}
	return env
}

// reap waits for the rest of a process's group, as far as it has become ours (PR_SET_CHILD_SUBREAPER). Until it is
// gone, the next start would meet its ports and locks.
func reap(pid int) {
	for {
		if _, err := unix.Wait4(-pid, nil, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// ended notes that no process is left.
func (s *service) ended(stayDown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = false
	s.stopped = s.stopped || stayDown
	if s.once {
		s.once = false
		s.stopped = true
	}
}

// restart ends the process, so that it is started again; a stopped one is started.
func (s *service) restart(sig syscall.Signal, once bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.once = once
	if s.stopped {
		s.stopped = false
		return nil
	}
	return s.signal(sig)
}

// stop ends the process for good.
func (s *service) stop(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	return s.signal(sig)
}

// close ends the process and never starts it again.
func (s *service) close(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	return s.signal(sig)
}

// reopen makes a closed process what it was before its first start.
func (s *service) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing, s.once, s.stopped = false, false, s.cmd.DontStart
}

// signal reaches the whole process group. It is called with mu held.
func (s *service) signal(sig syscall.Signal) error {
	if !s.active {
		return nil
	}
	if err := unix.Kill(-s.pid, sig); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %v to %s: %w", sig, s.cmd.Name, err)
	}
	return nil
}
