package facts_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"porthole/packages/player/facts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer answers calls, or fails while its answer is empty.
type peer struct {
	mu       sync.Mutex // guards what follows
	answer   string
	problems string
}

func (p *peer) set(answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *peer) Call(_ context.Context, _, target string, _, out any) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := p.answer
	if target == "/problems" {
		answer = p.problems
	}
	if answer == "" {
		return 0, errors.New("connection refused")
	}
	return 200, json.Unmarshal([]byte(answer), out)
}

var sameAddrs = cmpopts.EquateComparable(netip.Addr{})

// TestGather: facts are told at once and as they arrive, and what is known stays.
func TestGather(t *testing.T) {
	file := filepath.Join(t.TempDir(), "perm-status.json")
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []facts.Facts
		name, addrs := "(none)", []netip.Addr(nil)
		system, console := &peer{}, &peer{}
		g := facts.New(facts.Config{
			System: system, Console: console, StorageFile: file,
			Hostname:  func() (string, error) { mu.Lock(); defer mu.Unlock(); return name, nil },
			Addresses: func() ([]netip.Addr, error) { mu.Lock(); defer mu.Unlock(); return addrs, nil },
			Changed:   func(f facts.Facts) { mu.Lock(); defer mu.Unlock(); told = append(told, f) },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		want := facts.Facts{}
		expect := func(what string, times int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(told) != times {
				t.Errorf("%s: told %d times, want %d", what, len(told), times)
			}
			if d := cmp.Diff(want, told[len(told)-1], sameAddrs); d != "" {
				t.Errorf("%s:\n%s", what, d)
			}
		}
		expect("at once", 1)
		<-time.After(time.Minute)
		expect("nothing new", 1)

		mu.Lock()
		name, addrs = "box", []netip.Addr{netip.MustParseAddr("10.0.0.9")}
		mu.Unlock()
		want.Kernel, want.Addresses = "box", addrs
		<-time.After(1100 * time.Millisecond)
		expect("network", 2)
		system.set(`{"ca_sha256":"0123456789abcdef0123456789abcdef","leaf_sha256":"ff"}`)
		want.Fingerprint = "01:23:45:67:89:AB:CD:EF"
		<-time.After(time.Second)
		expect("certificate", 3)
		console.set(`{"claimed":false,"code":"BCDF-2345"}`)
		want.Claim = facts.Claim{Known: true, Code: "BCDF-2345"}
		<-time.After(time.Second)
		expect("claim code", 4)
		console.set("")
		system.set("")
		<-time.After(time.Minute)
		expect("everybody is down", 4)
		console.set(`{"claimed":true,"open_until":"2026-11-22T10:00:00Z"}`)
		want.Claim = facts.Claim{Known: true, Claimed: true}
		<-time.After(time.Second)
		expect("claimed", 5)

		// An owner may reset the device: console says so by a change of settings.
		console.set(`{"claimed":false,"code":"XYZW-9876"}`)
		want.Claim = facts.Claim{Known: true, Code: "XYZW-9876"}
		g.Ask()
		expect("asked because of news", 6)
		if err := os.WriteFile(file, []byte(`{"state":"failed","problem":"The storage is damaged."}`), 0o600); err != nil {
			t.Error(err)
		}
		want.Problems = []facts.Problem{{Area: "storage", Text: "The storage is damaged."}}
		<-time.After(1100 * time.Millisecond)
		expect("storage", 7)
		// system knows better, and more.
		system.mu.Lock()
		system.problems = `{"problems":[{"area":"boot","text":"The clock is wrong."}]}`
		system.mu.Unlock()
		want.Problems = []facts.Problem{{Area: "boot", Text: "The clock is wrong."}}
		<-time.After(time.Second)
		expect("problems", 8)
		system.mu.Lock()
		system.problems = `{"problems":[]}`
		system.mu.Unlock()
		want.Problems = nil
		<-time.After(time.Minute)
		expect("all is well", 9)
		cancel()
		wg.Wait()
	})
}

// TestUnreachable: without storage there is no certificate, until system knows better.
func TestUnreachable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "perm-status.json")
	if err := os.WriteFile(file, []byte(`{"state":"failed","problem":"The storage is damaged."}`), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var last facts.Facts
		system := &peer{}
		g := facts.New(facts.Config{
			System: system, Console: &peer{}, StorageFile: file,
			Hostname:  func() (string, error) { return "box", nil },
			Addresses: func() ([]netip.Addr, error) { return nil, nil },
			Changed:   func(f facts.Facts) { mu.Lock(); defer mu.Unlock(); last = f },
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.Run(ctx) })
		for _, c := range []struct {
			answer string
			want   bool
		}{
			{"", true},
			{`{"leaf_sha256":"","problem":"The certificate cannot be made."}`, true},
			{`{"leaf_sha256":"0123456789abcdef","problem":"It cannot be renewed."}`, false},
			{`{"leaf_sha256":"","problem":"The certificate cannot be made."}`, true},
			{"", true}, // what was known stays known
			{`{"leaf_sha256":""}`, false},
		} {
			system.set(c.answer)
			<-time.After(time.Minute)
			synctest.Wait()
			mu.Lock()
			if last.Unreachable != c.want {
				t.Errorf("system says %q: unreachable is %v", c.answer, last.Unreachable)
			}
			mu.Unlock()
		}
		cancel()
		wg.Wait()
	})
}

// TestUseful: what others cannot reach is left out.
func TestUseful(t *testing.T) {
	var in, want []netip.Addr
	for _, a := range []string{"fe80::1", "fec0::5054:ff:fe12:3456", "169.254.7.7", "127.0.0.1", "::1", "224.0.0.1"} {
		in = append(in, netip.MustParseAddr(a))
	}
	for _, a := range []string{"2001:db8::5", "fd12::5", "10.0.2.15", "192.168.1.20"} {
		in = append(in, netip.MustParseAddr(a))
	}
	for _, a := range []string{"10.0.2.15", "192.168.1.20", "2001:db8::5", "fd12::5"} {
		want = append(want, netip.MustParseAddr(a))
	}
	if got := facts.Useful(in); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestNonsense: answers that make no sense are no facts.
func TestNonsense(t *testing.T) {
	file := filepath.Join(t.TempDir(), "perm-status.json")
	if err := os.WriteFile(file, []byte(`{"problem":`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sum := range []string{"", "zz", "0123", "01:23"} {
		synctest.Test(t, func(t *testing.T) {
			system := &peer{answer: `{"ca_sha256":"` + sum + `"}`}
			var last facts.Facts
			g := facts.New(facts.Config{
				System: system, Console: &peer{}, StorageFile: file,
				Hostname:  func() (string, error) { return "", errors.New("no name") },
				Addresses: func() ([]netip.Addr, error) { return nil, errors.New("no network") },
				Changed:   func(f facts.Facts) { last = f },
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			g.Run(ctx)
			if d := cmp.Diff(facts.Facts{}, last, sameAddrs); d != "" {
				t.Errorf("fingerprint %q:\n%s", sum, d)
			}
		})
	}
}

// TestAddresses: this machine's own addresses are such that others can use them, IPv4 first.
func TestAddresses(t *testing.T) {
	list, err := facts.Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range list {
		if !a.IsGlobalUnicast() || i > 0 && a.Is4() && list[i-1].Is6() {
			t.Errorf("address %d of %v", i, list)
		}
	}
}
