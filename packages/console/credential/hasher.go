// Package credential checks passwords and codes: what is kept of them costs much to guess, who guesses is slowed down
// without slowing others down, and who is right is not asked to pay that cost with every request.
package credential

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
)

// MaxPassword bounds a password or code, in bytes: endless ones only cost time.
const MaxPassword = 1024

// hashCost is the second recommendation of the OWASP password storage cheat sheet for Argon2id: 19 MiB, two passes. On a
// Pi 3 that is about a third of a second.
var hashCost = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// Nobody is a hash that no password has, at the cost of a real one: who asks for an account that does not exist must
// not be able to tell by the time it takes.
const Nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// firstGuess is how long a hash takes before one was computed.
const firstGuess = 300 * time.Millisecond

// Line is a queue for a Hasher. Of each Name one waits for a slot at a time, so that nobody waits behind all the tries of
// another; who is not Inside never gets the last slot.
type Line struct {
	Inside bool
	Name   string
}

// Hasher computes password hashes, two at a time: the smallest board has 512 MB for everything.
type Hasher struct {
	slots, strangers chan struct{}
	// took is how long the last one took, in nanoseconds.
	took atomic.Int64

	mu    sync.Mutex
	turns map[Line]*turn // guarded by mu
}

// turn is who is next of a Line.
type turn struct {
	free    chan struct{} // holds one while nobody is at it
	waiting int           // guarded by Hasher.mu
}

// NewHasher returns a Hasher.
func NewHasher() *Hasher {
	h := &Hasher{slots: make(chan struct{}, 2), strangers: make(chan struct{}, 1), turns: map[Line]*turn{}}
	h.took.Store(int64(firstGuess))
	return h
}

// Hash returns the PHC string of a password, for somebody who is known. It waits for a slot until ctx ends.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	done, err := h.wait(ctx, Line{Inside: true, Name: "new"})
	if err != nil {
		return "", fmt.Errorf("wait to hash a password: %w", err)
	}
	defer done()
	s, err := argon2id.CreateHash(password, &hashCost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return s, nil
}

// Matches reports whether password has the hash. It waits in the line for a slot until ctx ends.
func (h *Hasher) Matches(ctx context.Context, from Line, password, hash string) (bool, error) {
	if len(password) > MaxPassword {
		return false, nil
	}
	done, err := h.wait(ctx, from)
	if err != nil {
		return false, fmt.Errorf("wait to check a password: %w", err)
	}
	defer done()
	start := time.Now()
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	h.took.Store(int64(time.Since(start)))
	return ok, nil
}

// Pretend takes as long as Matches and computes nothing, for a name that nobody has.
func (h *Hasher) Pretend(ctx context.Context) error {
	t := time.NewTimer(time.Duration(h.took.Load()))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait to refuse a password: %w", ctx.Err())
	case <-t.C:
		return nil
	}
}

// wait takes a slot; the caller gives it back with done.
func (h *Hasher) wait(ctx context.Context, l Line) (done func(), err error) {
	mine := h.enter(l)
	need := []chan struct{}{mine.free, h.slots}
	if !l.Inside {
		need = []chan struct{}{mine.free, h.strangers, h.slots}
	}
	undo := func(n int) {
		for _, c := range need[:n] {
			<-c
		}
		h.leave(l, mine)
	}
	for i, c := range need {
		select {
		case <-ctx.Done():
			undo(i)
			return nil, ctx.Err()
		case c <- struct{}{}:
		}
	}
	return func() { undo(len(need)) }, nil
}

func (h *Hasher) enter(l Line) *turn {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.turns[l]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		h.turns[l] = t
	}
	t.waiting++
	return t
}

func (h *Hasher) leave(l Line, t *turn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.waiting--; t.waiting == 0 {
		delete(h.turns, l)
	}
}
