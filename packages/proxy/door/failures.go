package door

import (
	"cmp"
	"container/list"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Failure is why TLS did not come about.
type failure uint8

// The failures.
const (
	// distrusts is a client that refused our certificate.
	distrusts failure = iota
	// outdated is a client for which the certificate is over, or has not begun: mostly its clock is wrong.
	outdated
	noVersion
	noCipher
	wentAway
	// noTLS is HTTP without TLS.
	noTLS
	// other is any other alert, and bytes that are no handshake.
	other
	failures
)

// String is the sentence that console shows behind the client's address.
func (f failure) String() string {
	return [...]string{"does not trust this certificate", "takes the certificate for expired: check its clock", "speaks no TLS version that we do",
		"no common cipher", "went away", "plain HTTP on the TLS port", "broke the handshake"}[f]
}

// HandshakeFailure is how often TLS did not come about with a client, for one reason.
type HandshakeFailure struct {
	// Address is the client's, without port.
	Address string `json:"address"`
	// Reason is for people: "does not trust this certificate".
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	// Last is when it was last so.
	Last time.Time `json:"last"`
}

// maxFailing bounds how many addresses are remembered.
const maxFailing = 256

// failing remembers with whom TLS does not come about.
type failing struct {
	total [failures]atomic.Uint64

	mu sync.Mutex // guards what follows
	// order holds *failingClient, who failed last in front.
	order   list.List
	clients map[netip.Addr]*list.Element
}

type failingClient struct {
	address netip.Addr
	near    bool
	counts  [failures]uint64
	last    [failures]time.Time
}

// add notes a failure. near means that the address is of a network of the device's own: strangers, who can be many, do not
// push out a screen on the wall.
func (f *failing) add(a netip.Addr, why failure, near bool, now time.Time) {
	f.total[why].Add(1)
	if !a.IsValid() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.clients[a]
	if e == nil {
		if f.clients == nil {
			f.clients = map[netip.Addr]*list.Element{}
		}
		if f.order.Len() == maxFailing {
			f.forget()
		}
		e = f.order.PushFront(&failingClient{address: a, near: near})
		f.clients[a] = e
	}
	f.order.MoveToFront(e)
	if c, ok := e.Value.(*failingClient); ok {
		c.counts[why]++
		c.last[why] = now
	}
}

// forget drops who failed longest ago, a stranger if there is one. The caller holds mu.
func (f *failing) forget() {
	victim := f.order.Back()
	for e := victim; e != nil; e = e.Prev() {
		if c, ok := e.Value.(*failingClient); ok && !c.near {
			victim = e
			break
		}
	}
	if c, ok := f.order.Remove(victim).(*failingClient); ok {
		delete(f.clients, c.address)
	}
}

// list returns what is remembered, the latest first.
func (f *failing) list() []HandshakeFailure {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []HandshakeFailure{}
	for e := f.order.Front(); e != nil; e = e.Next() {
		c, ok := e.Value.(*failingClient)
		if !ok {
			continue
		}
		for why, n := range c.counts {
			if n > 0 {
				all = append(all, HandshakeFailure{c.address.String(), failure(why).String(), n, c.last[why]})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b HandshakeFailure) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Reason, b.Reason))
	})
	return all
}

// totals counts the failures since the start, by reason.
func (f *failing) totals() map[string]uint64 {
	all := make(map[string]uint64, failures)
	for why := range f.total {
		all[failure(why).String()] = f.total[why].Load()
	}
	return all
}

// failureOf tells why a handshake failed; tail is what the client sent last. crypto/tls has no types for what it says of a
// ClientHello: real clients in the tests hold its texts fast.
func failureOf(err error, tail [alertRecord]byte) failure {
	if isTimeout(err) || reason(err) == left {
		return wentAway
	}
	text := err.Error()
	op := (*net.OpError)(nil)
	switch {
	case errors.As(err, &op) && op.Op == "remote error":
		for a := range alerts {
			if op.Err.Error() == a.Error() {
				return alerts[a]
			}
		}
	// OpenSSL sends its alert about a certificate of TLS 1.3 before it has changed to the keys that we read it with.
	case strings.HasPrefix(text, "local error: ") && tail[0] == recordAlert && tail[1] == 3 && tail[3] == 0 && tail[4] == 2:
		if why, ok := alerts[tls.AlertError(tail[6])]; ok {
			return why
		}
	case strings.Contains(text, "client offered only unsupported versions"):
		return noVersion
	case strings.Contains(text, "no cipher suite supported by both client and server"), strings.Contains(text, "no key exchanges supported by both"),
		strings.Contains(text, "peer doesn't support any of the certificate's signature algorithms"):
		return noCipher
	}
	return other
}

const (
	// recordAlert is the content type of a TLS record that holds an alert (RFC 8446 section 5.1).
	recordAlert = 21
	// alertRecord is the length of a record that holds one, in bytes.
	alertRecord = 7
)

// alerts are those of a client that tell (RFC 8446 section 6.2).
var alerts = map[tls.AlertError]failure{
	0: wentAway, 90: wentAway,
	40: noCipher, 71: noCipher,
	42: distrusts, 43: distrusts, 44: distrusts, 46: distrusts, 48: distrusts, 49: distrusts,
	45: outdated,
	70: noVersion,
}
