package credential

import (
	"crypto/rand"
	"math/big"
	"strings"
)

// NewCode returns a code like BCDF-2345, for people to type: about 28 bits. It has no letters or digits that look alike, and no
// vowels, so that it never spells a word.
func NewCode() string {
	const letters, digits = "BCDFGHJKMNPRSTVWXYZ", "23456789"
	b := []byte("....-....")
	for i := range b {
		from := letters
		switch {
		case i == 4:
			continue
		case i > 4:
			from = digits
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(from))))
		if err != nil {
			panic("credential: " + err.Error()) //nolint:forbidigo // crypto/rand never fails
		}
		b[i] = from[n.Int64()]
	}
	return string(b)
}

// PlainCode is a code without what people type differently: case, spaces, hyphens and dashes.
func PlainCode(code string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '\u2013' || r == '\u2014' || r == '\u00a0' {
			return -1
		}
		return r
	}, strings.ToUpper(code))
}
