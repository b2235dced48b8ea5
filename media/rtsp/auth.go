package rtsp

import (
	"crypto/hmac"
	"crypto/md5" // RFC 2617 Digest is MD5; readers know nothing better
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
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
)

// gate decides who may read. Nonces carry their own age and a MAC, so it keeps none of them.
type gate struct {
	key   [32]byte
	start time.Time

	mu sync.RWMutex
	// accounts holds HA1 in lowercase hex by user; guarded by mu.
	accounts map[string]string
	// open lets everybody in; guarded by mu.
	open bool
}

func newGate() *gate {
	g := &gate{start: time.Now()}
	_, _ = rand.Read(g.key[:]) // never fails (crypto/rand)
	return g
}

// setAccounts replaces the accounts. One whose HA1 is no MD5 in hex can never match, so it is left out.
func (g *gate) setAccounts(list []Account) {
	accounts := make(map[string]string, len(list))
	for _, a := range list {
		if b, err := hex.DecodeString(a.HA1); err == nil && len(b) == md5.Size {
			accounts[a.User] = strings.ToLower(a.HA1)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts = accounts
}

// check judges the credentials of a request for the given path.
func (g *gate) check(now time.Time, method base.Method, path string, header base.HeaderValue) verdict {
	g.mu.RLock()
	open, accounts := g.open, g.accounts
	g.mu.RUnlock()
	if open {
		return granted
	}
	// With several headers it is not clear whom the client claims to be.
	if len(header) != 1 {
		return missing
	}
	cred, err := parseAuthorization(header[0])
	if err != nil {
		return missing
	}
	ha1, known := accounts[cred.user]
	if !known {
		// As much work as for a known user.
		ha1 = strings.Repeat("0", 2*md5.Size)
	}
	if cred.basic {
		if same(md5Hex(cred.user+":"+Realm+":"+cred.password), ha1) && known {
			return granted
		}
		return denied
	}
	if !cred.answers(ha1, method) || !known || pathOf(cred.uri) != path {
		return denied
	}
	if !g.fresh(now, cred.nonce) {
		return stale
	}
	return granted
}

// answers reports whether the response fits (RFC 2617 section 3.2.2.1, without qop). Android's client puts a space
// behind the URI, in the header, in the hash or in both.
func (c credentials) answers(ha1 string, method base.Method) bool {
	trimmed := strings.TrimRight(c.uri, " ")
	ok := false
	for _, uri := range []string{c.uri, trimmed, trimmed + " "} {
		want := md5Hex(ha1 + ":" + c.nonce + ":" + md5Hex(string(method)+":"+uri))
		if same(want, strings.ToLower(c.response)) {
			ok = true
		}
	}
	return ok
}

// challenge returns the WWW-Authenticate headers: Digest before Basic, since readers take the first they know. Without
// algorithm and qop it is what the oldest readers expect.
func (g *gate) challenge(now time.Time, isStale bool) base.HeaderValue {
	digest := `Digest realm="` + Realm + `", nonce="` + g.nonce(now) + `"`
	if isStale {
		digest += `, stale=true`
	}
	return base.HeaderValue{digest, `Basic realm="` + Realm + `"`}
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

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
