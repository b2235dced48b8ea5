//go:build linux

// Package supervise runs a list of processes the way gokrazy's init does (gokrazy's supervise.go) and answers the same
// HTTP API, so that a developer's machine and the appliance behave alike: a process that ends is started again after
// a second, for ever; one that exits 0 or 125 stays down; the last 100 lines of each stream are kept.
package supervise

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// Command is a process to supervise.
type Command struct {
	// Name is the base name of Path.
	Name string
	// Path is the program's absolute path, Args its arguments without the program's name.
	Path string
	Args []string
	// Env is added to our own environment, as key=value.
	Env []string
	// Dir is the working directory, Home the absolute path of $HOME, made when missing.
	Dir, Home string
	// DontStart leaves the process stopped until somebody restarts it.
	DontStart bool
}

// Config is what a Supervisor needs. OnLine and OnExit are called from several goroutines and must not be nil.
type Config struct {
	Commands []Command
	// Hostname is what the API says.
	Hostname string
	// PermDir is the folder whose file system the API describes.
	PermDir string
	// OnLine gets every line a process writes to "stdout" or "stderr", and what is said about it.
	OnLine func(process, stream, line string)
	// OnExit gets how a process ended, for example "exit status 1" or "signal: killed".
	OnExit func(process, status string)
	// OnReboot is called on POST /reboot when all processes have ended, before they are started again; nil: nothing else
	// happens in between.
	OnReboot func()
	// RestartDelay is the pause before a process is started again; zero means gokrazy's second.
	RestartDelay time.Duration
	// StopDelay is how long processes may take to end before they are killed; zero means five seconds.
	StopDelay time.Duration
}

// Supervisor runs processes.
type Supervisor struct {
	cfg      Config
	services []*service
	xsrf     func() int32
	reboot   chan struct{} // holds at most one wish
}

// New returns a Supervisor whose processes do not run yet.
func New(cfg Config) *Supervisor {
	if cfg.RestartDelay == 0 {
		cfg.RestartDelay = time.Second
	}
	if cfg.StopDelay == 0 {
		cfg.StopDelay = 5 * time.Second
	}
	s := &Supervisor{cfg: cfg, xsrf: newToken, reboot: make(chan struct{}, 1)}
	for _, c := range cfg.Commands {
		s.services = append(s.services, newService(cfg, c))
	}
	return s
}

// Run runs the processes until ctx ends, then ends them and waits: SIGTERM to their groups, SIGKILL after StopDelay. A reboot
// does the same and begins anew. It may be called once.
func (s *Supervisor) Run(ctx context.Context) error {
	for {
		err := s.runUntil(ctx)
		if ctx.Err() != nil || err != nil {
			return err
		}
		if s.cfg.OnReboot != nil {
			s.cfg.OnReboot()
		}
		for _, svc := range s.services {
			svc.reopen()
		}
	}
}

// runUntil runs the processes until ctx ends or somebody wants a reboot.
func (s *Supervisor) runUntil(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for _, svc := range s.services {
		wg.Go(func() { svc.run(running) })
	}
	select {
	case <-ctx.Done():
	case <-s.reboot:
	}
	stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wg.Wait()
	}()
	err := s.closeAll(syscall.SIGTERM)
	t := time.NewTimer(s.cfg.StopDelay)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		err = errors.Join(err, s.closeAll(syscall.SIGKILL))
		<-done
	}
	return err
}

func (s *Supervisor) closeAll(sig syscall.Signal) error {
	var errs []error
	for _, svc := range s.services {
		errs = append(errs, svc.close(sig))
	}
	return errors.Join(errs...)
}

// Tail returns the last n lines of a process's standard error.
func (s *Supervisor) Tail(process string, n int) []string {
	for _, svc := range s.services {
		if svc.cmd.Name == process {
			return svc.stderr.tail(n)
		}
	}
	return nil
}

func (s *Supervisor) find(path string) *service {
	for _, svc := range s.services {
		if svc.cmd.Path == path {
			return svc
		}
	}
	return nil
}
