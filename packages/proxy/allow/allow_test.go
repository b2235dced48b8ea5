package allow_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/proxy/allow"
)

// world is what the List asks.
type world struct {
	mu       sync.Mutex
	names    map[string][]netip.Addr
	networks []netip.Prefix
	netErr   error
	slow     chan struct{}
}

func (w *world) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if w.slow != nil {
		select {
		case <-w.slow:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := w.names[name]; ok {
		return a, nil
	}
	return nil, errors.New("no such name")
}

func (w *world) own() ([]netip.Prefix, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.networks, w.netErr
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// list runs a List in the test's bubble.
func list(t *testing.T, w *world) *allow.List {
	l := allow.New(allow.Config{Log: slog.New(slog.DiscardHandler), Lookup: w.lookup, Networks: w.own})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return l
}

func check(t *testing.T, l *allow.List, want map[string]bool) {
	t.Helper()
	for a, ok := range want {
		if got := l.Allowed(netip.MustParseAddr(a)); got != ok {
			t.Errorf("%s: %v", a, got)
		}
	}
}

func home() *world {
	return &world{
		names: map[string][]netip.Addr{
			"home.example.org": {netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8:7::1")},
			"friend.example":   {netip.MustParseAddr("198.51.100.4")},
		},
		networks: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("2001:db8:1:2::/64"), netip.MustParsePrefix("127.0.0.0/8")},
	}
}

func TestAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := list(t, home())
		synctest.Wait()
		check(t, l, map[string]bool{"198.51.100.99": true}) // nothing is restricted
		l.Set(allow.Rules{
			Restricted: true, PublicName: "home.example.org",
			Allowed: []string{"192.0.2.9", "10.1.2.3/16", "friend.example", " ", "2001:db8:9::/48", "not a name", "10.0.0.0/99"},
		})
		synctest.Wait()
		check(t, l, map[string]bool{
			"127.0.0.1": true, "::1": true, "192.168.1.20": true, "::ffff:192.168.1.20": true, "2001:db8:1:2::20": true,
			"fe80::1%eth0": true, "169.254.3.4": true, "203.0.113.7": true, "2001:db8:7::1": true, "192.0.2.9": true, "10.1.200.1": true,
			"198.51.100.4": true, "2001:db8:9:1::1": true,
			"203.0.113.8": false, "192.168.2.20": false, "192.0.2.10": false, "198.51.100.5": false, "2001:db8:7::2": false,
		})
		if l.Local(netip.MustParseAddr("203.0.113.7")) || !l.Local(netip.MustParseAddr("192.168.1.7")) {
			t.Error("Local is wrong")
		}
		s := l.Status()
		if d := cmp.Diff([]string{"203.0.113.7", "2001:db8:7::1"}, s.Own); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"192.168.1.0/24", "2001:db8:1:2::/64"}, s.Networks); d != "" {
			t.Error(d)
		}
		if len(s.Problems) != 2 || !strings.Contains(s.Problems[0], `"not a name"`) || !strings.Contains(s.Problems[1], `"10.0.0.0/99"`) {
			t.Errorf("%q", s.Problems)
		}
	})
}

// TestMoves: a new public address is found within minutes; while it cannot be looked up, the last one stays and it is said.
func TestMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := home()
		l := list(t, w)
		l.Set(allow.Rules{Restricted: true, PublicName: "home.example.org"})
		synctest.Wait()
		check(t, l, map[string]bool{"203.0.113.7": true, "203.0.113.99": false})
		w.set(func() { w.names = nil })
		<-time.After(6 * time.Minute)
		check(t, l, map[string]bool{"203.0.113.7": true})
		if p := l.Status().Problems; len(p) != 1 || !strings.Contains(p[0], "home.example.org") || !strings.Contains(p[0], "203.0.113.7") {
			t.Errorf("%q", p)
		}
		w.set(func() { w.names = map[string][]netip.Addr{"home.example.org": {netip.MustParseAddr("203.0.113.99")}} })
		<-time.After(time.Minute)
		check(t, l, map[string]bool{"203.0.113.7": false, "203.0.113.99": true})
		if p := l.Status().Problems; len(p) != 0 {
			t.Errorf("%q", p)
		}
	})
}

// TestNewNetwork: the owner who comes from a network that the device has only just joined is not locked out, nor when the
// networks cannot be read for a while.
func TestNewNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := home()
		l := list(t, w)
		l.Set(allow.Rules{Restricted: true})
		synctest.Wait()
		w.set(func() { w.networks = append(w.networks, netip.MustParsePrefix("10.7.0.0/24")) })
		<-time.After(2 * time.Second)
		check(t, l, map[string]bool{"10.7.0.5": true, "10.8.0.5": false})
		w.set(func() { w.networks, w.netErr = nil, errors.New("no netlink") })
		<-time.After(6 * time.Minute)
		check(t, l, map[string]bool{"10.7.0.5": true, "192.168.1.4": true})
		if p := l.Status().Problems; len(p) != 1 {
			t.Errorf("%q", p)
		}
	})
}

// TestSlowNames: a decision does not wait for a name server.
func TestSlowNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := home()
		w.slow = make(chan struct{})
		l := list(t, w)
		begin := time.Now()
		l.Set(allow.Rules{Restricted: true, PublicName: "home.example.org"})
		check(t, l, map[string]bool{"203.0.113.7": false, "192.168.1.20": true})
		if d := time.Since(begin); d > 0 {
			t.Errorf("it took %v", d)
		}
		close(w.slow)
		synctest.Wait()
		check(t, l, map[string]bool{"203.0.113.7": true})
	})
}

// TestInterfaces reads this machine's own.
func TestInterfaces(t *testing.T) {
	l := allow.New(allow.Config{Log: slog.New(slog.DiscardHandler)})
	l.Set(allow.Rules{Restricted: true})
	if !l.Allowed(netip.MustParseAddr("127.0.0.1")) {
		t.Error("loopback is refused")
	}
	// Documentation's networks; a machine may use one of them all the same.
	refused := 0
	for _, a := range []string{"192.0.2.1", "198.51.100.1", "203.0.113.1"} {
		if !l.Allowed(netip.MustParseAddr(a)) {
			refused++
		}
	}
	if refused < 2 {
		t.Errorf("%d of 3 strangers are refused", refused)
	}
}
