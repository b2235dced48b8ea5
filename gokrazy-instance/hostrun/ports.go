//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// checkPorts reports every port that the processes could not open, who holds it, and the switch that moves it.
func checkPorts(ctx context.Context, o options) error {
	var errs []error
	for _, l := range o.listeners() {
		if err := tryPort(ctx, l.network, o.addr(l.port)); err != nil {
			errs = append(errs, l.explain(o, err))
		}
	}
	return errors.Join(errs...)
}

func tryPort(ctx context.Context, network, addr string) error {
	var lc net.ListenConfig
	if network == "udp" {
		c, err := lc.ListenPacket(ctx, network, addr)
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return err
	}
	return l.Close()
}

func (l listener) explain(o options, err error) error {
	name := fmt.Sprintf("%s port %d", strings.ToUpper(l.network), l.port)
	other := l.port + 1000
	if other > 65535 {
		other = l.port - 1000
	}
	move := fmt.Sprintf("make run %s=%d (hostrun -%s %d)", l.variable, other, l.flag, other)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		who := "another program"
		if h := holder(l.network, l.port); h != "" {
			who = h
		}
		return fmt.Errorf("%s is taken by %s: stop that, or use another port: %s", name, who, move)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s may only be opened by root on this machine: use one above 1023: make run %s=%d (hostrun -%s %d)", name, l.variable, 8000+l.port%1000, l.flag, 8000+l.port%1000)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("-bind %s is no address of this machine: %w", o.Bind, err)
	}
	return fmt.Errorf("%s cannot be opened: %w; try %s", name, err, move)
}

// holder names the process that has a port, as far as this user may know; empty when unknown.
func holder(network string, port int) string {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return ""
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/" + network, "/proc/net/" + network + "6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6, for example
		}
		for line := range strings.Lines(string(b)) {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode (proc_pid_net(5)); addresses are HEX:PORT
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[9] != "0" {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	return processWith(fs, sockets)
}

func processWith(fs procfs.FS, sockets map[string]bool) string {
	if len(sockets) == 0 {
		return ""
	}
	procs, err := fs.AllProcs()
	if err != nil {
		return ""
	}
	for _, p := range procs {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue // another user's
		}
		for _, t := range targets {
			if !sockets[t] {
				continue
			}
			if name, err := p.Comm(); err == nil {
				return fmt.Sprintf("%s (process %d)", name, p.PID)
			}
		}
	}
	return ""
}
