//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"porthole/gokrazy-instance/hostrun/supervise"
)

// run prepares the state folder and runs everything until ctx ends.
func run(ctx context.Context, o options) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	if err := o.prepare(); err != nil {
		return err
	}
	held, err := lock(o.State)
	if err != nil {
		return err
	}
	defer held.Close()
	if o.ReadyFile != "" {
		if err := os.Remove(o.ReadyFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the last run's ready file: %w", err)
		}
	}
	if err := checkPorts(ctx, o); err != nil {
		return err
	}
	// What a process leaves behind when it dies becomes ours, as it would become init's on a device.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of processes: %w", err)
	}
	demo, err := newDemoCamera(ctx)
	if err != nil {
		return err
	}
	defer demo.listener.Close()
	commands, hostname, err := plan(o, demo.url())
	if err != nil {
		return err
	}
	h, err := newHost(o, commands)
	if err != nil {
		return err
	}
	defer h.close()
	h.sayDecoder()
	resetState(h.log)
	if o.Provision != "" {
		if err := copyProvision(o.Provision); err != nil {
			return err
		}
	}
	h.sup = supervise.New(supervise.Config{
		Commands: commands, Hostname: hostname, PermDir: "perm", OnLine: h.line, OnExit: h.exit, OnReboot: func() { resetState(h.log) },
	})
	api, err := listenControl(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.sup.Run(ctx) })
	g.Go(func() error { return serveControl(ctx, api, h.sup.Handler()) })
	g.Go(func() error { return demo.run(ctx, h.log.With("camera", "demo")) })
	g.Go(func() error { return h.announce(ctx) })
	return g.Wait()
}

// host takes what the processes say.
type host struct {
	o      options
	log    *slog.Logger
	term   *terminal
	logs   map[string]*logFile
	deaths *deaths
	sup    *supervise.Supervisor
}

func newHost(o options, commands []supervise.Command) (*host, error) {
	names := []string{"hostrun"}
	for _, c := range commands {
		names = append(names, c.Name)
	}
	h := &host{o: o, term: newTerminal(os.Stderr, names), logs: map[string]*logFile{}, deaths: newDeaths()}
	h.log = slog.New(slog.NewTextHandler(h.term.speaker("hostrun"), nil))
	for _, c := range commands {
		l, err := openLog(filepath.Join("log", c.Name+".log"), maxLog)
		if err != nil {
			h.close()
			return nil, err
		}
		h.logs[c.Name] = l
	}
	return h, nil
}

// sayDecoder says so when cameras on the screen are not decoded by the image's decoder.
func (h *host) sayDecoder() {
	own := ownDecoder(h.o.Bin)
	build := "overlays/decoder/build.sh " + runtime.GOARCH + " " + filepath.Dir(own)
	switch used := decoderArgs(h.o.Bin)[1]; {
	case used != own:
		h.log.Info("this machine's own ffmpeg decodes cameras for the screen, in place of the image's decoder", "ffmpeg", used, "build_that_one", build)
	case !isFile(own):
		h.log.Warn("there is no decoder: the screen shows no cameras", "build_one", build)
	}
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

func (h *host) close() {
	for _, l := range h.logs {
		l.close()
	}
}

func (h *host) line(process, _, line string) {
	if err := h.logs[process].line(line); err != nil {
		h.log.Warn("cannot keep the log of a process", "process", process, "err", err)
	}
	// What system says of porthole.toml is for the person who wrote it, in any case.
	if !h.o.Quiet || process == "system" && strings.Contains(line, "porthole.toml") {
		h.term.line(process, line)
	}
}

func (h *host) exit(process, _ string) {
	if !h.deaths.ended(process, time.Now()) {
		return
	}
	h.log.Error("a process keeps dying; its last words follow, and all of them are in the file",
		"process", process, "file", filepath.Join(h.o.State, "log", process+".log"))
	for _, line := range h.sup.Tail(process, 10) {
		h.term.line(process, "  "+line)
	}
}

// announce says when everything answers. A device that never does keeps running: its logs say why.
func (h *host) announce(ctx context.Context) error {
	w := waiter{o: h.o, slow: func(err error) { h.log.Warn("not everything answers yet", "waiting_for", err) }}
	r, err := w.await(ctx)
	if err != nil {
		return nil //nolint:nilerr // told to stop
	}
	if h.o.ReadyFile != "" {
		if err := writeReadyFile(h.o.ReadyFile, r); err != nil {
			return err
		}
	}
	banner(os.Stdout, h.o, r)
	return nil
}
