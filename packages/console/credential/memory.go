package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Key stands for a name and a secret in a Memory.
type Key [sha256.Size]byte

// Memory remembers for a while what was found out about secrets: a client that sends its own with every request must not
// cost a password hash each. It keeps a MAC under a key that is made anew with every start, so it holds no secrets. It
// may be used by many goroutines.
type Memory struct {
	keep time.Duration
	most int
	key  []byte

	mu   sync.Mutex
	seen map[Key]remembered // guarded by mu
}

type remembered struct {
	bind  string // what the secret was compared with
	until time.Time
}

// NewMemory returns a Memory of up to most secrets, each kept for keep.
func NewMemory(keep time.Duration, most int) *Memory {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails (crypto/rand)
	return &Memory{keep: keep, most: most, key: key, seen: map[Key]remembered{}}
}

// Key is how m remembers that name and secret.
func (m *Memory) Key(name, secret string) Key {
	h := hmac.New(sha256.New, m.key)
	fmt.Fprintf(h, "%d:%s%s", len(name), name, secret)
	return Key(h.Sum(nil))
}

// Recall reports whether k is remembered with that bind, a name for what it was compared with: where that has changed, what was
// found out is worth nothing.
func (m *Memory) Recall(k Key, bind string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.seen[k]
	return ok && c.bind == bind && time.Now().Before(c.until)
}

// Renew is Recall, and what is remembered is kept for longer: who comes again in time is never asked to pay again.
func (m *Memory) Renew(k Key, bind string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.seen[k]
	now := time.Now()
	if !ok || c.bind != bind || !now.Before(c.until) {
		return false
	}
	m.seen[k] = remembered{bind, now.Add(m.keep)}
	return true
}

// Remember keeps k with bind.
func (m *Memory) Remember(k Key, bind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(m.seen) >= m.most {
		for old, c := range m.seen {
			if now.After(c.until) {
				delete(m.seen, old)
			}
		}
	}
	// So many at a time that the map is still full means nothing but a fresh start.
	if len(m.seen) >= m.most {
		clear(m.seen)
	}
	m.seen[k] = remembered{bind, now.Add(m.keep)}
}

// Len is how many secrets are remembered.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.seen)
}
