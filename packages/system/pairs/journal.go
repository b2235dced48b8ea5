package pairs

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/durable"
)

// ByDevice is the name of who did what nobody asked for.
const ByDevice = "the device"

const (
	// maxEvents bounds the journal; the oldest go first.
	maxEvents = 500
	// maxText bounds each text of an event, in bytes.
	maxText = 1000
	// maxJournal bounds what is read of the file, in bytes: escaped, a text may take six times its length.
	maxJournal = maxEvents * (3*6*maxText + 200)
)

// Event is something that happened to a pair, or to the device's authority.
type Event struct {
	// At is when; before certs.Epoch if the clock was not set and the device did not run until it was.
	At time.Time `json:"at"`
	// Certificate is the pair's name, or "ca".
	Certificate string `json:"certificate"`
	// What is one or more sentences.
	What string `json:"what"`
	// Who did it: an account's name, or "the device".
	Who string `json:"who"`
}

// Journal keeps the last events, over restarts.
type Journal struct {
	log  *slog.Logger
	file string
	// now is the time of day, running what has gone by since some moment, which setting the time of day does not move.
	now     func() time.Time
	running func() time.Duration

	mu sync.Mutex
	// Guarded by mu, oldest first. unset is when, by running, the last of them happened, as many as lack the time of day.
	events []Event
	unset  []time.Duration
}

// OpenJournal reads the journal in file, whose folder is there; a line that cannot be read is left out.
func OpenJournal(log *slog.Logger, file string) *Journal {
	start := time.Now()
	return openJournal(log, file, time.Now, func() time.Duration { return time.Since(start) })
}

func openJournal(log *slog.Logger, file string, now func() time.Time, running func() time.Duration) *Journal {
	j := &Journal{log: log, file: file, now: now, running: running}
	f, err := os.Open(file)
	if err != nil {
		if !os.IsNotExist(err) {
			log.Error("what happened to certificates before cannot be read", "err", err)
		}
		return j
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err != nil {
		log.Error("what happened to certificates before cannot be read", "err", err)
	}
	j.events = parseEvents(b)
	return j
}

func parseEvents(b []byte) []Event {
	var list []Event
	for line := range bytes.Lines(b) {
		var e Event
		if json.Unmarshal(line, &e) != nil || e.What == "" {
			continue
		}
		// A zone may lead out of the years that can be written.
		if e.At = e.At.UTC(); e.At.Year() >= 1 && e.At.Year() <= 9999 {
			list = append(list, Event{e.At, clean(e.Certificate), clean(e.What), clean(e.Who)})
		}
	}
	return list[max(0, len(list)-maxEvents):]
}

// Add takes an event down. That it cannot be kept is logged: what happened has happened.
func (j *Journal) Add(certificate, what, who string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	if now.Before(certs.Epoch()) {
		j.unset = append(j.unset, j.running())
	} else {
		j.settle(now)
	}
	j.events = append(j.events, Event{now.UTC().Truncate(time.Second), clean(certificate), clean(what), clean(who)})
	j.events = slices.Clone(j.events[max(0, len(j.events)-maxEvents):])
	j.write()
}

// Settle gives the events their times that happened in this run before the clock was set, once it is. It is cheap.
func (j *Journal) Settle() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now := j.now(); len(j.unset) > 0 && !now.Before(certs.Epoch()) {
		j.settle(now)
		j.write()
	}
}

// settle reckons back from now; the caller holds mu.
func (j *Journal) settle(now time.Time) {
	j.unset = j.unset[max(0, len(j.unset)-len(j.events)):]
	last := j.events[len(j.events)-len(j.unset):]
	for i, then := range j.unset {
		last[i].At = now.Add(then - j.running()).UTC().Truncate(time.Second)
	}
	j.unset = nil
}

// write keeps the events; the caller holds mu.
func (j *Journal) write() {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, e := range j.events {
		if err := enc.Encode(e); err != nil {
			j.log.Error("an event of a certificate cannot be kept", "err", err)
		}
	}
	if err := durable.WriteFile(j.file, b.Bytes(), 0o600); err != nil {
		j.log.Error("what happened to a certificate cannot be kept over a restart", "err", err)
	}
}

// Events returns the events, oldest first, at most 500.
func (j *Journal) Events() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Event{}, j.events...)
}

// clean makes one line of bounded length of a text that others gave.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, " "))
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
