package rtsp

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
)

// tokenPath is in front of a token in a URL's path.
const tokenPath = "t/"

// access says what the sources' owner lets readers have: it knows the streams by their ids and by their tokens. What is
// not in it does not exist for readers without trust.
type access struct {
	mu sync.RWMutex
	// Guarded by mu. Tokens are known by their SHA-256 only, so the time of a search tells nothing of them.
	auths  map[string]Auth
	tokens map[[sha256.Size]byte]string
}

// set replaces what is known.
func (a *access) set(list []Source) {
	auths := make(map[string]Auth, len(list))
	tokens := make(map[[sha256.Size]byte]string, len(list))
	for _, src := range list {
		auths[src.ID] = src.Auth
		if b, err := hex.DecodeString(src.TokenHash); err == nil && len(b) == sha256.Size {
			tokens[[sha256.Size]byte(b)] = src.ID
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.auths, a.tokens = auths, tokens
}

// find returns the stream that a path stands for, with what is asked of its readers. Without such a stream, stream is
// empty; byToken says that the path is of the form of a token's.
func (a *access) find(path string) (stream string, auth Auth, byToken bool) {
	token, byToken := strings.CutPrefix(path, tokenPath)
	a.mu.RLock()
	defer a.mu.RUnlock()
	if byToken {
		stream = a.tokens[sha256.Sum256([]byte(token))]
		return stream, a.auths[stream], true
	}
	if auth, ok := a.auths[path]; ok {
		return path, auth, false
	}
	return "", AnyAuth, false
}
