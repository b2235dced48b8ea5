// Package intake takes porthole.toml off the boot partition: console gets what it says, once, and then its secrets leave
// the file.
package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/renameio/v2"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// Handover is what console gets.
type Handover struct {
	// Digest names the file's contents: SHA-256 in hex.
	Digest    string              `json:"digest"`
	Provision provision.File      `json:"provision"`
	Problems  []provision.Problem `json:"problems"`
}

// Config says where things lie.
type Config struct {
	Log *slog.Logger
	// BootDir may hold porthole.toml, StateDir is system's own folder.
	BootDir, StateDir string
	// Unlock makes BootDir writable until the returned function is called; nil if it always is.
	Unlock func() (lock func() error, err error)
}

// Intake is the file, as it was at start.
type Intake struct {
	log    *slog.Logger
	file   string
	unlock func() (func() error, error)
	// takenFile lists the digests of contents that were taken over, one a line; hostnameFile keeps the name.
	takenFile, hostnameFile string

	mu sync.Mutex
	// Guarded by mu.
	content  []byte
	handover *Handover
	hostname string
	lines    []string
	trouble  []string
}

// Open reads BootDir/porthole.toml if there is one. What is wrong with it, or with keeping what it says, is logged and
// told by Problems: the device comes up without it.
func Open(cfg Config) *Intake {
	in := &Intake{
		log: cfg.Log, file: filepath.Join(cfg.BootDir, provision.Name), unlock: cfg.Unlock,
		takenFile: filepath.Join(cfg.StateDir, "provisioned"), hostnameFile: filepath.Join(cfg.StateDir, "hostname"),
		hostname: "porthole",
	}
	if in.unlock == nil {
		in.unlock = func() (func() error, error) { return func() error { return nil }, nil }
	}
	if err := os.MkdirAll(cfg.StateDir, 0o700); err != nil {
		in.log.Error("system's folder cannot be made; nothing will be kept", "err", err)
	}
	if b, err := os.ReadFile(in.hostnameFile); err == nil {
		if name := strings.TrimSpace(string(b)); settings.CheckHostname(name) == nil {
			in.hostname = name
		}
	}
	content, err := readBounded(in.file)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			in.log.Error("porthole.toml cannot be read; going on without it", "err", err)
			in.trouble = append(in.trouble, fmt.Sprintf("porthole.toml on the card cannot be read: %v. Write it anew on a computer.", err))
		}
		return in
	}
	digest := digestOf(content)
	if in.taken(digest) {
		// The power went before its secrets could leave it, or somebody put the same file there again.
		in.content = content
		if redacted, changed := provision.Redact(content); changed {
			in.clear(redacted)
		}
		return in
	}
	file, problems := provision.Parse(content)
	for _, p := range problems {
		in.log.Warn("porthole.toml: this was left out", "line", p.Line, "key", p.Key, "reason", p.Reason)
		in.lines = append(in.lines, sentence(p))
	}
	if file.Hostname != "" && file.Hostname != in.hostname {
		if err := renameio.WriteFile(in.hostnameFile, []byte(file.Hostname+"\n"), 0o644); err != nil {
			in.log.Error("the hostname cannot be kept over a restart", "err", err)
		}
		in.hostname = file.Hostname
	}
	if problems == nil {
		problems = []provision.Problem{}
	}
	in.content = content
	in.handover = &Handover{Digest: digest, Provision: file, Problems: problems}
	return in
}

// sentence is a problem for a screen.
func sentence(p provision.Problem) string {
	switch {
	case p.Line > 0 && p.Key != "":
		return fmt.Sprintf("Line %d, %s: %s", p.Line, p.Key, p.Reason)
	case p.Line > 0:
		return fmt.Sprintf("Line %d: %s", p.Line, p.Reason)
	case p.Key != "":
		return fmt.Sprintf("%s: %s", p.Key, p.Reason)
	}
	return p.Reason
}

// Problems are sentences: on the lines that were left out when the file was read, which console is told too, and on what
// is wrong with the file as a whole.
func (in *Intake) Problems() (lines, trouble []string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.lines), slices.Clone(in.trouble)
}

// maxFile bounds what is read of the file, in bytes. It is more than Parse takes, so that Parse says that the file is too
// long and what it left out survives a rewrite.
const maxFile = 1 << 20

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Hostname is the device's name.
func (in *Intake) Hostname() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.hostname
}

// Handover returns what console should take over; false when there is nothing.
func (in *Intake) Handover() (Handover, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.handover == nil {
		return Handover{}, false
	}
	return *in.handover, true
}

// ErrOther means that the digest is not that of the present file.
var ErrOther = errors.New("another porthole.toml is waiting")

// Taken notes that console has stored the contents with this digest, and removes the secrets from the file. Calling
// it again is no error.
func (in *Intake) Taken(digest string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.handover == nil && in.taken(digest) {
		return nil
	}
	if in.handover == nil || in.handover.Digest != digest {
		return ErrOther
	}
	redacted, changed := provision.Redact(in.content)
	// Noted first: if the power goes in between, the next start clears the file, and it is never taken twice.
	if err := in.note(digest, digestOf(redacted)); err != nil {
		return err
	}
	in.handover = nil
	if !changed {
		return nil
	}
	in.clear(redacted)
	return nil
}

// clear puts the file without its secrets in place. If it cannot, the settings are safe all the same; that the secrets
// are still on the card is for a person to know.
func (in *Intake) clear(redacted []byte) {
	if err := in.rewrite(redacted); err != nil {
		in.log.Error("the secrets could not be removed from porthole.toml: delete it by hand", "err", err)
		in.trouble = append(in.trouble, "The passwords in porthole.toml could not be removed from the card. Delete the file on a computer.")
		return
	}
	in.log.Info("porthole.toml was taken over and its secrets removed")
}

// rewrite replaces the file unless somebody has changed it meanwhile.
func (in *Intake) rewrite(b []byte) error {
	if len(in.content) > maxFile {
		return fmt.Errorf("it has more than %d bytes", maxFile)
	}
	now, err := readBounded(in.file)
	if err != nil {
		return fmt.Errorf("read porthole.toml again: %w", err)
	}
	if digestOf(now) != digestOf(in.content) {
		return errors.New("it was changed meanwhile; restart to take it over")
	}
	lock, err := in.unlock()
	if err != nil {
		return err
	}
	err = renameio.WriteFile(in.file, b, 0o600)
	if lockErr := lock(); lockErr != nil {
		in.log.Warn("the boot partition stays writable", "err", lockErr)
	}
	if err != nil {
		return fmt.Errorf("write porthole.toml: %w", err)
	}
	return nil
}

func (in *Intake) taken(digest string) bool {
	b, err := os.ReadFile(in.takenFile)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == digest {
			return true
		}
	}
	return false
}

func (in *Intake) note(digests ...string) error {
	b, err := os.ReadFile(in.takenFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read which files were taken over: %w", err)
	}
	for _, d := range digests {
		b = append(b, d...)
		b = append(b, '\n')
	}
	if err := renameio.WriteFile(in.takenFile, b, 0o600); err != nil {
		return fmt.Errorf("note that porthole.toml was taken over: %w", err)
	}
	return nil
}
