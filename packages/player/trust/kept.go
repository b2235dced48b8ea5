package trust

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/durable"
)

const (
	// maxServers bounds those that are remembered; the one that was not used for longest is forgotten.
	maxServers = 16
	// maxChain bounds the certificates of one that waits for approval, maxKept what is read of the file, in bytes.
	maxChain = 8
	maxKept  = 4 << 20
)

// kept is what is on the disk.
type kept struct {
	// Sealed says that pins were lost: nothing is taken at first sight.
	Sealed  bool     `json:"sealed,omitempty"`
	Servers []record `json:"servers"` // the one that was used last is last
}

// record is what is known of a server.
type record struct {
	Server string `json:"server"` // HOST:PORT
	// Leaf is the fingerprint of the certificate that was taken last, Public whether public CAs vouched for it.
	Leaf    string   `json:"leaf,omitempty"`
	Public  bool     `json:"public,omitempty"`
	Pins    []pin    `json:"pins,omitempty"`
	Pending *pending `json:"pending,omitempty"`
}

// pending is a certificate that waits for approval.
type pending struct {
	Time        time.Time `json:"time"`
	Fingerprint string    `json:"fingerprint"`
	Reason      string    `json:"reason"`
	Chain       [][]byte  `json:"chain"`
}

func newPending(chain []*x509.Certificate, why *RefusedError, now time.Time) *pending {
	p := &pending{Time: now.UTC(), Fingerprint: why.Fingerprint, Reason: why.Reason}
	for _, c := range chain[:min(len(chain), maxChain)] {
		p.Chain = append(p.Chain, c.Raw)
	}
	return p
}

// chain parses the certificates; the first has the fingerprint.
func (p *pending) chain() ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, der := range p.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 || certs.Fingerprint(chain[0]) != p.Fingerprint {
		return nil, errors.New("it does not have the fingerprint under which it was kept")
	}
	return chain, nil
}

// find returns what is known of a server, nil for nothing.
func (k *kept) find(server string) *record {
	if n := slices.IndexFunc(k.Servers, func(r record) bool { return r.Server == server }); n >= 0 {
		return &k.Servers[n]
	}
	return nil
}

// record returns a server's record, made if need be. It is then the one that was used last.
func (k *kept) record(server string) *record {
	r := record{Server: server}
	if n := slices.IndexFunc(k.Servers, func(r record) bool { return r.Server == server }); n >= 0 {
		r = k.Servers[n]
		k.Servers = slices.Delete(k.Servers, n, n+1)
	}
	k.Servers = append(k.Servers, r)
	return &k.Servers[len(k.Servers)-1]
}

// parseKept reads the file.
func parseKept(b []byte) (kept, error) {
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return kept{}, fmt.Errorf("read pins: %w", err)
	}
	if len(k.Servers) > maxServers {
		return kept{}, errors.New("read pins: too many servers")
	}
	for _, r := range k.Servers {
		if r.Server == "" {
			return kept{}, errors.New("read pins: a server has no name")
		}
		if slices.ContainsFunc(r.Pins, pin.damaged) {
			return kept{}, fmt.Errorf("read pins: a pin of %s is damaged", r.Server)
		}
		if r.Pending != nil {
			if _, err := r.Pending.chain(); err != nil {
				return kept{}, fmt.Errorf("read pins: what waits for %s is damaged: %w", r.Server, err)
			}
		}
	}
	return k, nil
}

// damaged reports whether a pin is none that we keep.
func (p pin) damaged() bool {
	sum := p.SHA256 != "" && plainHex(p.SHA256) == p.SHA256
	switch p.Kind {
	case kindName:
		return len(p.Names) == 0 || slices.Contains(p.Names, "")
	case kindKey:
		return !sum
	case kindCA:
		_, err := x509.ParseCertificate(p.CA)
		return !sum || err != nil
	}
	return true
}

func (t *Trust) file() string { return filepath.Join(t.cfg.Dir, "pins.json") }

// load reads what is kept. What is damaged is put aside and sealed off: whoever damages the file gains nothing.
func (t *Trust) load() {
	st, err := os.Stat(t.file())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return
	}
	var b []byte
	if err == nil && st.Size() > maxKept {
		err = errors.New("it is too large")
	}
	if err == nil {
		b, err = os.ReadFile(t.file())
	}
	if err == nil {
		t.kept, err = parseKept(b)
	}
	if err == nil {
		return
	}
	t.cfg.Log.Error("what was known of servers' certificates is lost", "err", err)
	t.kept = kept{Sealed: true}
	if err := os.Rename(t.file(), t.file()+".damaged"); err != nil {
		t.cfg.Log.Error("cannot put the damaged file aside", "err", err)
	}
	t.decided("", Forgotten, nil, "The file of pins could not be read. No certificate is taken at first sight until one has been approved.")
	t.save() //nolint:errcheck // it is logged
}

// save writes what is kept, forgetting servers beyond the bound. The caller holds mu.
func (t *Trust) save() error {
	for len(t.kept.Servers) > maxServers {
		t.decided(t.kept.Servers[0].Server, Forgotten, nil, "Other servers have been used since.")
		t.kept.Servers = slices.Delete(t.kept.Servers, 0, 1)
	}
	b, err := json.MarshalIndent(t.kept, "", " ")
	if err == nil {
		err = durable.WriteFile(t.file(), append(b, '\n'), 0o600)
	}
	if err != nil {
		t.cfg.Log.Error("cannot keep what is known of servers' certificates", "err", err)
		return fmt.Errorf("keep the decision: %w", err)
	}
	return nil
}
