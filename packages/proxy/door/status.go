package door

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// outcome is what became of an accepted connection.
type outcome uint8

// The outcomes. Those from full on are refusals.
const (
	servedHTTP outcome = iota
	servedRTSP
	// sentToTLS is plain HTTP, answered with a redirect.
	sentToTLS
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
	// stun and acme are not served by this version.
	stun
	acme
	outcomes
)

func (o outcome) String() string {
	return [...]string{"http", "rtsp", "plain_http", "left", "full", "crowded", "slow", "garbage", "handshake", "plain_rtsp", "stun", "acme"}[o]
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
	// Served counts since the start, by kind: http, rtsp, plain_http (sent on to https), left (gone without a word).
	Served map[string]uint64 `json:"served"`
	// Refused counts since the start, by reason: full, crowded, slow, garbage, handshake, plain_rtsp, stun, acme.
	Refused map[string]uint64 `json:"-"`
}

// Status describes the door now.
func (d *Door) Status() Status {
	s := Status{Served: map[string]uint64{}, Refused: map[string]uint64{}}
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
