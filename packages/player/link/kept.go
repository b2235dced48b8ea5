package link

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"porthole/packages/internal/durable"
)

// kept is what is known of the one server, on the disk: readable by player only, as the auth code is as good as a password.
type kept struct {
	// For tells whose it is: of the server's address and of the credentials with which the code was got.
	For        string `json:"for"`
	PlayerID   int64  `json:"player_id,omitempty"`
	PlayerName string `json:"player_name,omitempty"`
	AuthCode   string `json:"auth_code,omitempty"`
	// Orientation is what an original server says of the screen.
	Orientation string `json:"orientation,omitempty"`
	// Revision is the number given to the last playlist of an original server, Digest tells that playlist from others.
	Revision int64  `json:"revision,omitempty"`
	Digest   string `json:"digest,omitempty"`
}

// maxKept bounds what is read of the file, in bytes.
const maxKept = 64 << 10

// owner names the server and the credentials of a setup. Another name of the device changes neither.
func (s setup) owner() string {
	sum := sha256.Sum256([]byte(s.server + "\x00" + s.named + "\x00" + s.code))
	return hex.EncodeToString(sum[:])
}

func (l *Link) keptFile() string { return filepath.Join(l.cfg.Dir, "server.json") }

// loadKept reads what is known of the server of s. What is of another one, or damaged, is nothing: the screen then shows
// its code or asks to be paired.
func (l *Link) loadKept(s setup) kept {
	fresh := kept{For: s.owner()}
	f, err := os.Open(l.keptFile())
	if errors.Is(err, fs.ErrNotExist) {
		return fresh
	}
	var b []byte
	if err == nil {
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxKept))
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil {
		l.cfg.Log.Warn("what was known of the signage server is lost", "err", err)
		return fresh
	}
	if k.For != fresh.For {
		return fresh
	}
	return k
}

func (l *Link) saveKept(k kept) {
	b, err := json.Marshal(k)
	if err == nil {
		err = durable.WriteFile(l.keptFile(), append(b, '\n'), 0o600)
	}
	if err != nil {
		// It works until the restart.
		l.cfg.Log.Error("cannot keep the signage server’s auth code", "err", err)
	}
}
