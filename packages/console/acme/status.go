package acme

import (
	"crypto/x509"
	"slices"
	"sync"
	"time"
)

// NameState is how far the proof of a name is.
type NameState string

// A name waits for its turn, is being looked at, was proven, or could not be.
const (
	Waiting NameState = "waiting"
	Proving NameState = "proving"
	Proven  NameState = "proven"
	Failed  NameState = "failed"
)

// NameStatus is what is known of a name.
type NameStatus struct {
	Name  string    `json:"name"`
	State NameState `json:"state"`
	// Way is the challenge used: tls-alpn-01, http-01 or dns-01.
	Way string `json:"way,omitempty"`
	// Trouble says why it could not be proven, and what to do.
	Trouble string    `json:"trouble,omitempty"`
	Since   time.Time `json:"since"`
}

// PairStatus is a certificate in service.
type PairStatus struct {
	// Name is the pair's, Names what it is for.
	Name                string
	Names               []string
	Issuer              string
	NotBefore, NotAfter time.Time
	// Renew is when it will be renewed, Explained a page where the server says why then; empty where it is the usual time.
	Renew     time.Time
	Explained string
}

// Status is what a Manager does now.
type Status struct {
	// Wanted says that there are settings to follow.
	Wanted bool
	// Doing is what it does or waits for now, as the end of "This device is …", since when; Busy says that it works.
	Doing string
	Since time.Time
	Busy  bool
	// Trouble is why the last try failed and what to do, empty when it did not; Next when the next one is.
	Trouble   string
	TroubleAt time.Time
	Next      time.Time
	Failures  int
	// Rehearse says that the next try asks Let's Encrypt's test server first.
	Rehearse bool
	Names    []NameStatus
	Pairs    []PairStatus
}

// Urgent reports whether renewing fails and less than a third of a certificate's lifetime is left, or there is none at all.
func (s Status) Urgent(now time.Time) bool {
	if !s.Wanted || s.Trouble == "" {
		return false
	}
	if len(s.Pairs) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Pairs, func(p PairStatus) bool {
		return p.NotAfter.Sub(now) < p.NotAfter.Sub(p.NotBefore)/3
	})
}

// progress is the status as it is built.
type progress struct {
	now func() time.Time

	mu     sync.Mutex
	status Status            // guarded by mu
	ways   map[string]string // the challenge that last proved a name; guarded by mu
}

func (p *progress) read() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status
	s.Names, s.Pairs = slices.Clone(s.Names), slices.Clone(s.Pairs)
	return s
}

func (p *progress) change(f func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.status)
}

func (p *progress) set(doing string, busy bool) {
	p.change(func(s *Status) {
		if s.Doing != doing || s.Busy != busy {
			s.Doing, s.Busy, s.Since = doing, busy, p.now().UTC()
		}
	})
}

// doing says what is worked on, as the end of "This device is …".
func (p *progress) doing(what string) { p.set(what, true) }

// waits says what nothing can be done about now.
func (p *progress) waits(what string) { p.set(what, false) }

// names sets which names there are; what is known of those that stay, stays.
func (p *progress) names(names []string, known []NameStatus) {
	p.change(func(s *Status) {
		if len(s.Names) > 0 {
			known = s.Names
		}
		s.Names = nil
		for _, n := range names {
			i := slices.IndexFunc(known, func(o NameStatus) bool { return o.Name == n })
			if i < 0 {
				s.Names = append(s.Names, NameStatus{Name: n, State: Waiting, Since: p.now().UTC()})
				continue
			}
			s.Names = append(s.Names, known[i])
			if known[i].State == Proven {
				p.ways[n] = known[i].Way
			}
		}
	})
}

// name changes what is known of a name; an empty way leaves the one that is known.
func (p *progress) name(name string, state NameState, way, trouble string) {
	p.change(func(s *Status) {
		i := slices.IndexFunc(s.Names, func(o NameStatus) bool { return o.Name == name })
		if i < 0 {
			return
		}
		n := &s.Names[i]
		if way == "" {
			way = n.Way
		}
		*n = NameStatus{Name: name, State: state, Way: way, Trouble: trouble, Since: p.now().UTC()}
		if state == Proven && way != "" {
			p.ways[name] = way
		}
		if state == Proving {
			s.Doing, s.Busy, s.Since = "having "+name+" looked at", true, n.Since
		}
	})
}

// restart makes all names wait, as at the start of a try.
func (p *progress) restart() {
	p.change(func(s *Status) {
		for i := range s.Names {
			s.Names[i] = NameStatus{Name: s.Names[i].Name, State: Waiting, Way: s.Names[i].Way, Since: p.now().UTC()}
		}
	})
}

// way is the challenge that proved the name last, empty when none did.
func (p *progress) way(name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ways[name]
}

func pairStatus(name string, p pair, leaf *x509.Certificate) PairStatus {
	return PairStatus{
		Name: name, Names: p.Names, Issuer: leaf.Issuer.CommonName, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Renew: p.Renewal.due(leaf), Explained: p.Renewal.Why,
	}
}
