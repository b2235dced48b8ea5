package main_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/testkit"
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
		got, err := testkit.CallAs(c.uid, d.options.Env.Socket(c.socket), c.call, c.target)
		if err != nil || got != c.want {
			t.Errorf("%s %s on %s as %d: %d, want %d, %v", c.call, c.target, c.socket, c.uid, got, c.want, err)
		}
	}
}
