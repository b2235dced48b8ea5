package update

import (
	"context"
	"slices"
	"time"

	"porthole/packages/internal/update"
)

// beforeRestart is for the page that says what happens now: it is to reach the browser.
const beforeRestart = 2 * time.Second

// restartAgain is how long a restart that did not happen is waited for.
const restartAgain = 10 * time.Second

// lookWithin bounds one look at all checks.
const lookWithin = 10 * time.Second

// wish is a restart that somebody wants.
type wish struct {
	other bool // into the other slot
	after time.Duration
}

// wantRestart has Run restart the device.
func (e *Engine) wantRestart(other bool, after time.Duration) {
	select {
	case e.restart <- wish{other, after}:
	default: // it is on its way
	}
}

// Install arms what is ready, and has the device restart into it. It may take as long as reading the parts from the card: those
// that were written before this process began are looked at once more.
func (e *Engine) Install(ctx context.Context, who string) error {
	e.command.Lock()
	defer e.command.Unlock()
	r := e.record()
	switch r.Phase {
	case update.Ready:
	case update.Receiving:
		return conflict("Not all parts of the update to %s are on the device yet.", r.Target)
	case update.Restarting, update.Trying:
		return conflict("The update to %s is being tried already.", r.Target)
	default:
		return conflict("No update is ready: offer one first.")
	}
	if e.wasResumed() {
		if err := e.lookAtParts(ctx, r); err != nil {
			return err
		}
	}
	return e.arm(ctx, who)
}

func (e *Engine) wasResumed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.resumed
}

// lookAtParts reads from the medium what an earlier process has written.
func (e *Engine) lookAtParts(ctx context.Context, r record) error {
	m, err := update.ParseManifest(r.Manifest)
	if err != nil {
		return err
	}
	p, err := e.openBoot()
	if err != nil {
		return refuse("The card cannot be read: %v. Restart the device; if that does not help, replace the card.", err)
	}
	defer p.Close()
	var lost []string
	for _, part := range m.Parts {
		if !e.holds(ctx, p, r.TargetSlot, part) || part.Name == update.PartBoot && !r.Back && !hasManifest(p, r.TargetSlot, Offer{Manifest: r.Manifest, Signature: r.Signature}) {
			lost = append(lost, part.Name)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(lost) == 0 {
		return nil
	}
	if err := e.save(func(r *record) error {
		r.Phase = update.Receiving
		for i := range r.Parts {
			if slices.Contains(lost, r.Parts[i].Name) {
				r.Parts[i].Done, r.Parts[i].Local = false, false
			}
		}
		return nil
	}); err != nil {
		return storage(err)
	}
	e.openSession(true)
	return refuse("The card does not give back what was written to it. Send the update again; if that does not help, the card is worn out: replace it.")
}

// arm notes what is so before, records the first try, arms the loader and has the device restart. The caller holds command.
func (e *Engine) arm(ctx context.Context, who string) error {
	e.closeSession()
	before := e.lookBefore(ctx)
	r := e.record()
	err := e.journal().begin(header{Slot: r.TargetSlot, Version: r.Target, ID: r.ID, Try: 1, From: r.From, Who: who, Before: before})
	if err == nil {
		err = e.save(func(r *record) error {
			r.Phase, r.Try, r.Before, r.Who = update.Restarting, 1, before, who
			return nil
		})
	}
	if err != nil {
		e.cfg.Log.Error("updates: the trial cannot be recorded", "err", err)
		e.endJournal()
		e.openSession(true)
		return storage(err)
	}
	p, err := e.openBoot()
	if err == nil {
		defer p.Close()
		err = armed(p, r.TargetSlot)
	}
	if err != nil {
		e.failed(p, err)
		return refuse("The update could not be armed: %v. The device goes on with the version that it has. Try again; if that does not help, replace the card.", err)
	}
	e.cfg.Log.Warn("updates: the device restarts into the new version", "version", r.Target, "who", who)
	e.wantRestart(true, beforeRestart)
	return nil
}

// lookBefore says which checks are passed now: what the present version cannot do is not asked of the next.
func (e *Engine) lookBefore(ctx context.Context) map[string]bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
	defer cancel()
	before := map[string]bool{}
	for _, c := range e.cfg.Checks.Look(ctx) {
		before[c.Name] = c.OK
	}
	return before
}

// failed ends an update that could not be armed. p may be nil.
func (e *Engine) failed(p *bootPartition, why error) {
	r := e.record()
	e.cfg.Log.Error("updates: not armed", "version", r.Target, "err", why)
	if p != nil {
		if err := p.Off(r.TargetSlot); err != nil {
			e.cfg.Log.Error("updates: a slot may stay armed", "slot", r.TargetSlot, "err", err)
		}
	}
	reason := "The card did not take the change: " + why.Error() + "."
	e.note(update.Event{ID: r.ID, At: time.Now().UTC(), From: r.From, To: r.Target, What: update.Failed, Reason: reason, Who: r.Who})
	e.settle(func(r *record) { r.Phase, r.Reason, r.Seen, r.Try = update.Failed, reason, false, 0 })
	e.endJournal()
}

// Back has the former version in the other slot started again, as a trial. It takes as long as reading it from the card.
func (e *Engine) Back(ctx context.Context, who string) error {
	e.command.Lock()
	defer e.command.Unlock()
	if err := e.mayOffer(nil); err != nil {
		return err
	}
	other := e.boot.other()
	version := e.record().Kept[other]
	if version == "" {
		return conflict("There is no former version on this device that could be started again. Install it from its file.")
	}
	m, err := e.intact(ctx, other, version)
	if err != nil {
		e.cfg.Log.Warn("updates: the former version cannot be started again", "version", version, "err", err)
		return conflict("The former version %s is not whole on the card any more. Install it from its file.", version)
	}
	err = e.save(func(r *record) error {
		*r = r.fresh()
		r.Phase, r.ID, r.From, r.Target, r.TargetSlot = update.Ready, newID(), e.build.Version, version, other
		r.Who, r.Began, r.Back = who, time.Now().UTC(), true
		for _, p := range m.Parts {
			r.Parts = append(r.Parts, recordPart{Name: p.Name, Size: p.Size, Done: true})
		}
		return nil
	})
	if err != nil {
		return storage(err)
	}
	return e.arm(ctx, who)
}

// intact reads a slot and says what it was written from.
func (e *Engine) intact(ctx context.Context, slot, version string) (update.Manifest, error) {
	p, err := e.openBoot()
	if err != nil {
		return update.Manifest{}, err
	}
	defer p.Close()
	m, err := manifestIn(p, slot)
	if err != nil {
		return update.Manifest{}, err
	}
	if m.Version != version {
		return update.Manifest{}, refuse("It holds %s.", m.Version)
	}
	for _, part := range m.Parts {
		if !e.holds(ctx, p, slot, part) {
			return update.Manifest{}, refuse("Its part %q is damaged.", part.Name)
		}
	}
	return m, nil
}
