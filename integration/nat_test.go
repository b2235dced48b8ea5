package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"porthole/integration/stack"
)

// homeRouter is what stands before most devices: it passes one port on to it, and nothing else comes in.
const homeRouter = `
table ip home {
	chain in {
		type nat hook prerouting priority dstnat
		iifname "wanb" tcp dport 443 dnat to 192.168.7.2:443
	}
	chain out {
		type nat hook postrouting priority srcnat
		oifname "wanb" masquerade
	}
	chain through {
		type filter hook forward priority filter; policy drop
		ct state established,related accept
		iifname "lana" accept
		iifname "wanb" ip daddr 192.168.7.2 tcp dport 443 accept
	}
}
`

// symmetricNAT is the worst that stands before viewers: each connection leaves by a port of its own, and only HTTPS does.
const symmetricNAT = `
table ip office {
	chain out {
		type nat hook postrouting priority srcnat
		oifname "wana" masquerade fully-random
	}
	chain through {
		type filter hook forward priority filter; policy drop
		ct state established,related accept
		iifname "desk" tcp dport 443 accept
		meta l4proto udp counter comment "udp"
	}
}
`

// TestOnePort: a viewer behind a symmetric NAT that lets nothing out but 443/tcp sees the picture of a device behind a
// router that passes nothing on but 443/tcp.
func TestOnePort(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	viewer := network{t: t}
	viewer.prepare()
	device, home, office := newNetwork(t), newNetwork(t), newNetwork(t)
	cable("lan", home, "192.168.7.1/24", device, "192.168.7.2/24")
	cable("wan", office, "203.0.113.1/24", home, "203.0.113.2/24")
	cable("dsk", viewer, "10.9.0.2/24", office, "10.9.0.1/24")
	home.forward("")
	office.forward("")
	device.run("ip", "route", "add", "default", "via", "192.168.7.1")
	viewer.run("ip", "route", "add", "default", "via", "10.9.0.1")
	home.feed(homeRouter, "nft", "-f", "-")
	office.feed(strings.ReplaceAll(symmetricNAT, `"desk"`, `"dskb"`), "nft", "-f", "-")

	s := startIn(t, device, "[live]\npublic_address = \"203.0.113.2\"\n",
		"-bind", "192.168.7.2", "-https", "443", "-http", "0", "-wss", "0", "-ice-udp", "8443")
	b := newBrowserAt(t, "https://203.0.113.2")
	b.do(t, chromedp.Navigate("https://203.0.113.2/livestream/viewer?camera=demo"))
	b.plays(t, "live picture through 443/tcp")
	pair := eval[string](t, b, selectedPair)
	if pair != "tcp 203.0.113.2:443" {
		t.Errorf("the picture comes by %s", pair)
	}
	rules := office.run("nft", "list", "table", "ip", "office")
	if m := regexp.MustCompile(`counter packets (\d+)`).FindStringSubmatch(rules); m == nil || m[1] == "0" {
		t.Errorf("UDP was not even tried:\n%s", rules)
	}
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}

	// Too slow a link costs pictures, not the view. What waits is bounded by live's own tests: a process under the race
	// detector says nothing about memory.
	office.run("tc", "qdisc", "add", "dev", "dskb", "root", "tbf", "rate", "400kbit", "burst", "16kb", "latency", "200ms")
	eventually(t, "frames are left out", func() error {
		if n := leftOut(t, s); n < 3 {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	b.plays(t, "the picture moves on a slow link")
	if n := strings.Count(s.Output(), `msg="viewer connected"`); n != 1 {
		t.Errorf("the page has connected %d times", n)
	}
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}

// leftOut is how many frames signaling did not send.
func leftOut(t *testing.T, s *stack.Stack) int {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.State, "run/signaling/signaling-status.sock"))
	}}}
	res, err := c.Get("http://signaling/viewers")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var status struct {
		Viewers []struct {
			Dropped int `json:"dropped_frames"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil || len(status.Viewers) != 1 {
		t.Fatalf("%+v, %v", status, err)
	}
	return status.Viewers[0].Dropped
}

// TestUDPBlocked: where UDP is blocked altogether the picture comes by TCP, by the port of the page.
func TestUDPBlocked(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	here := network{t: t}
	here.prepare()
	// Chromium connects by no interface but those to other machines.
	cable("lan", newNetwork(t), "10.9.0.1/24", here, "10.9.0.2/24")
	here.feed("table inet none {\nchain out {\ntype filter hook output priority filter\nmeta l4proto udp counter drop\n}\n}\n", "nft", "-f", "-")
	s := start(t, "")
	b := newBrowser(t, s)
	b.do(t, chromedp.Navigate(s.URL("/livestream/viewer?camera=demo")))
	b.plays(t, "live picture without UDP")
	if pair, want := eval[string](t, b, selectedPair), fmt.Sprintf("tcp 127.0.0.1:%d", s.HTTPS); pair != want {
		t.Errorf("the picture comes by %s, want %s", pair, want)
	}
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}

// selectedPair is how the page's newest connection has come about: protocol and address of the device.
const selectedPair = `(async () => {
	const stats = await window.testPeers.at(-1).getStats();
	for (const s of stats.values()) {
		if (s.type !== 'transport' || !s.selectedCandidatePairId) continue;
		const remote = stats.get(stats.get(s.selectedCandidatePairId).remoteCandidateId);
		return remote.protocol + ' ' + remote.address + ':' + remote.port;
	}
	return 'nothing';
})()`

// startIn is start with all of Porthole in that network.
func startIn(t *testing.T, n network, provision string, args ...string) *stack.Stack {
	t.Helper()
	config, err := filepath.Abs("../gokrazy-instance/pi/config.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", strings.Join(n.command(), " "), filepath.Join(bins, "hostrun"))
	if err := os.WriteFile(filepath.Join(bin, "hostrun"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"system", "proxy", "signaling", "console", "player"} {
		if err := os.Symlink(filepath.Join(bins, name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := exec.LookPath("nsenter"); err != nil {
		t.Fatal("this test needs nsenter: apt-get install util-linux")
	}
	s, err := stack.Start(t.Context(), stack.Options{
		Bin: bin, Config: config, Dir: dir, Args: args, Provision: "[admin]\npassword = \"" + password + "\"\n" + provision,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if strings.Contains(s.Output(), "DATA RACE") {
			t.Error("a process has a data race")
		}
		if t.Failed() {
			t.Logf("what Porthole said:\n%.20000s", s.Output())
		}
	})
	return s
}
