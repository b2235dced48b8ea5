// Package daemon is the frame every Porthole process stands in: common flags, logger, giving up root, signals, exit code.
package daemon

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"porthole/packages/internal/unixsock"
)

// Env is what a process knows of its surroundings.
type Env struct {
	Log *slog.Logger
	// RunDir holds sockets and last good settings, PermDir persistent state, BootDir the provisioning file.
	RunDir, PermDir, BootDir string
	// SingleUser means that all processes share one user (hostrun).
	SingleUser bool
	name       string
}

// Socket returns the path of a socket in RunDir, for example Socket("console") for console/console.sock.
func (e Env) Socket(name string) string { return unixsock.Path(e.RunDir, name) }

// StateDir returns this process's own folder in RunDir: gone after a restart of the device, kept over one of the process.
func (e Env) StateDir() string { return filepath.Join(e.RunDir, e.name) }

// SettingsFile returns where this process keeps its last good settings.
func (e Env) SettingsFile() string { return filepath.Join(e.StateDir(), "settings.json") }

// TLSDir returns the folder of the named certificate's pair; without a name, that of all of them.
func (e Env) TLSDir(name string) string { return filepath.Join(e.PermDir, "tls", name) }

// Process is what a main.go says of its process.
type Process struct {
	// Name is what it is called everywhere: in sockets, folders, logs.
	Name string
	// Flags adds its own flags; may be nil.
	Flags func(*flag.FlagSet)
	// Needs says what it keeps when it gives up root, once the flags are read; nil: nothing but its own folder in
	// RunDir.
	Needs func(Env) Needs
	// Run is the process. It ends with an error, or when ctx ends.
	Run func(context.Context, Env) error
}

// Main parses flags, gives up root, runs the process until it fails or a signal asks it to stop, and exits. A failure
// exits 1. So that gokrazy's restart (SIGTERM, then wait) starts the process again, the end after a signal is not
// exit 0, which would mean "stay down", but 143 (128 + SIGTERM).
func (p Process) Main() {
	os.Exit(p.start(os.Args[1:]))
}

func (p Process) start(args []string) int {
	e := Env{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), name: p.Name}
	fs := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	fs.StringVar(&e.RunDir, "run", "/run/porthole", "`folder` of sockets and last good settings")
	fs.StringVar(&e.PermDir, "perm", "/perm", "`folder` of persistent state")
	fs.StringVar(&e.BootDir, "boot", "/boot", "`folder` where porthole.toml may lie")
	fs.BoolVar(&e.SingleUser, "single-user", false, "all processes share one user (hostrun)")
	if p.Flags != nil {
		p.Flags(fs)
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 1
	}
	if fs.NArg() > 0 {
		e.Log.Error("unexpected argument", "arg", fs.Arg(0))
		return 1
	}
	if !e.SingleUser {
		if err := p.giveUp(e); err != nil {
			e.Log.Error("cannot give up root", "err", err)
			return 1
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	e.Log.Info("starting", "process", p.Name, "version", Version())
	err := p.Run(ctx, e)
	if ctx.Err() != nil {
		e.Log.Info("stopped by a signal")
		return 143
	}
	if err == nil {
		err = errors.New("ended without a reason")
	}
	e.Log.Error("process failed", "err", err)
	return 1
}

// version is set by the linker: -X porthole/packages/internal/daemon.version=…
var version string

// Version is what `git describe` said of the tree this binary was built from; "devel" when nobody told the linker.
func Version() string {
	if version == "" {
		return "devel"
	}
	return version
}

// Built is a time before which this binary cannot run: that of the commit it was built from, where the Go tool has put it
// in, else of the release that was the first to ask.
func Built() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t
			}
		}
	}
	return time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
}
