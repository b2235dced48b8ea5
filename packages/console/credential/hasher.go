// Package credential checks passwords and codes: what is kept of them costs much to guess, who guesses is slowed down, and
// who is right is not asked to pay that cost with every request.
package credential

import (
	"context"
	"fmt"

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

// Hasher computes password hashes, two at a time: the smallest board has 512 MB for everything.
type Hasher struct{ slots chan struct{} }

// NewHasher returns a Hasher.
func NewHasher() *Hasher { return &Hasher{make(chan struct{}, 2)} }

// Hash returns the PHC string of a password. It waits for a slot until ctx ends.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("wait to hash a password: %w", ctx.Err())
	case h.slots <- struct{}{}:
	}
	defer func() { <-h.slots }()
	s, err := argon2id.CreateHash(password, &hashCost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return s, nil
}

// Matches reports whether password has the hash. It waits for a slot until ctx ends.
func (h *Hasher) Matches(ctx context.Context, password, hash string) (bool, error) {
	if len(password) > MaxPassword {
		return false, nil
	}
	select {
	case <-ctx.Done():
		return false, fmt.Errorf("wait to check a password: %w", ctx.Err())
	case h.slots <- struct{}{}:
	}
	defer func() { <-h.slots }()
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err != nil {
		return false, fmt.Errorf("check password: %w", err)
	}
	return ok, nil
}
