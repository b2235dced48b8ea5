package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"porthole/packages/internal/certs"
)

// Options say how a Manager works.
type Options struct {
	Log       *slog.Logger
	Keeper    Keeper
	Publisher Publisher
	Answers   *Answers
	// Version names this program to servers.
	Version string
	// Built is a time before which the clock cannot be right.
	Built time.Time
	// Port80 reports whether port 80 is open, for HTTP-01; nil means no.
	Port80 func() bool
	// Roots are trusted besides the system's and the settings' own, by servers and DNS providers.
	Roots []*x509.Certificate
	// Production and Staging are Let's Encrypt's directories; empty means its real ones.
	Production, Staging string
	// Resolvers are the name servers that DNS-01 looks at; none means the system's, and those of the zone.
	Resolvers []string
	// Lookup finds addresses of names, for explanations; nil means the system's resolver.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	// PollInterval is the pause between two questions of how far a server is; 0 means 2 s.
	PollInterval time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Manager gets and renews the certificates that the kept Settings ask for.
type Manager struct {
	o        Options
	now      func() time.Time
	progress progress
	wake     chan struct{}

	mu     sync.Mutex
	ledger ledger             // guarded by mu
	cancel context.CancelFunc // ends what is done now; guarded by mu
	forced bool               // somebody asked to try now; guarded by mu
}

// New returns a Manager, which does nothing before Run.
func New(o Options) *Manager {
	m := &Manager{o: o, now: o.Now, wake: make(chan struct{}, 1)}
	if m.now == nil {
		m.now = time.Now
	}
	if m.o.PollInterval == 0 {
		m.o.PollInterval = 2 * time.Second
	}
	if m.o.Production == "" {
		m.o.Production, m.o.Staging = LetsEncrypt, LetsEncryptStaging
	}
	if m.o.Lookup == nil {
		m.o.Lookup = func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		}
	}
	m.progress = progress{now: m.now, ways: map[string]string{}}
	return m
}

// Status returns what it does now.
func (m *Manager) Status() Status { return m.progress.read() }

// LoadSettings returns the kept settings, empty ones when there are none.
func LoadSettings(ctx context.Context, k interface {
	Load(ctx context.Context, key string) ([]byte, error)
}) (Settings, error) {
	b, err := k.Load(ctx, keySettings)
	if err != nil || b == nil {
		return Settings{RSA: true, Proof: Automatic}, err
	}
	var s Settings
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("decode settings of certificates: %w", err)
	}
	return s, nil
}

// NewSettings is what to keep so that a Manager follows s, which is normalized, and begins anew. The caller keeps it, in one
// transaction with whatever belongs to it, and calls Changed.
func NewSettings(s Settings) (map[string][]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode settings of certificates: %w", err)
	}
	return map[string][]byte{keySettings: b, keyTries: nil, keyOrder(PairECDSA): nil, keyOrder(PairRSA): nil}, nil
}

// Changed makes the Manager look at its settings anew: whatever it does for the old ones ends.
func (m *Manager) Changed() {
	m.mu.Lock()
	if m.cancel != nil {
		m.cancel()
	}
	m.mu.Unlock()
	m.poke()
}

// TryNow makes it try at once, as far as the servers' limits leave room, and ask when to renew.
func (m *Manager) TryNow() {
	m.mu.Lock()
	m.forced = !m.progress.read().Busy
	m.mu.Unlock()
	m.poke()
}

func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// The bounds of a pause: the clock may be set meanwhile.
const (
	pauseMin = 100 * time.Millisecond
	pauseMax = 10 * time.Minute
)

// Run follows the settings until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	var kept ledger
	if _, err := m.load(ctx, keyLedger, &kept); err != nil && ctx.Err() == nil {
		return err
	}
	m.mu.Lock()
	m.ledger = kept
	m.mu.Unlock()
	for ctx.Err() == nil {
		at := m.once(ctx)
		t := time.NewTimer(min(max(at.Sub(m.now()), pauseMin), pauseMax))
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// once does what is due and returns when to look again.
func (m *Manager) once(ctx context.Context) time.Time {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.mu.Lock()
	m.cancel = cancel
	forced := m.forced
	m.forced = false
	m.mu.Unlock()
	at, err := m.step(ctx, forced)
	if err != nil && ctx.Err() == nil {
		m.o.Log.Error("certificates cannot be looked after", "err", err)
		m.progress.waits("waiting: something is wrong here; console’s log says what")
		return m.now().Add(time.Minute)
	}
	return at
}

// step is once; an error is one of ours.
func (m *Manager) step(ctx context.Context, forced bool) (time.Time, error) {
	now := m.now()
	s, err := LoadSettings(ctx, m.o.Keeper)
	if err != nil {
		return now, err
	}
	var t tries
	if _, err := m.load(ctx, keyTries, &t); err != nil {
		return now, err
	}
	m.progress.change(func(st *Status) { st.Wanted = !s.Empty() })
	m.progress.names(s.Names, t.Names)
	m.progress.tries(t)
	if now.Before(m.o.Built) && !s.Empty() {
		m.progress.waits("waiting for the right time: its clock is not set yet. It gets it from the internet, or from your network’s time server")
		return now.Add(5 * time.Second), nil
	}
	published, err := m.o.Publisher.Published(ctx)
	if err != nil {
		m.progress.waits("waiting for its own process “system”, which does not answer yet")
		return now.Add(3 * time.Second), nil //nolint:nilerr // system may start after us: the page says so meanwhile
	}
	if err := m.retire(ctx, s, published); err != nil {
		return now, err
	}
	if s.Empty() {
		m.progress.change(func(st *Status) { st.Pairs = nil })
		m.progress.waits("")
		return now.Add(pauseMax), nil
	}
	jobs, next, err := m.due(ctx, s, published, forced)
	switch {
	case err != nil:
		return now, err
	case len(jobs) == 0:
		m.progress.waits("")
		return next, nil
	case now.Before(t.Next) && !forced:
		m.progress.waits("waiting for the next try")
		return t.Next, nil
	}
	return m.try(ctx, s, jobs, t)
}

// wanted are the pairs that the settings ask for.
func (s Settings) wanted() []string {
	switch {
	case s.Empty():
		return nil
	case s.RSA:
		return []string{PairECDSA, PairRSA}
	}
	return []string{PairECDSA}
}

// retire takes pairs out of service that are not asked for any more.
func (m *Manager) retire(ctx context.Context, s Settings, published map[string]string) error {
	for _, name := range []string{PairECDSA, PairRSA} {
		if slices.Contains(s.wanted(), name) {
			continue
		}
		if _, ok := published[name]; ok {
			if err := m.o.Publisher.Unpublish(ctx, name, "the settings no longer ask for it"); err != nil {
				return err
			}
		}
		if err := m.saveAll(ctx, map[string]any{keyPair(name): nil, keyOrder(name): nil}); err != nil {
			return err
		}
	}
	return nil
}

// directory is the server's address.
func (m *Manager) directory(s Settings) string {
	switch {
	case s.Directory != "":
		return s.Directory
	case s.Staging:
		return m.o.Staging
	}
	return m.o.Production
}

// due returns what to get now, and when to look again where that is nothing.
func (m *Manager) due(ctx context.Context, s Settings, published map[string]string, forced bool) (jobs []job, next time.Time, err error) {
	now := m.now()
	next = now.Add(renewalAskMax)
	var states []PairStatus
	for _, name := range s.wanted() {
		j := job{s: s, directory: m.directory(s), name: name, why: "the first one"}
		var p pair
		found, err := m.load(ctx, keyPair(name), &p)
		if err != nil {
			return nil, next, err
		}
		if !found {
			jobs = append(jobs, j)
			continue
		}
		leaf, err := p.leaf()
		if err != nil {
			return nil, next, err
		}
		served := published[name] == certs.Fingerprint(leaf)
		same := p.Directory == j.directory && slices.Equal(p.Names, s.Names)
		if same && (forced || !now.Before(p.Renewal.Ask)) {
			if p.Renewal, err = m.look(ctx, s, leaf, p.Renewal); err != nil {
				return nil, next, err
			}
			if err := m.save(ctx, keyPair(name), p); err != nil {
				return nil, next, err
			}
		}
		at := p.Renewal.due(leaf)
		switch {
		case !same:
			j.why = "the settings changed"
		case !served:
			j.why = "the last one was no longer in service"
		case !now.Before(at):
			j.why = "it was time to renew"
		default:
			j.why = ""
		}
		if served {
			states = append(states, pairStatus(name, p, leaf))
		}
		if j.why != "" {
			jobs = append(jobs, j)
			continue
		}
		for _, t := range []time.Time{at, p.Renewal.Ask} {
			if t.Before(next) {
				next = t
			}
		}
	}
	m.progress.change(func(st *Status) { st.Pairs = states })
	return jobs, next, nil
}

// look asks the server when to renew; it is no failure that it does not answer.
func (m *Manager) look(ctx context.Context, s Settings, leaf *x509.Certificate, before renewal) (renewal, error) {
	m.progress.doing("asking when to renew")
	c, err := m.open(ctx, s, m.directory(s))
	if err == nil {
		defer c.close()
		return m.askRenewal(ctx, c, leaf, before), ctx.Err()
	}
	if ctx.Err() == nil {
		m.o.Log.Info("the certificate server does not say when to renew", "err", err)
	}
	before.Ask = m.now().Add(renewalAskUsual)
	return before, ctx.Err()
}

// attempt gets all that is due.
func (m *Manager) attempt(ctx context.Context, s Settings, jobs []job, rehearse bool) error {
	if rehearse && s.public() && !s.Staging {
		m.progress.doing("rehearsing with Let’s Encrypt’s test server")
		err := m.with(ctx, s, m.o.Staging, func(c *client) error {
			return m.obtain(ctx, c, job{s: s, directory: m.o.Staging})
		})
		// A test server that is away, or has enough of us, is no reason not to ask the real one.
		if said := (*stepError)(nil); err != nil && (ctx.Err() != nil || !errors.As(err, &said) || said.about()) {
			return err
		}
		m.progress.restart()
	}
	m.progress.doing("asking " + serverText(m.directory(s), m.o))
	return m.with(ctx, s, m.directory(s), func(c *client) error {
		for _, j := range jobs {
			if err := m.obtain(ctx, c, j); err != nil {
				return err
			}
			m.o.Log.Info("certificate obtained", "certificate", j.name, "names", s.Names, "directory", j.directory, "why", j.why)
		}
		return nil
	})
}

// with opens a server for f. Where the server has forgotten the account, there is a new one.
func (m *Manager) with(ctx context.Context, s Settings, directory string, f func(*client) error) error {
	for first := true; ; first = false {
		c, err := m.open(ctx, s, directory)
		if err == nil {
			err = f(c)
			c.close()
		}
		if said, _ := asProblem(err); !first || said.Type != acme.ProblemTypeAccountDoesNotExist {
			return err
		}
		m.o.Log.Warn("the certificate server has forgotten the account; making another", "directory", directory)
		if err := m.saveAll(ctx, map[string]any{keyAccount(directory): nil}); err != nil {
			return err
		}
	}
}

// saveAll keeps several values at once; nil removes.
func (m *Manager) saveAll(ctx context.Context, values map[string]any) error {
	changes := map[string][]byte{}
	for k, v := range values {
		changes[k] = nil
		if v == nil {
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode %s: %w", k, err)
		}
		changes[k] = b
	}
	return m.o.Keeper.Save(context.WithoutCancel(ctx), changes)
}
