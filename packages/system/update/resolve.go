package update

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"porthole/packages/internal/bootpart"
	"porthole/packages/internal/update"
)

// resolve decides what has become of an update that was on its way when the device, or this process, ended. It returns why
// there can be no updates.
func (e *Engine) resolve() string {
	rec, recErr := readRecord(e.cfg.Dir)
	if recErr != nil {
		e.cfg.Log.Error("updates: the record is damaged, what can be is taken from the loader and the trial's journal", "err", recErr)
		// For whoever looks into it. Without it the next one is written all the same.
		path := filepath.Join(e.cfg.Dir, stateFile)
		if err := os.Rename(path, path+".damaged"); err != nil {
			e.cfg.Log.Warn("updates: the damaged record cannot be put aside", "err", err)
		}
	}
	e.rec = rec
	var err error
	if e.history, err = readHistory(e.cfg.Dir); err != nil {
		e.cfg.Log.Error("updates: the history is damaged and begins anew", "err", err)
	}
	p, err := e.openBoot()
	if errors.Is(err, bootpart.ErrLayout) {
		return "The boot partition is not laid out as Porthole's, so this device cannot be updated. Write Porthole's image to the card again."
	}
	if err != nil {
		e.cfg.Log.Error("updates: the boot partition cannot be read", "err", err)
		return fmt.Sprintf("The boot partition cannot be read, so this device cannot be updated: %v. Restart it; if that does not help, write Porthole's image to another card.", err)
	}
	defer p.Close()
	standard, err := p.Default()
	if err != nil {
		e.cfg.Log.Error("updates: it is not known what starts", "err", err)
		return fmt.Sprintf("The boot partition does not say which system starts, so this device cannot be updated: %v. Write Porthole's image to the card again.", err)
	}
	head, lines, err := e.journal().read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.cfg.Log.Warn("updates: the trial's journal cannot be read", "err", err)
	}
	tried := rec.Phase == update.Restarting || rec.Phase == update.Trying
	if standard == e.boot.Slot {
		e.resolveDefault(p, rec, recErr != nil, tried, head, lines)
		return ""
	}
	// What runs was started once, and does not start again by itself.
	switch {
	case tried && rec.TargetSlot == e.boot.Slot && rec.Undo:
		e.wantRestart(false, 0)
	case tried && rec.TargetSlot == e.boot.Slot:
		e.beginTrial()
	case tried:
		e.rollBack(p, "The device did not start it, although it was kept.", lines)
	default:
		e.adopt(p, standard, head)
	}
	return ""
}

// resolveDefault decides while what runs is what starts by default.
func (e *Engine) resolveDefault(p *bootPartition, rec record, damaged, tried bool, head header, lines []string) {
	switch other := e.boot.other(); {
	case tried && rec.TargetSlot == e.boot.Slot:
		e.kept() // power was cut between the loader's word and ours
	case tried:
		e.ended(p, rec, lines)
	case damaged && head.Slot == other:
		e.rec = e.recordOf(head)
		e.rollBack(p, "What was known of it was damaged on the card, so it was not tried again.", lines)
	case damaged && head.Slot == e.boot.Slot:
		e.rec = e.recordOf(head)
		e.kept()
	default:
		if armed, _, err := p.Armed(other); err == nil && armed {
			// Nobody asked for it, as far as we know.
			if err := p.Off(other); err != nil {
				e.cfg.Log.Error("updates: a slot stays armed", "slot", other, "err", err)
			}
		}
		e.endJournal()
		if rec.Phase == update.Receiving || rec.Phase == update.Ready {
			if rec.TargetSlot != other {
				e.settle(func(r *record) { *r = r.fresh() })
				return
			}
			e.openSession(true)
		}
	}
}

// recordOf makes a record of what the journal of a trial says.
func (e *Engine) recordOf(h header) record {
	r := e.rec.fresh()
	r.Phase, r.ID, r.From, r.Target, r.TargetSlot = update.Trying, h.ID, h.From, h.Version, h.Slot
	r.Who, r.Before, r.Try, r.Began = h.Who, h.Before, min(max(h.Try, 1), MaxTries), time.Now().UTC()
	if r.ID == "" {
		r.ID = newID()
	}
	return r
}

// adopt puts what runs on trial although the record knows nothing of it: it was lost, or somebody chose the slot by hand.
func (e *Engine) adopt(p *bootPartition, standard string, head header) {
	if head.Slot != e.boot.Slot {
		head = header{Slot: e.boot.Slot}
	}
	if head.Version == "" {
		head.Version = e.build.Version
	}
	if m, err := manifestIn(p, standard); err == nil && head.From == "" {
		head.From = m.Version
	}
	e.cfg.Log.Warn("updates: what runs was never kept, and nothing is known of a trial: it is on trial now", "slot", head.Slot)
	r := e.recordOf(head)
	if _, _, err := e.journal().read(); err != nil || head.ID == "" {
		head.ID, head.Try = r.ID, r.Try
		if err := e.journal().begin(head); err != nil {
			e.cfg.Log.Error("updates: the trial has no journal", "err", err)
		}
	}
	e.settle(func(now *record) { *now = r })
	e.beginTrial()
}

// ended decides on a trial that is over: the former version runs.
func (e *Engine) ended(p *bootPartition, rec record, lines []string) {
	if rec.Undo {
		e.rollBack(p, rec.Reason, lines)
		return
	}
	for _, l := range thisTry(lines) {
		// The record could not be written when a check ended the trial; the journal's last block had room for a line.
		if _, why, ok := strings.Cut(l, givenUpMark); ok {
			e.rollBack(p, why, lines)
			return
		}
	}
	if why := verdict(e.boot, thisTry(lines)); why != "" {
		e.rollBack(p, why, lines)
		return
	}
	if rec.Try >= MaxTries {
		e.rollBack(p, fmt.Sprintf("It did not come up in %d tries. %s", MaxTries, howFar(lines)), lines)
		return
	}
	e.cfg.Log.Warn("updates: the trial ended without a reason, most likely by a loss of power: the version is tried again", "version", rec.Target, "try", rec.Try+1)
	if err := e.tryAgain(p, rec); err != nil {
		e.rollBack(p, fmt.Sprintf("It was interrupted, and could not be tried again: %v.", err), lines)
	}
}

// tryAgain arms the same version once more, and has the device restart at once.
func (e *Engine) tryAgain(p *bootPartition, rec record) error {
	if err := e.journal().begin(header{
		Slot: rec.TargetSlot, Version: rec.Target, ID: rec.ID, Try: rec.Try + 1, From: rec.From, Who: rec.Who, Before: rec.Before,
	}); err != nil {
		return err
	}
	// The count first: a device that cannot count must not start over and over.
	if err := e.save(func(r *record) error { r.Phase, r.Try = update.Restarting, rec.Try+1; return nil }); err != nil {
		return err
	}
	if err := armed(p, rec.TargetSlot); err != nil {
		return err
	}
	e.wantRestart(true, 0)
	return nil
}

// armed arms a slot and looks whether it is.
func armed(p *bootPartition, slot string) error {
	if err := p.Arm(slot); err != nil {
		return fmt.Errorf("arm %s: %w", slot, err)
	}
	ok, _, err := p.Armed(slot)
	if err == nil && !ok {
		err = errors.New("the card does not give back what was written to it")
	}
	if err != nil {
		return fmt.Errorf("arm %s: %w", slot, err)
	}
	return nil
}

// rollBack ends a trial: the former version runs. The decision is on the disk before anything is done, so that a power cut on the
// way does not lose why.
func (e *Engine) rollBack(p *bootPartition, reason string, lines []string) {
	e.settle(func(r *record) { r.Undo, r.Reason = true, reason })
	r := e.record()
	standard, err := p.Default()
	if err == nil && standard == r.TargetSlot {
		err = p.Keep(e.boot.Slot)
	}
	if err == nil {
		err = p.Off(r.TargetSlot)
	}
	if err != nil {
		e.cfg.Log.Error("updates: the slot of a version that was taken back stays with the loader", "slot", r.TargetSlot, "err", err)
	}
	e.cfg.Log.Warn("updates: taken back", "version", r.Target, "why", reason)
	e.note(update.Event{
		ID: r.ID, At: time.Now().UTC(), From: r.From, To: r.Target, What: update.RolledBack, Reason: reason,
		Detail: detail(e.boot, lines), Tries: r.Try, Who: r.Who,
	})
	e.settle(func(r *record) {
		r.Phase, r.Undo, r.Seen = update.RolledBack, false, false
		delete(r.Kept, r.TargetSlot)
	})
	e.endJournal()
}

// kept ends a trial: the loader starts the new version from now on.
func (e *Engine) kept() {
	r := e.record()
	e.cfg.Log.Info("updates: kept", "version", r.Target, "from", r.From, "tries", r.Try)
	e.note(update.Event{ID: r.ID, At: time.Now().UTC(), From: r.From, To: r.Target, What: update.Kept, Tries: r.Try, Who: r.Who})
	former := update.SlotA
	if r.TargetSlot == former {
		former = update.SlotB
	}
	e.settle(func(r *record) {
		r.Phase, r.Undo, r.Reason = update.Kept, false, ""
		r.Kept[r.TargetSlot] = r.Target
		if r.From != "" {
			r.Kept[former] = r.From
		}
		r.Held = map[string]string{}
	})
	e.endJournal()
}

// endJournal removes the trial's journal: with one that names the running slot init feeds the watchdog for half an hour only.
func (e *Engine) endJournal() {
	if err := e.journal().remove(); err != nil {
		e.cfg.Log.Error("updates: the trial's journal stays", "err", err)
	}
}

// givenUpMark is what system writes when it ends a trial.
const givenUpMark = "system: given up: "

// withheldMark is what init writes when it stops feeding the watchdog, fedMark when it has begun again.
const (
	withheldMark = "watchdog not fed"
	fedMark      = "watchdog fed again"
)

// withheld says whether the watchdog was not fed at the end, and why.
func withheld(lines []string) (why string, ok bool) {
	for _, l := range lines {
		if _, text, found := strings.Cut(l, withheldMark); found {
			why, ok = strings.TrimRight(strings.TrimLeft(text, ": "), ". "), true
		} else if strings.Contains(l, fedMark) {
			why, ok = "", false
		}
	}
	return why, ok
}

// verdict says why a trial must not be repeated; empty if nothing speaks against it.
func verdict(s bootStatus, lines []string) string {
	if panicked := panicLine(s.LastWords); s.Reset == resetPanic || panicked != "" {
		if panicked == "" {
			return "Its kernel stopped (panic). " + howFar(lines)
		}
		return fmt.Sprintf("Its kernel stopped (%s). %s", panicked, howFar(lines))
	}
	if why, ok := withheld(lines); ok {
		if why == "" {
			return "The watchdog restarted the device. " + howFar(lines)
		}
		return fmt.Sprintf("The watchdog restarted the device: %s. %s", why, howFar(lines))
	}
	if s.Reset == resetWatchdog {
		return "It stopped answering, and the watchdog restarted the device. " + howFar(lines)
	}
	return ""
}

// panicMark begins what a kernel says when it stops (kernel/panic.c).
const panicMark = "Kernel panic - "

// panicLine finds that in a kernel's last words.
func panicLine(words string) string {
	for line := range strings.Lines(words) {
		if i := strings.Index(line, panicMark); i >= 0 {
			text := strings.TrimSpace(line[i:])
			return strings.ToValidUTF8(text[:min(len(text), 200)], "")
		}
	}
	return ""
}

// howFar says in a sentence what the journal's last line is.
func howFar(lines []string) string {
	lines = thisTry(lines)
	for i := len(lines) - 1; i >= 0; i-- {
		if l := lines[i]; !strings.Contains(l, withheldMark) {
			return fmt.Sprintf("The last that it told: %s.", strings.TrimRight(l[:min(len(l), 300)], ". "))
		}
	}
	return "It did not come as far as telling anything."
}

// maxDetail bounds an event's evidence, in bytes.
const maxDetail = 4 << 10

// detail is the evidence: the journal's end and the kernel's last words, half of the room for each.
func detail(s bootStatus, lines []string) string {
	var parts []string
	if s.ResetDetail != "" {
		parts = append(parts, "How the run before ended: "+tail(s.ResetDetail, 200))
	}
	if len(lines) > 0 {
		parts = append(parts, "The trial's journal:\n"+tail(strings.Join(lines, "\n"), maxDetail/2-200))
	}
	if s.LastWords != "" {
		parts = append(parts, "The kernel's last words:\n"+tail(strings.TrimSpace(s.LastWords), maxDetail/2-200))
	}
	return strings.Join(parts, "\n\n")
}

// tail returns the end of a text, in whole characters.
func tail(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[len(text)-most:], "")
}
