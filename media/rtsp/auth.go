package rtsp

import (
	"crypto/hmac"
	"crypto/md5" // most readers know no other Digest than RFC 2617's
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const (
	// nonceLife is how long a Digest nonce is good. Requests inside a running session need none.
	nonceLife = 5 * time.Minute
	nonceMAC  = 16
)

// verdict is what a gate says of a request.
type verdict int

const (
	granted verdict = iota
	// missing: no credentials, or a scheme that was not offered.
	missing
	// stale: the right password under a nonce that is too old or of another process.
	stale
	// denied: a wrong user or password.
	denied
	// paused: too many wrong passwords came from there; this one was not looked at.
	paused
)

// question is a request as a gate sees it.
type question struct {
	method base.Method
	// path is the one that the request names; a Digest must be for it.
	path   string
	header base.HeaderValue
	// auth is what is asked of readers of what the request is about; from is where the reader sits.
	auth Auth
	from netip.Addr
}

// admission is a verdict and, if it is granted, how and for whom: "digest", "basic" or "open".
type admission struct {
	verdict verdict
	by      string
	user    string
}

// hashes are an account's HA1 in lowercase hex; sha is empty where it is not known.
type hashes struct{ md5, sha string }

// gate decides who may read. Nonces carry their own age and a MAC, so it keeps none of them.
type gate struct {
	key    [32]byte
	start  time.Time
	logins logins

	mu sync.RWMutex
	// Guarded by mu. sha says that every account has a hash of SHA-256; networks are those of NoAuth.
	accounts map[string]hashes
	sha      bool
	networks []netip.Prefix
	// open lets everybody in; set before the gate is used.
	open bool
}

func newGate() *gate {
	g := &gate{start: time.Now()}
	_, _ = rand.Read(g.key[:]) // never fails (crypto/rand)
	return g
}

// setAccounts replaces the accounts. One whose HA1 is no MD5 in hex can never match, so it is left out.
func (g *gate) setAccounts(list []Account) {
	accounts := make(map[string]hashes, len(list))
	sha := len(list) > 0
	for _, a := range list {
		if !isHex(a.HA1, md5.Size) {
			continue
		}
		h := hashes{md5: strings.ToLower(a.HA1)}
		if isHex(a.HA1SHA256, sha256.Size) {
			h.sha = strings.ToLower(a.HA1SHA256)
		}
		sha = sha && h.sha != ""
		accounts[a.User] = h
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts, g.sha = accounts, sha
}

func isHex(s string, size int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size
}

// setNetworks replaces the networks from which NoAuth asks nobody.
func (g *gate) setNetworks(list []netip.Prefix) {
	masked := make([]netip.Prefix, 0, len(list))
	for _, p := range list {
		if p.IsValid() {
			masked = append(masked, p.Masked())
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.networks = masked
}

// check judges a request's credentials and notes wrong ones.
func (g *gate) check(now time.Time, q question) admission {
	g.mu.RLock()
	accounts, networks := g.accounts, g.networks
	g.mu.RUnlock()
	if g.open || q.auth == NoAuth && within(networks, q.from) {
		return admission{by: "open"}
	}
	// With several headers it is not clear whom the client claims to be.
	if len(q.header) != 1 {
		return admission{verdict: missing}
	}
	cred, err := parseAuthorization(q.header[0])
	if err != nil || cred.basic && q.auth == DigestAuth || !cred.basic && q.auth == BasicAuth {
		return admission{verdict: missing}
	}
	if g.logins.paused(now, q.from, cred.user) {
		return admission{verdict: paused}
	}
	known, ok := accounts[cred.user]
	if !ok {
		// As much work as for a known user.
		known = hashes{md5: strings.Repeat("0", 2*md5.Size), sha: strings.Repeat("0", 2*sha256.Size)}
	}
	if !cred.match(known, q) || !ok {
		g.logins.failed(now, q.from, cred.user)
		return admission{verdict: denied}
	}
	if cred.basic {
		return admission{by: "basic", user: cred.user}
	}
	if !g.fresh(now, cred.nonce) {
		return admission{verdict: stale, user: cred.user}
	}
	return admission{by: "digest", user: cred.user}
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// match reports whether the password and the path are right.
func (c credentials) match(known hashes, q question) bool {
	if c.basic {
		return same(md5Hex(c.user+":"+Realm+":"+c.password), known.md5)
	}
	ha1 := known.md5
	if c.sha256 {
		ha1 = known.sha
	}
	return c.answers(ha1, q.method) && ha1 != "" && (pathOf(c.uri) == q.path || q.path == "" && c.uri == "*")
}

// answers reports whether the response fits (RFC 2617 section 3.2.2.1 without qop, RFC 7616 section 3.4.1 with it).
// Android's client puts a space behind the URI, in the header, in the hash or in both.
func (c credentials) answers(ha1 string, method base.Method) bool {
	hash, middle := md5Hex, ":"
	if c.sha256 {
		hash = sha256Hex
	}
	if c.qop != "" {
		middle = ":" + c.nc + ":" + c.cnonce + ":" + c.qop + ":"
	}
	trimmed := strings.TrimRight(c.uri, " ")
	ok := false
	for _, uri := range []string{c.uri, trimmed, trimmed + " "} {
		want := hash(ha1 + ":" + c.nonce + middle + hash(string(method)+":"+uri))
		if same(want, strings.ToLower(c.response)) {
			ok = true
		}
	}
	return ok
}

// challenge returns the WWW-Authenticate headers. Some readers take the first they know, others the last, and nobody may
// be led to one it cannot answer: SHA-256 is offered where Digest is demanded only, and in front of MD5, for ffmpeg takes
// the last Digest without a look at its algorithm. MD5 is without algorithm and qop, as the oldest readers expect it.
func (g *gate) challenge(now time.Time, auth Auth, isStale bool) base.HeaderValue {
	nonce := `realm="` + Realm + `", nonce="` + g.nonce(now) + `"`
	tail := ""
	if isStale {
		tail = `, stale=true`
	}
	const basic = `Basic realm="` + Realm + `"`
	switch auth {
	case BasicAuth:
		return base.HeaderValue{basic}
	case DigestAuth:
		g.mu.RLock()
		sha := g.sha
		g.mu.RUnlock()
		if !sha {
			return base.HeaderValue{"Digest " + nonce + tail}
		}
		return base.HeaderValue{"Digest " + nonce + `, algorithm=SHA-256, qop="auth"` + tail, "Digest " + nonce + tail}
	}
	return base.HeaderValue{"Digest " + nonce + tail, basic}
}

// nonce is the process's age in nanoseconds, which no step of the wall clock touches, and a MAC of it.
func (g *gate) nonce(now time.Time) string {
	var b [8 + nonceMAC]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.Sub(g.start)))
	copy(b[8:], g.mac(b[:8]))
	return hex.EncodeToString(b[:])
}

// fresh reports whether the nonce is this process's and not too old.
func (g *gate) fresh(now time.Time, nonce string) bool {
	b, err := hex.DecodeString(nonce)
	if err != nil || len(b) != 8+nonceMAC || !hmac.Equal(b[8:], g.mac(b[:8])) {
		return false
	}
	age := now.Sub(g.start) - time.Duration(binary.BigEndian.Uint64(b[:8]))
	return age >= 0 && age <= nonceLife
}

func (g *gate) mac(b []byte) []byte {
	m := hmac.New(sha256.New, g.key[:])
	m.Write(b)
	return m.Sum(nil)[:nonceMAC]
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
