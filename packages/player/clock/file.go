package clock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"porthole/packages/internal/durable"
)

const (
	fileName          = "clock.json"
	dirMode, fileMode = 0o700, 0o600
	// maxFile bounds what is read back, in bytes.
	maxFile = 4 << 10
)

// saved is what is kept.
type saved struct {
	Now time.Time `json:"now"`
	// System and Mono are the system's clock and Config.Mono at that moment, Proven what the system's clock was worth.
	System time.Time     `json:"system"`
	Mono   time.Duration `json:"mono_ns"`
	Proven bool          `json:"proven"`
}

// sameRun reports whether the device has not been restarted since, and its clock not been set.
func (s saved) sameRun(sys time.Time, mono time.Duration) bool {
	return s.Mono > 0 && mono >= s.Mono && sys.Sub(s.System.Add(mono-s.Mono)).Abs() <= step
}

func parse(b []byte) (saved, error) {
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return saved{}, fmt.Errorf("read last known time: %w", err)
	}
	if s.Now.IsZero() || s.Mono < 0 {
		return saved{}, errors.New("read last known time: something is missing")
	}
	return s, nil
}

// load returns what was kept; nothing, where nothing was.
func (c *Clock) load() (saved, error) {
	f, err := os.Open(filepath.Join(c.cfg.Dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return saved{}, nil
	}
	if err != nil {
		return saved{}, fmt.Errorf("read last known time: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return saved{}, fmt.Errorf("read last known time: %w", err)
	}
	return parse(b)
}

// save keeps what time it is. Only Run calls it.
func (c *Clock) save() {
	c.mu.Lock()
	now, _ := c.now()
	s := saved{Now: now.UTC(), System: c.system.at.UTC(), Mono: c.system.mono, Proven: c.proven}
	c.mu.Unlock()
	err := func() error {
		b, err := json.Marshal(s)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(c.cfg.Dir, dirMode); err != nil {
			return err
		}
		return durable.WriteFile(filepath.Join(c.cfg.Dir, fileName), b, fileMode)
	}()
	if err != nil && !c.failed {
		c.cfg.Log.Error("cannot keep the last known time", "err", err)
	}
	c.failed = err != nil
}
