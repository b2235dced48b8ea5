package door

import (
	"net/netip"
	"time"
)

// Failing is failing.
type Failing struct{ f failing }

// Add is failing.add.
func (f *Failing) Add(a netip.Addr, why int, near bool, now time.Time) {
	f.f.add(a, failure(why), near, now)
}

// List is failing.list.
func (f *Failing) List() []HandshakeFailure { return f.f.list() }
