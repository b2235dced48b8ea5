package door

import (
	"context"
	"crypto/tls"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// outcome is what became of an accepted connection.
type outcome uint8

// The outcomes. Those from full on are refusals.
const (
	servedHTTP outcome = iota
	servedRTSP
	// servedICE was given to signaling.
	servedICE
	// sentToTLS is plain HTTP, answered with a redirect.
	sentToTLS
	// servedACME was relayed to console.
	servedACME
	// left is a client that went before it said what it wants: a port scan, a browser's spare connection.
	left

	// full is a connection over Limits.Open or Limits.OpenPerSource.
	full
	// crowded is one that had said nothing when too many did.
	crowded
	// slow is one that did not say in time what it wants.
	slow
	garbage
	// handshake is a failed TLS handshake; a client that does not trust the certificate, for example.
	handshake
	plainRTSP
	// stun is ICE that signaling did not take.
	stun
	// acme is a validation that nobody took, or one too many.
	acme
	// notAllowed is not on the allow list.
	notAllowed
	// logins is RTSP from where too many wrong passwords came.
	logins
	outcomes
)

func (o outcome) String() string {
	return [...]string{"http", "rtsp", "ice", "plain_http", "acme", "left", "full", "crowded", "slow", "garbage", "handshake", "plain_rtsp", "stun", "acme",
		"not_allowed", "logins"}[o]
}

type counters [outcomes]atomic.Uint64

func (c *counters) add(o outcome) { c[o].Add(1) }

func (c *counters) load() (now [outcomes]uint64) {
	for i := range now {
		now[i] = c[i].Load()
	}
	return now
}

// Status is what a Door has seen.
type Status struct {
	// Connections are open now, Undecided of them have not said yet what they want.
	Connections int `json:"connections"`
	Undecided   int `json:"undecided"`
	// Served counts since the start, by kind: http, rtsp, ice (given to signaling), plain_http (sent on to https), acme
	// (validations, relayed to console), left (gone without a word).
	Served map[string]uint64 `json:"served"`
	// Refused counts since the start, by reason: full, crowded, slow, garbage, handshake, plain_rtsp, stun, acme,
	// not_allowed, logins.
	Refused map[string]uint64 `json:"-"`
	// TLS counts handshakes since the start, by TLSName.
	TLS map[string]uint64 `json:"tls"`
	// Failed counts failed handshakes since the start, by reason.
	Failed map[string]uint64 `json:"-"`
}

// TLSName names what was negotiated: "TLS 1.3 TLS_AES_128_GCM_SHA256".
func TLSName(s tls.ConnectionState) string {
	return tls.VersionName(s.Version) + " " + tls.CipherSuiteName(s.CipherSuite)
}

// tlsCounts counts handshakes by TLSName.
type tlsCounts struct {
	mu     sync.Mutex
	counts map[string]uint64 // guarded by mu
}

func (c *tlsCounts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[string]uint64{}
	}
	c.counts[name]++
}

func (c *tlsCounts) load() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := make(map[string]uint64, len(c.counts))
	maps.Copy(now, c.counts)
	return now
}

// RefusedLogin counts RTSP from where too many wrong passwords came.
func (d *Door) RefusedLogin() { d.counts.add(logins) }

// NotAllowed counts who came to another port and may not.
func (d *Door) NotAllowed() { d.counts.add(notAllowed) }

// Malformed counts as garbage what was handed over as RTSP and is none.
func (d *Door) Malformed() { d.counts.add(garbage) }

// Status describes the door now.
func (d *Door) Status() Status {
	s := Status{Served: map[string]uint64{}, Refused: map[string]uint64{}, TLS: d.tls.load(), Failed: d.failing.totals()}
	s.Connections, s.Undecided = d.places.counts()
	for i, n := range d.counts.load() {
		o := outcome(i)
		if o >= full {
			s.Refused[o.String()] = n
		} else {
			s.Served[o.String()] = n
		}
	}
	return s
}

// report tells the log once per interval what was refused in it, never per connection: whoever can reach the port
// could fill the log.
func (d *Door) report(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before [outcomes]uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := d.counts.load()
		var attrs []slog.Attr
		for o := full; o < outcomes; o++ {
			if n := now[o] - before[o]; n > 0 {
				attrs = append(attrs, slog.Uint64(o.String(), n))
			}
		}
		before = now
		if len(attrs) > 0 {
			d.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "connections refused since the last report", attrs...)
		}
	}
}
