package live

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// candidate is an address that a viewer is told to try (RFC 8839 section 5.1). The viewer's ICE agent here need not know
// it: it answers whatever comes to its sockets.
type candidate struct {
	tcp bool
	at  netip.AddrPort
	// mapped: a router's, behind which we are.
	mapped bool
}

// sharedNetwork is between carriers and their customers (RFC 6598).
var sharedNetwork = netip.MustParsePrefix("100.64.0.0/10")

// private reports whether an address means nothing on the internet.
func private(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || sharedNetwork.Contains(a)
}

// acceptable reports whether Chromium takes a candidate at that address: of the ports below 1024 only 80 and 443, and
// those not at private addresses (libwebrtc, JsepTransportController::VerifyCandidate).
func acceptable(a netip.AddrPort) bool {
	port := a.Port()
	return port >= 1024 || (port == 80 || port == 443) && !private(a.Addr())
}

// candidates lists what a viewer is told: the UDP sockets offered, what is known of how routers pass on to us, and TCP on
// the shared port, which proxy hands over to us. locals are all UDP sockets there are.
func candidates(locals, offered []netip.AddrPort, r reach, shared uint16) []candidate {
	var all []candidate
	add := func(c candidate) {
		if !slices.ContainsFunc(all, func(o candidate) bool { return o.tcp == c.tcp && o.at == c.at }) {
			all = append(all, c)
		}
	}
	for _, a := range offered {
		if acceptable(a) {
			add(candidate{at: a})
		}
	}
	for _, a := range offered {
		if m, ok := r.mapped[a]; ok && acceptable(m) {
			add(candidate{at: m, mapped: true})
		}
	}
	if shared == 0 {
		return all
	}
	for _, a := range r.public {
		if at := netip.AddrPortFrom(a, shared); acceptable(at) {
			add(candidate{at: at, mapped: true})
		}
	}
	var late []candidate
	for _, a := range locals {
		switch at := netip.AddrPortFrom(a.Addr(), shared); {
		case acceptable(at):
			add(candidate{tcp: true, at: at})
		case a.Port() != shared:
			// Proxy has ICE on the number of our own UDP port, too. Some browsers also take the shared port.
			add(candidate{tcp: true, at: a})
			late = append(late, candidate{tcp: true, at: at})
		}
	}
	for _, a := range r.public {
		if at := netip.AddrPortFrom(a, shared); acceptable(at) {
			add(candidate{tcp: true, at: at, mapped: true})
		}
	}
	return append(all, late...)
}

// Type preferences (RFC 8445 section 5.1.2.2, RFC 6544 section 4.2): UDP before TCP, what is near before what is mapped.
const (
	preferUDP       = 126
	preferUDPMapped = 100
	preferTCP       = 90
	preferTCPMapped = 80
	// preferPassive is the direction preference of a passive candidate, in the upper bits of the local preference (RFC 6544
	// section 4.2).
	preferPassive = 4 << 13
)

// line is the candidate's attribute value; n is its place in the list.
func (c candidate) line(n int) string {
	kind, local, rest := preferUDP, 1<<16-1-n, "typ host"
	if c.mapped {
		kind = preferUDPMapped
		// The base is one of the host candidates; nobody needs it (RFC 8839 section 5.1).
		rest = "typ srflx raddr 0.0.0.0 rport 9"
		if c.at.Addr().Is6() {
			rest = "typ srflx raddr :: rport 9"
		}
	}
	protocol := "udp"
	if c.tcp {
		protocol, kind, local = "tcp", preferTCP, preferPassive+1<<13-1-n
		if c.mapped {
			kind = preferTCPMapped
		}
		// Some read no TCP type at other ones (pion).
		rest = "typ host tcptype passive"
	}
	return fmt.Sprintf("candidate:%d 1 %s %d %s %d %s", n+1, protocol, kind<<24|local<<8|255, c.at.Addr(), c.at.Port(), rest)
}

// withCandidates replaces the candidates in an SDP answer; they belong to its first media section, with which the others
// are bundled (RFC 9143).
func withCandidates(sdp string, lines []string) string {
	var out strings.Builder
	sections, written := 0, false
	write := func() {
		if sections == 0 || written {
			return
		}
		written = true
		for _, l := range lines {
			out.WriteString("a=" + l + "\r\n")
		}
		out.WriteString("a=end-of-candidates\r\n")
	}
	for line := range strings.Lines(sdp) {
		switch {
		case strings.HasPrefix(line, "a=candidate:"), strings.HasPrefix(line, "a=end-of-candidates"):
			continue
		case strings.HasPrefix(line, "m="):
			write()
			sections++
		}
		out.WriteString(line)
	}
	write()
	return out.String()
}

// attribute is the value of the first attribute of that name, empty if there is none.
func attribute(sdp, name string) string {
	for line := range strings.Lines(sdp) {
		if value, ok := strings.CutPrefix(line, "a="+name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
