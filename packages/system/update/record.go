package update

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"porthole/packages/internal/durable"
	"porthole/packages/internal/update"
)

// Files in the engine's folder.
const (
	stateFile   = "state.json"
	historyFile = "history.json"
	journalFile = "trial.log"
)

// recordFormat is state.json's.
const recordFormat = 1

// Bounds of what is read back, in bytes.
const (
	maxRecord  = 4 << 20
	maxHistory = 4 << 20
)

// record is state.json: how far the update has come. It is on the disk before what it says is done.
type record struct {
	Format int          `json:"format"`
	Phase  update.Phase `json:"phase"`

	ID string `json:"id,omitempty"`
	// From and Target are versions, TargetSlot is where the latter is written to.
	From       string    `json:"from,omitempty"`
	Target     string    `json:"target,omitempty"`
	TargetSlot string    `json:"target_slot,omitempty"`
	Who        string    `json:"who,omitempty"`
	Began      time.Time `json:"began,omitzero"`
	// Manifest and Signature are as they came.
	Manifest  []byte       `json:"manifest,omitempty"`
	Signature string       `json:"signature,omitempty"`
	Parts     []recordPart `json:"parts,omitempty"`
	// Back means that the other slot's former version is started again: it was not sent.
	Back bool `json:"back,omitempty"`

	// Try counts from 1 once it is armed. Before is which checks were passed by the version that ran then, by name; nil: nobody
	// looked, or it is lost.
	Try    int             `json:"try,omitempty"`
	Before map[string]bool `json:"before,omitempty"`
	// Undo means that the trial was ended by a check: the device restarts to the former version. Reason says why, as it
	// does for what has failed.
	Undo   bool   `json:"undo,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Seen means that the owner knows how it ended.
	Seen bool `json:"seen,omitempty"`

	// Kept are the versions of slots that were kept once and not written to since, by slot.
	Kept map[string]string `json:"kept,omitempty"`
	// Held is what the slot that does not run is known to hold, SHA-256 by part.
	Held map[string]string `json:"held,omitempty"`
}

type recordPart struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	// Local means that the running slot has it too, Done that it was read back from the other.
	Local bool `json:"local,omitempty"`
	Done  bool `json:"done,omitempty"`
}

// setDone notes whether a part is in the target.
func (r *record) setDone(name string, done bool) {
	for i := range r.Parts {
		if r.Parts[i].Name == name {
			r.Parts[i].Done = done
		}
	}
}

// clone returns a copy whose lists may be changed.
func (r record) clone() record {
	r.Parts = slices.Clone(r.Parts)
	r.Kept, r.Held = cloneMap(r.Kept), cloneMap(r.Held)
	return r
}

// cloneMap never returns nil.
func cloneMap(m map[string]string) map[string]string {
	c := make(map[string]string, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// fresh returns a record of nothing, which keeps what is known of the slots.
func (r record) fresh() record {
	return record{Format: recordFormat, Phase: update.Idle, Kept: cloneMap(r.Kept), Held: cloneMap(r.Held)}
}

// valid says whether a record makes sense: one that does not is treated as damaged.
func (r record) valid() error {
	if r.Format != recordFormat {
		return fmt.Errorf("format %d", r.Format)
	}
	switch r.Phase {
	case update.Idle, update.Kept, update.RolledBack, update.Failed:
		return nil
	case update.Receiving, update.Ready, update.Restarting, update.Trying:
	default:
		return fmt.Errorf("phase %q", r.Phase)
	}
	if r.TargetSlot != update.SlotA && r.TargetSlot != update.SlotB {
		return fmt.Errorf("phase %s with slot %q", r.Phase, r.TargetSlot)
	}
	if r.Try < 0 || r.Try > MaxTries || (r.Phase == update.Restarting || r.Phase == update.Trying) && r.Try == 0 {
		return fmt.Errorf("phase %s with try %d", r.Phase, r.Try)
	}
	return nil
}

// newID names an update.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// parseRecord reads state.json.
func parseRecord(b []byte) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, err
	}
	if err := r.valid(); err != nil {
		return record{}, err
	}
	return r, nil
}

// readRecord reads state.json. There need not be one: a record of nothing then. An error means that it is damaged.
func readRecord(dir string) (record, error) {
	b, err := readBounded(filepath.Join(dir, stateFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}.fresh(), nil
	}
	if err != nil {
		return record{}.fresh(), fmt.Errorf("read the record of updates: %w", err)
	}
	r, err := parseRecord(b)
	if err != nil {
		return record{}.fresh(), fmt.Errorf("read the record of updates: %w", err)
	}
	return r, nil
}

func readBounded(path string, most int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, st.Size(), most)
	}
	return os.ReadFile(path)
}

// writeRecord puts state.json on the disk.
func writeRecord(dir string, r record) error {
	r.Format = recordFormat
	return writeJSON(filepath.Join(dir, stateFile), r)
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// parseHistory reads history.json.
func parseHistory(b []byte) ([]update.Event, error) {
	var h struct {
		Format int
		Events []update.Event
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, err
	}
	if h.Format != recordFormat {
		return nil, fmt.Errorf("format %d", h.Format)
	}
	return h.Events[:min(len(h.Events), update.MaxHistory)], nil
}

func readHistory(dir string) ([]update.Event, error) {
	b, err := readBounded(filepath.Join(dir, historyFile), maxHistory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the history of updates: %w", err)
	}
	h, err := parseHistory(b)
	if err != nil {
		return nil, fmt.Errorf("read the history of updates: %w", err)
	}
	return h, nil
}

func writeHistory(dir string, events []update.Event) error {
	return writeJSON(filepath.Join(dir, historyFile), map[string]any{"format": recordFormat, "events": events})
}
