package trust

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"porthole/packages/internal/durable"
)

const (
	// maxDecisions bounds the audit log; every slackDecisions the file is written anew.
	maxDecisions   = 200
	slackDecisions = 50
	maxAudit       = 1 << 20 // bytes that are read of the file
)

// audit is the log of decisions: a file of JSON lines, and the last of them in memory.
type audit struct {
	log  *slog.Logger
	path string

	mu    sync.Mutex
	lines []Decision // the latest last; guarded by mu
	file  int        // lines in the file; guarded by mu
}

func openAudit(log *slog.Logger, path string) *audit {
	a := &audit{log: log, path: path}
	f, err := os.Open(path)
	if err != nil {
		return a
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAudit))
	if err != nil {
		log.Error("cannot read the log of decisions on certificates", "err", err)
	}
	a.lines = parseAudit(b)
	a.file = maxDecisions + slackDecisions // it may have lines that cannot be read: it is written anew with the next one
	return a
}

// parseAudit reads what it can: the last line may not be whole.
func parseAudit(b []byte) []Decision {
	var lines []Decision
	for line := range bytes.Lines(b) {
		var d Decision
		if err := json.Unmarshal(line, &d); err == nil && d.Action != "" {
			lines = append(lines, d)
		}
	}
	return slices.Clone(lines[max(0, len(lines)-maxDecisions):])
}

func (a *audit) add(d Decision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, d)
	if len(a.lines) > maxDecisions {
		a.lines = slices.Delete(a.lines, 0, len(a.lines)-maxDecisions)
	}
	a.file++
	err := a.append(d)
	if a.file >= maxDecisions+slackDecisions || err != nil {
		err = a.rewrite()
	}
	if err != nil {
		a.log.Error("cannot write the log of decisions on certificates", "err", err)
	}
}

// append writes one line. The caller holds mu.
func (a *audit) append(d Decision) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode decision: %w", err)
	}
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", filepath.Base(a.path), err)
	}
	defer f.Close()
	if _, err := f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(a.path), err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Base(a.path), err)
	}
	return nil
}

// rewrite writes all lines that are kept. The caller holds mu.
func (a *audit) rewrite() error {
	var all []byte
	for _, d := range a.lines {
		b, err := json.Marshal(d)
		if err != nil {
			return fmt.Errorf("encode decision: %w", err)
		}
		all = append(append(all, b...), '\n')
	}
	if err := durable.WriteFile(a.path, all, 0o600); err != nil {
		return err
	}
	a.file = len(a.lines)
	return nil
}

func (a *audit) list() []Decision {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := slices.Clone(a.lines)
	slices.Reverse(l)
	return l
}
