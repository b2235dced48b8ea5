package main_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/packages/internal/unixsock"
)

// TestWhoMayAsk: on a device each process gets what is its own and nothing else. Only root can take other users' ids;
// anybody else finds both sockets closed.
func TestWhoMayAsk(t *testing.T) {
	d := newDevice(t)
	d.options.Env.SingleUser = false
	d.options.LongPoll = 50 * time.Millisecond
	d.start()
	type try struct {
		uid                  int
		socket, call, target string
		want                 int // 0: the connection is closed
	}
	var tries []try
	if os.Getuid() != 0 {
		tries = []try{{-1, "console", "GET", "/api/health", 0}, {-1, "console-internal", "GET", "/claim", 0}}
	} else {
		const stranger = 4242
		tries = []try{
			{0, "console-internal", "GET", "/claim", http.StatusOK},
			{0, "console", "GET", "/api/health", http.StatusOK},
			{unixsock.UIDPlayer, "console-internal", "GET", "/claim", http.StatusOK},
			{unixsock.UIDProxy, "console-internal", "GET", "/claim", http.StatusForbidden},
			{unixsock.UIDSignaling, "console-internal", "GET", "/claim", http.StatusForbidden},
			{unixsock.UIDPlayer, "console-internal", "GET", "/signage/program", http.StatusOK},
			{unixsock.UIDPlayer, "console-internal", "GET", "/signage/media/" + strings.Repeat("0", 64), http.StatusNotFound},
			{unixsock.UIDPlayer, "console-internal", "POST", "/signage/feedback", http.StatusOK},
			{unixsock.UIDProxy, "console-internal", "GET", "/signage/program", http.StatusForbidden},
			{unixsock.UIDSignaling, "console-internal", "GET", "/signage/media/" + strings.Repeat("0", 64), http.StatusForbidden},
			{stranger, "console-internal", "GET", "/signage/program", 0},
			{unixsock.UIDProxy, "console-internal", "GET", "/settings/proxy?after=0", http.StatusOK},
			{unixsock.UIDSignaling, "console-internal", "GET", "/settings/proxy?after=0", http.StatusForbidden},
			{unixsock.UIDPlayer, "console-internal", "GET", "/settings/proxy?after=0", http.StatusForbidden},
			{unixsock.UIDSignaling, "console-internal", "GET", "/settings/signaling?after=0", http.StatusOK},
			{unixsock.UIDPlayer, "console-internal", "GET", "/settings/player?after=0", http.StatusOK},
			{unixsock.UIDProxy, "console-internal", "GET", "/settings/player?after=0", http.StatusForbidden},
			{unixsock.UIDProxy, "console-internal", "POST", "/auth", http.StatusBadRequest},
			{unixsock.UIDSignaling, "console-internal", "POST", "/auth", http.StatusBadRequest},
			{unixsock.UIDPlayer, "console-internal", "POST", "/auth", http.StatusForbidden},
			{unixsock.UIDProxy, "console", "GET", "/api/health", http.StatusOK},
			{unixsock.UIDSignaling, "console", "GET", "/api/health", 0},
			{unixsock.UIDPlayer, "console", "GET", "/api/health", 0},
			{unixsock.UIDConsole, "console-internal", "GET", "/claim", 0},
			{stranger, "console", "GET", "/api/health", 0},
			{stranger, "console-internal", "GET", "/claim", 0},
		}
	}
	for _, c := range tries {
		got, err := callAs(c.uid, d.options.Env.Socket(c.socket), c.call, c.target)
		if err != nil || got != c.want {
			t.Errorf("%s %s on %s as %d: %d, want %d, %v", c.call, c.target, c.socket, c.uid, got, c.want, err)
		}
	}
}

// callAs makes one call as another user and returns its status, 0 when the connection was closed instead. The user id
// is that of one thread, which ends with it.
func callAs(uid int, socket, method, target string) (status int, err error) {
	type dialed struct {
		c   net.Conn
		err error
	}
	ch := make(chan dialed)
	go func() {
		runtime.LockOSThread()
		if uid >= 0 {
			if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				ch <- dialed{nil, e}
				return
			}
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
