// Package facts gathers what the status screen says of this device, from whoever knows it and as soon as they do. What
// was known stays known while somebody does not answer.
package facts

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"
)

const (
	// soon is how long to wait for somebody who does not answer yet, or for what is about to change.
	soon = 500 * time.Millisecond
	// later is how long what was told is believed.
	later = 15 * time.Second
	// answerWithin bounds one question.
	answerWithin = 5 * time.Second
)

// Facts are what is known; empty fields are not known yet.
type Facts struct {
	// Kernel is the kernel's name for this device.
	Kernel    string
	Addresses []netip.Addr
	// Fingerprint is the short form of the SHA-256 of the authority's certificate, which people install: its first eight bytes, as
	// the console shows it.
	Fingerprint string
	// Unreachable says that there is no certificate and none can be made: nobody can open the console.
	Unreachable bool
	Claim       Claim
	// Problems are what system says is wrong; until it has answered, what init has left about the storage.
	Problems []Problem
}

// Problem is a sentence for the owner.
type Problem struct {
	// Area is what it is about, for example "storage" (docs/architecture.md).
	Area string `json:"area"`
	Text string `json:"text"`
}

// FileArea is the area of what was refused of porthole.toml.
const FileArea = "porthole.toml"

// Claim says whether the device has an owner.
type Claim struct {
	// Known is false until console has said it.
	Known   bool   `json:"-"`
	Claimed bool   `json:"claimed"`
	Code    string `json:"code"`
	// Closed says that the time in which the code is good is over until the device is started again; Restart how to do that.
	Closed  bool   `json:"closed"`
	Restart string `json:"restart"`
}

// Caller asks another process (unixsock.Client).
type Caller interface {
	Call(ctx context.Context, method, target string, in, out any) (int, error)
}

// Config is what a Gatherer needs.
type Config struct {
	System, Console Caller
	// StorageFile is where init leaves word of persistent storage.
	StorageFile string
	// Hostname and Addresses ask the kernel; nil for os.Hostname and Addresses of this package.
	Hostname  func() (string, error)
	Addresses func() ([]netip.Addr, error)
	// Changed is called with the facts at first and whenever one has changed, one call after the other.
	Changed func(Facts)
}

// Gatherer asks for facts.
type Gatherer struct {
	cfg  Config
	news chan struct{}

	mu    sync.Mutex // guards facts, and is held while Changed is called
	facts Facts
	// told says that system has said what is wrong, served that it has said whether there is a certificate.
	told, served bool
}

// New returns a Gatherer that knows what the kernel says. Run asks the others.
func New(cfg Config) *Gatherer {
	if cfg.Hostname == nil {
		cfg.Hostname = os.Hostname
	}
	if cfg.Addresses == nil {
		cfg.Addresses = Addresses
	}
	return &Gatherer{cfg: cfg, news: make(chan struct{}, 1)}
}

// Ask makes Run ask console at once: something has changed there.
func (g *Gatherer) Ask() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// Run calls Changed at once, and asks everybody until ctx ends.
func (g *Gatherer) Run(ctx context.Context) {
	first := Facts{Kernel: g.kernel(), Addresses: g.addresses()}
	first.Problems, first.Unreachable = g.storage()
	g.mu.Lock()
	g.facts = first
	g.cfg.Changed(first)
	g.mu.Unlock()

	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		repeat(ctx, nil, func() time.Duration {
			name, addresses := g.kernel(), g.addresses()
			problems, lost := g.storage()
			g.update(func(f *Facts) {
				f.Kernel, f.Addresses = name, addresses
				if !g.told {
					f.Problems = problems
				}
				if !g.served {
					f.Unreachable = lost
				}
			})
			return 2 * soon
		})
	})
	wg.Go(func() { repeat(ctx, nil, func() time.Duration { return g.certificate(ctx) }) })
	wg.Go(func() { repeat(ctx, nil, func() time.Duration { return g.problems(ctx) }) })
	wg.Go(func() { repeat(ctx, g.news, func() time.Duration { return g.claim(ctx) }) })
}

// repeat calls ask until ctx ends, after the time it returns or when there is news.
func repeat(ctx context.Context, news <-chan struct{}, ask func() time.Duration) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-news:
		}
		t.Reset(ask())
	}
}

// update changes facts, and says so if they differ now.
func (g *Gatherer) update(change func(*Facts)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.facts
	change(&g.facts)
	if !reflect.DeepEqual(before, g.facts) {
		g.cfg.Changed(g.facts)
	}
}

func (g *Gatherer) kernel() string {
	name, err := g.cfg.Hostname()
	if err != nil || name == "(none)" {
		// The kernel's word for no name.
		return ""
	}
	return name
}

func (g *Gatherer) addresses() []netip.Addr {
	list, err := g.cfg.Addresses()
	if err != nil {
		return nil
	}
	return list
}

// storage reads what init has left of the storage, and whether there is none, and so no certificate; on a machine without
// init there is nothing.
func (g *Gatherer) storage() (problems []Problem, lost bool) {
	b, err := os.ReadFile(g.cfg.StorageFile)
	if err != nil {
		return nil, false
	}
	var status struct {
		State   string `json:"state"`
		Problem string `json:"problem"`
	}
	if json.Unmarshal(b, &status) != nil || status.Problem == "" {
		return nil, false
	}
	return []Problem{{"storage", status.Problem}}, status.State == "failed"
}

func (g *Gatherer) problems(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer struct {
		Problems []Problem `json:"problems"`
	}
	if _, err := g.cfg.System.Call(ctx, http.MethodGet, "/problems", nil, &answer); err != nil {
		return soon
	}
	if len(answer.Problems) == 0 {
		answer.Problems = nil
	}
	g.update(func(f *Facts) { f.Problems, g.told = answer.Problems, true })
	return 10 * soon
}

func (g *Gatherer) certificate(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer struct {
		CA      string `json:"ca_sha256"`
		Leaf    string `json:"leaf_sha256"`
		Problem string `json:"problem"`
	}
	if _, err := g.cfg.System.Call(ctx, http.MethodGet, "/certificate", nil, &answer); err != nil {
		return soon
	}
	short := shortForm(answer.CA)
	none := answer.Leaf == "" && answer.Problem != ""
	g.update(func(f *Facts) {
		g.served, f.Unreachable = true, none
		if short != "" {
			f.Fingerprint = short
		}
	})
	if none {
		return 2 * soon
	}
	return later
}

// shortForm writes the first eight bytes of a hash as certificates' are written: AB:CD:…
func shortForm(sha256 string) string {
	sum, err := hex.DecodeString(strings.ReplaceAll(sha256, ":", ""))
	if err != nil || len(sum) < 8 {
		return ""
	}
	parts := make([]string, 8)
	for i := range parts {
		parts[i] = strings.ToUpper(hex.EncodeToString(sum[i : i+1]))
	}
	return strings.Join(parts, ":")
}

func (g *Gatherer) claim(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer Claim
	if _, err := g.cfg.Console.Call(ctx, http.MethodGet, "/claim", nil, &answer); err != nil {
		return soon
	}
	answer.Known = true
	g.update(func(f *Facts) { f.Claim = answer })
	if !answer.Claimed {
		return 2 * soon
	}
	return later
}
