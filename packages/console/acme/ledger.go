package acme

import (
	"slices"
	"strings"
	"time"
)

// The kinds of what servers count.
const (
	failedProof = "failed" // a failed validation, of one name
	newOrder    = "order"
	issued      = "issued" // a certificate for one set of names that replaced none
)

// event is something that counts towards a server's limits.
type event struct {
	At        time.Time `json:"at"`
	Directory string    `json:"directory"`
	Kind      string    `json:"kind"`
	// What is a name, or a set of names; empty for orders.
	What string `json:"what,omitempty"`
}

// limit allows so many events of a kind within a time.
type limit struct {
	kind   string
	most   int
	within time.Duration
}

// limitsOf are how often we ask a server. Those for Let's Encrypt stay below its own (letsencrypt.org/docs/rate-limits: 5 failed
// validations per name and hour, 300 orders per 3 hours, 5 certificates for the same names per week); its test server and
// others allow more.
func limitsOf(letsEncrypt bool) []limit {
	if letsEncrypt {
		return []limit{{failedProof, 4, time.Hour}, {newOrder, 50, 3 * time.Hour}, {issued, 4, 7 * 24 * time.Hour}}
	}
	return []limit{{failedProof, 20, time.Hour}, {newOrder, 100, 3 * time.Hour}, {issued, 50, 7 * 24 * time.Hour}}
}

// ledgerKept is how long events count at all.
const ledgerKept = 7 * 24 * time.Hour

// ledger is what a server was asked for lately.
type ledger struct {
	Events []event `json:"events"`
}

// nameSet is a set of names as an event's What.
func nameSet(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, " ")
}

// add counts an event and forgets what no longer counts. What seems to come from the future was written by a wrong clock.
func (l *ledger) add(e event) {
	l.Events = slices.DeleteFunc(l.Events, func(o event) bool { return e.At.Sub(o.At) > ledgerKept || o.At.After(e.At) })
	l.Events = append(l.Events, e)
}

// free returns when the next event like e is allowed: now, or later.
func (l *ledger) free(now time.Time, letsEncrypt bool, e event) time.Time {
	at := now
	for _, lim := range limitsOf(letsEncrypt) {
		if lim.kind != e.Kind {
			continue
		}
		var counted []time.Time
		for _, o := range l.Events {
			if o.Directory == e.Directory && o.Kind == e.Kind && o.What == e.What && !o.At.After(now) && now.Sub(o.At) < lim.within {
				counted = append(counted, o.At)
			}
		}
		if len(counted) < lim.most {
			continue
		}
		slices.SortFunc(counted, time.Time.Compare)
		if next := counted[len(counted)-lim.most].Add(lim.within); next.After(at) {
			at = next
		}
	}
	return at
}
