// Package intake takes porthole.toml and certificates' files off the boot partition: console gets what they say, once, and
// then the secrets leave the card.
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
	// Digest names all of it: SHA-256 in hex.
	Digest string `json:"digest"`
	// Provision is what porthole.toml says, empty if there is none or it was taken over before.
	Provision provision.File      `json:"provision"`
	Problems  []provision.Problem `json:"problems"`
	// Files are the certificates' files, none if they were all taken over before.
	Files []File `json:"files"`
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
	log *slog.Logger
	// dir is the boot partition, file porthole.toml on it.
	dir, file string
	unlock    func() (func() error, error)
	// takenFile lists the digests of what was taken over, one a line; hostnameFile keeps the name.
	takenFile, hostnameFile string

	mu sync.Mutex
	// Guarded by mu. content is that of porthole.toml, fresh says that it waits to be taken over.
	content  []byte
	fresh    bool
	handover *Handover
	hostname string
	lines    []string
	trouble  []string
}

// Open reads BootDir/porthole.toml and certificates' files, if there are any. What is wrong with them, or with keeping what
// they say, is logged and told by Problems: the device comes up without them.
func Open(cfg Config) *Intake {
	in := &Intake{
		log: cfg.Log, dir: cfg.BootDir, file: filepath.Join(cfg.BootDir, provision.Name), unlock: cfg.Unlock,
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
	h := &Handover{Problems: []provision.Problem{}}
	in.openFile(h)
	h.Files = in.openCertificates()
	switch {
	case h.Files != nil:
		var all strings.Builder
		if in.fresh {
			all.WriteString(digestOf(in.content))
		}
		for _, f := range h.Files {
			all.WriteString(f.digest())
		}
		h.Digest, in.handover = digestOf([]byte(all.String())), h
	case in.fresh:
		h.Digest, h.Files, in.handover = digestOf(in.content), []File{}, h
	}
	return in
}

// openFile reads porthole.toml into h.
func (in *Intake) openFile(h *Handover) {
	content, err := readBounded(in.file, maxFile)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			in.log.Error("porthole.toml cannot be read; going on without it", "err", err)
			in.trouble = append(in.trouble, fmt.Sprintf("porthole.toml on the card cannot be read: %v. Write it anew on a computer.", err))
		}
		return
	}
	in.content = content
	if in.taken(digestOf(content)) {
		// The power went before its secrets could leave it, or somebody put the same file there again.
		if redacted, changed := provision.Redact(content); changed {
			in.clear(redacted)
		}
		return
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
	in.fresh, h.Provision, h.Problems = true, file, append(h.Problems, problems...)
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

// readBounded reads most bytes of a file, and one more if it has more.
func readBounded(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
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

// ErrOther means that the digest is not that of what waits.
var ErrOther = errors.New("something else is waiting to be taken over")

// Taken notes that console has stored the contents with this digest, and removes the secrets from the card. keepFiles leaves
// the certificate's files there, which were refused: they are handed over again at the next start. Calling it again is no error.
func (in *Intake) Taken(digest string, keepFiles bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.handover == nil && in.taken(digest) {
		return nil
	}
	if in.handover == nil || in.handover.Digest != digest {
		return ErrOther
	}
	files := in.handover.Files
	if keepFiles {
		files = nil
	}
	digests := []string{digest}
	redacted, changed := provision.Redact(in.content)
	if in.fresh {
		digests = append(digests, digestOf(in.content), digestOf(redacted))
	}
	for _, f := range files {
		digests = append(digests, f.digest())
	}
	// Noted first: if the power goes in between, the next start clears the card, and nothing is ever taken twice.
	if err := in.note(digests...); err != nil {
		return err
	}
	in.handover = nil
	if in.fresh && changed {
		in.clear(redacted)
	}
	in.removePrivate(files)
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
	now, err := readBounded(in.file, maxFile)
	if err != nil {
		return fmt.Errorf("read porthole.toml again: %w", err)
	}
	if digestOf(now) != digestOf(in.content) {
		return errors.New("it was changed meanwhile; restart to take it over")
	}
	return in.unlocked(func() error {
		if err := renameio.WriteFile(in.file, b, 0o600); err != nil {
			return fmt.Errorf("write porthole.toml: %w", err)
		}
		return nil
	})
}

// unlocked runs change while the boot partition is writable.
func (in *Intake) unlocked(change func() error) error {
	lock, err := in.unlock()
	if err != nil {
		return err
	}
	err = change()
	if lockErr := lock(); lockErr != nil {
		in.log.Warn("the boot partition stays writable", "err", lockErr)
	}
	return err
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
		return fmt.Errorf("note what was taken over: %w", err)
	}
	return nil
}
