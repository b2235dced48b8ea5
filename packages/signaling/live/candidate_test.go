package live

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/ice/v4"
)

// told is what a viewer is told, in short: protocol, address, and whether it is a router's.
func told(all []candidate) []string {
	var out []string
	for _, c := range all {
		s := "udp "
		if c.tcp {
			s = "tcp "
		}
		s += c.at.String()
		if c.mapped {
			s += " mapped"
		}
		out = append(out, s)
	}
	return out
}

func sockets(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func TestCandidates(t *testing.T) {
	home := sockets("192.168.1.7:443", "192.168.1.7:8443")
	for name, c := range map[string]struct {
		offered []netip.AddrPort
		reach   reach
		shared  uint16
		want    []string
	}{
		"at home, nothing shared": {offered: sockets("192.168.1.7:8443"), want: []string{"udp 192.168.1.7:8443"}},
		"at home": {offered: sockets("192.168.1.7:8443"), shared: 443, want: []string{
			"udp 192.168.1.7:8443", "tcp 192.168.1.7:8443", "tcp 192.168.1.7:443",
		}},
		"behind a router": {offered: home, shared: 443, reach: reach{public: []netip.Addr{netip.MustParseAddr("203.0.113.9")}}, want: []string{
			"udp 192.168.1.7:8443", "udp 203.0.113.9:443 mapped", "tcp 192.168.1.7:8443", "tcp 203.0.113.9:443 mapped", "tcp 192.168.1.7:443",
		}},
		"with a STUN server": {offered: home, shared: 443, reach: reach{
			public: []netip.Addr{netip.MustParseAddr("203.0.113.9")},
			mapped: map[netip.AddrPort]netip.AddrPort{home[0]: netip.MustParseAddrPort("203.0.113.9:443"), home[1]: netip.MustParseAddrPort("203.0.113.9:61000")},
		}, want: []string{
			"udp 192.168.1.7:8443", "udp 203.0.113.9:443 mapped", "udp 203.0.113.9:61000 mapped",
			"tcp 192.168.1.7:8443", "tcp 203.0.113.9:443 mapped", "tcp 192.168.1.7:443",
		}},
		"on the internet": {offered: sockets("203.0.113.9:443", "203.0.113.9:8443"), shared: 443,
			reach: reach{public: []netip.Addr{netip.MustParseAddr("203.0.113.9")}},
			want:  []string{"udp 203.0.113.9:443", "udp 203.0.113.9:8443", "tcp 203.0.113.9:443"}},
		"make run": {offered: sockets("127.0.0.1:8443", "[::1]:8443"), shared: 8443, want: []string{
			"udp 127.0.0.1:8443", "udp [::1]:8443", "tcp 127.0.0.1:8443", "tcp [::1]:8443",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			locals := c.offered
			if c.shared == 443 && len(locals) == 1 {
				locals = home
			}
			if d := cmp.Diff(c.want, told(candidates(locals, c.offered, c.reach, c.shared))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestAcceptable is what Chromium takes.
func TestAcceptable(t *testing.T) {
	for at, want := range map[string]bool{
		"192.168.1.7:443": false, "192.168.1.7:8443": true, "10.0.0.1:80": false, "127.0.0.1:443": false, "100.64.1.1:443": false,
		"169.254.1.1:443": false, "[fd00::1]:443": false, "[2001:db8::1]:443": true, "203.0.113.9:443": true, "203.0.113.9:80": true,
		"203.0.113.9:853": false, "203.0.113.9:1023": false, "203.0.113.9:1024": true,
	} {
		if got := acceptable(netip.MustParseAddrPort(at)); got != want {
			t.Errorf("%s: %v", at, got)
		}
	}
}

// TestCandidateLines: lines are what ICE implementations read, and UDP that is near comes first.
func TestCandidateLines(t *testing.T) {
	list := candidates(sockets("192.168.1.7:8443", "[fd00::7]:8443"), sockets("192.168.1.7:8443", "[fd00::7]:8443"),
		reach{public: []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9")}}, 443)
	last := uint32(1<<32 - 1)
	foundations := map[string]bool{}
	for i, c := range list {
		line := c.line(i)
		got, err := ice.UnmarshalCandidate(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kind, tcp := ice.CandidateTypeHost, ice.TCPTypeUnspecified
		if c.mapped && !c.tcp {
			kind = ice.CandidateTypeServerReflexive
		}
		if c.tcp {
			tcp = ice.TCPTypePassive
		}
		if got.Address() != c.at.Addr().String() || got.Port() != int(c.at.Port()) || got.Type() != kind || got.TCPType() != tcp || got.Component() != 1 {
			t.Errorf("%s is read as %s", line, got)
		}
		if p := got.Priority(); p >= last && i != len(list)-2 { // the last two are for few

			t.Errorf("%s comes before the one above it", line)
		}
		last = got.Priority()
		foundations[got.Foundation()] = true
	}
	if len(foundations) != len(list) {
		t.Errorf("%d foundations for %d", len(foundations), len(list))
	}
}

func TestWithCandidates(t *testing.T) {
	const answer = "v=0\r\na=group:BUNDLE 0 1\r\nm=video 9 X\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=end-of-candidates\r\na=sendonly\r\n%sm=audio 9 X\r\na=mid:1\r\n"
	got := withCandidates(fmt.Sprintf(answer, ""), []string{"candidate:A", "candidate:B"})
	want := strings.Replace(strings.Replace(fmt.Sprintf(answer, "a=candidate:A\r\na=candidate:B\r\na=end-of-candidates\r\n"),
		"a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=end-of-candidates\r\n", "", 1), "\r\n\r\n", "\r\n", 1)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if mid := attribute(got, "mid"); mid != "0" {
		t.Errorf("the first section is %q", mid)
	}
}
