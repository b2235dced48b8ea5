package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What a program may have at most, so that a server gone wrong does not fill its players.
const (
	MaxPlaylists  = 2000
	MaxItems      = 20000 // in all playlists
	MaxRules      = 5000
	MaxInterrupts = 1000
)

// Parse returns the program in b, which is JSON, or what is wrong with it. Fields that are not known are passed over: the
// server may be newer.
func Parse(b []byte) (Program, error) {
	var p Program
	if err := json.Unmarshal(b, &p); err != nil {
		return Program{}, fmt.Errorf("read program: %w", err)
	}
	if err := p.Validate(); err != nil {
		return Program{}, fmt.Errorf("read program: %w", err)
	}
	return p, nil
}

// Validate reports what is wrong with a program. A base or a rule whose playlist is not there is not wrong: it was never
// published.
func (p Program) Validate() error {
	items := 0
	ids := map[int64]bool{}
	for _, l := range p.Playlists {
		if l.ID <= 0 || ids[l.ID] {
			return fmt.Errorf("playlist %d: its id is wrong or used twice", l.ID)
		}
		ids[l.ID] = true
		if l.Transition != "cut" && l.Transition != "crossfade" {
			return fmt.Errorf("playlist %d: transition %q is not known", l.ID, l.Transition)
		}
		items += len(l.Items)
		for _, i := range l.Items {
			if err := i.check(); err != nil {
				return fmt.Errorf("playlist %d, item %d: %w", l.ID, i.ID, err)
			}
		}
	}
	switch {
	case len(p.Playlists) > MaxPlaylists:
		return fmt.Errorf("%d playlists; at most %d are taken", len(p.Playlists), MaxPlaylists)
	case items > MaxItems:
		return fmt.Errorf("%d items; at most %d are taken", items, MaxItems)
	case len(p.Rules) > MaxRules:
		return fmt.Errorf("%d rules; at most %d are taken", len(p.Rules), MaxRules)
	case len(p.Interrupts) > MaxInterrupts:
		return fmt.Errorf("%d interruptions; at most %d are taken", len(p.Interrupts), MaxInterrupts)
	}
	for _, r := range p.Rules {
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %d: %w", r.ID, err)
		}
	}
	for _, i := range p.Interrupts {
		if (i.Playlist == 0) == (i.Text == "") {
			return fmt.Errorf("interruption %d: it must have either a playlist or a text", i.ID)
		}
	}
	return nil
}

func (r Rule) check() error {
	switch {
	case r.FromMinute < 0 || r.FromMinute > 1439 || r.ToMinute < 1 || r.ToMinute > 1440:
		return errors.New("its minutes are not of a day")
	case r.Weekdays == 0 || r.Weekdays > 127:
		return errors.New("its days of the week are wrong")
	case r.Priority < 1 || r.Priority > 9:
		return errors.New("its priority is not 1 to 9")
	case r.Special < 0 || r.Special > 2:
		return errors.New("its target is not known")
	}
	for _, d := range []string{r.FromDate, r.ToDate} {
		// The year 0 is none in the calendar that people use.
		if _, err := time.Parse(time.DateOnly, d); d != "" && (err != nil || d < "0001") {
			return fmt.Errorf("its date %q is none", d)
		}
	}
	return nil
}

func (i Item) check() error {
	switch i.Fit {
	case "fit", "fill", "stretch":
	default:
		return fmt.Errorf("fit %q is not known", i.Fit)
	}
	const day = 24 * 60 * 60 * 1000
	if i.DurationMS < 0 || i.DurationMS > day || (i.DurationMS == 0 && i.Kind != "video") {
		return fmt.Errorf("a duration of %d ms is not possible", i.DurationMS)
	}
	missing := ""
	switch i.Kind {
	case "image", "video":
		if i.FileName == "" {
			missing = "file name"
		}
	case "camera":
		if i.Camera == "" {
			missing = "camera"
		}
	case "stream":
		if i.URL == "" {
			missing = "address"
		}
	case "text":
		if i.Text == "" {
			missing = "text"
		}
	default:
		return fmt.Errorf("kind %q is not known", i.Kind)
	}
	if missing != "" {
		return fmt.Errorf("its %s is missing", missing)
	}
	return nil
}
