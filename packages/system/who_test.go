package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"porthole/hw/thermal"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/unixsock"
	"porthole/packages/system/health"
	"porthole/packages/system/supervisor"
)

// TestWhoMayAsk: player may look at the processor and read the log of all; only console changes anything.
func TestWhoMayAsk(t *testing.T) {
	needRoot(t)
	dir, err := os.MkdirTemp("", "system")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "system.sock")
	l, err := unixsock.Listen(path, unixsock.Allow(false, "console", "player"))
	if err != nil {
		t.Fatal(err)
	}
	a := &api{
		log: slog.New(slog.DiscardHandler), tail: supervisor.NewTail(nil), problems: &problems{}, updates: newUpdates(daemon.Env{Log: slog.New(slog.DiscardHandler), PermDir: dir, RunDir: dir, SingleUser: true}, options{}, nil, &checks{}),
		reset:     newFactoryReset(slog.New(slog.DiscardHandler), dir, nil, true),
		processor: health.New(health.Config{Log: slog.New(slog.DiscardHandler), Firmware: thermal.Firmware{Root: dir}}),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- unixsock.Serve(ctx, l, a.handler()) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	const stranger = 4242
	for _, c := range []struct {
		uid    int
		call   string
		target string
		want   int // 0: the connection is closed
	}{
		{unixsock.UIDPlayer, "GET", "/hardware", http.StatusOK},
		{unixsock.UIDPlayer, "GET", "/log?after=-1", http.StatusBadRequest}, // it may ask, and asked wrongly
		{unixsock.UIDPlayer, "POST", "/governor", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/processes/console/restart", http.StatusForbidden},
		{unixsock.UIDPlayer, "PUT", "/certificates/own", http.StatusForbidden},
		{unixsock.UIDPlayer, "DELETE", "/certificates/own", http.StatusForbidden},
		{unixsock.UIDPlayer, "GET", "/provision", http.StatusForbidden},
		{unixsock.UIDConsole, "POST", "/governor", http.StatusBadRequest},
		{unixsock.UIDPlayer, "POST", "/factory-reset", http.StatusForbidden},
		{unixsock.UIDConsole, "POST", "/factory-reset", http.StatusBadRequest},
		{unixsock.UIDPlayer, "GET", "/update", http.StatusOK},
		{unixsock.UIDPlayer, "POST", "/update", http.StatusForbidden},
		{unixsock.UIDPlayer, "PUT", "/update/parts/root", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/update/install", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/update/back", http.StatusForbidden},
		{unixsock.UIDPlayer, "POST", "/update/seen", http.StatusForbidden},
		{unixsock.UIDPlayer, "DELETE", "/update", http.StatusForbidden},
		{unixsock.UIDConsole, "POST", "/update", http.StatusBadRequest},
		{unixsock.UIDConsole, "PUT", "/certificates/own", http.StatusBadRequest},
		{unixsock.UIDConsole, "DELETE", "/certificates/own", http.StatusBadRequest},
		{unixsock.UIDProxy, "GET", "/hardware", 0},
		{stranger, "GET", "/log", 0},
	} {
		got, err := callAs(c.uid, path, c.call, c.target)
		if err != nil || got != c.want {
			t.Errorf("%s %s as %d: %d, %v; want %d", c.call, c.target, c.uid, got, err, c.want)
		}
	}
}

// callAs makes one call as another user and returns its status, 0 when the connection was closed instead. The user id is
// that of one thread, which ends with it.
func callAs(uid int, socket, method, target string) (status int, err error) {
	type dialed struct {
		c   net.Conn
		err error
	}
	ch := make(chan dialed)
	go func() {
		runtime.LockOSThread()
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
			ch <- dialed{nil, e}
			return
		}
		c, err := net.Dial("unix", socket)
		ch <- dialed{c, err}
	}()
	d := <-ch
	if d.err != nil {
		return 0, fmt.Errorf("connect: %w", d.err)
	}
	defer d.c.Close()
	fmt.Fprintf(d.c, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target)
	line, err := bufio.NewReader(d.c).ReadString('\n')
	if err != nil {
		return 0, nil //nolint:nilerr // closed by the other side: that is the answer
	}
	_, err = fmt.Sscanf(strings.TrimSpace(line), "HTTP/1.1 %d", &status)
	return status, err
}
