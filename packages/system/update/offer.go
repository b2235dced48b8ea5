package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"porthole/packages/internal/bootpart"
	"porthole/packages/internal/update"
)

// Offer is an update that is offered.
type Offer struct {
	Manifest  []byte
	Signature string
	// Downgrade lets an older version in.
	Downgrade bool
	Who       string
}

// Offer takes an update in whose manifest is right, and says which parts have to be sent. The same manifest again goes on with
// what is there. It may take as long as reading the parts from the card.
func (e *Engine) Offer(ctx context.Context, o Offer) (update.Status, error) {
	e.command.Lock()
	defer e.command.Unlock()
	if err := e.mayOffer(o.Manifest); err != nil {
		return update.Status{}, err
	}
	m, err := e.check(o)
	if err != nil {
		return update.Status{}, err
	}
	if r := e.record(); r.Phase == update.Receiving || r.Phase == update.Ready {
		return e.Status(), nil // the same one
	}
	target := e.boot.other()
	parts, err := e.survey(ctx, o, m, target)
	if err != nil {
		return update.Status{}, err
	}
	err = e.save(func(r *record) error {
		*r = r.fresh()
		r.Phase, r.ID, r.From, r.Target, r.TargetSlot = update.Receiving, newID(), e.build.Version, m.Version, target
		r.Who, r.Began, r.Manifest, r.Signature, r.Parts = o.Who, time.Now().UTC(), o.Manifest, o.Signature, parts
		if allDone(parts) {
			r.Phase = update.Ready
		}
		return nil
	})
	if err != nil {
		e.cfg.Log.Error("updates: an update cannot be recorded", "err", err)
		return update.Status{}, storage(err)
	}
	e.cfg.Log.Info("updates: accepted", "version", m.Version, "from", e.build.Version, "who", o.Who)
	e.openSession(false)
	return e.Status(), nil
}

// mayOffer says what is in the way of an update.
func (e *Engine) mayOffer(manifest []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.why != "" {
		return conflict("%s", e.why)
	}
	switch r := e.rec; r.Phase {
	case update.Restarting, update.Trying:
		return conflict("The update to %s is being tried. Wait until it is kept or taken back.", r.Target)
	case update.Receiving, update.Ready:
		if !bytes.Equal(r.Manifest, manifest) {
			return conflict("An update to %s is on its way. Install it, or call it off first.", r.Target)
		}
	}
	return nil
}

// check verifies a manifest and holds it against this device.
func (e *Engine) check(o Offer) (update.Manifest, error) {
	if e.verify == nil {
		return update.Manifest{}, refuse("The keys that updates are checked with cannot be used: %v.", e.keysErr)
	}
	m, err := e.verify(o.Manifest, []byte(o.Signature))
	if err != nil {
		return update.Manifest{}, refuse("%v", err)
	}
	if m.Board != e.build.Board {
		return update.Manifest{}, refuse("The update is for the board %q, this device is %q. Choose the file whose name ends in -%s.update.", m.Board, e.build.Board, e.build.Board)
	}
	if m.Minimum != "" {
		order, err := update.Compare(e.build.Version, m.Minimum)
		if err != nil || order < 0 {
			return update.Manifest{}, refuse("The update to %s needs at least version %s, this device runs %s. Install %s first.", m.Version, m.Minimum, e.build.Version, m.Minimum)
		}
	}
	order, err := update.Compare(m.Version, e.build.Version)
	switch {
	case o.Downgrade:
	case err != nil:
		return update.Manifest{}, refuse("It cannot be told whether version %s is older than the running %s: %v. Ask for a downgrade to install it all the same.", m.Version, e.build.Version, err)
	case order < 0:
		return update.Manifest{}, refuse("Version %s is older than the running %s. Ask for a downgrade if that is what you want.", m.Version, e.build.Version)
	}
	return m, e.fits(m)
}

// fits holds the parts' sizes against the slot that they are for.
func (e *Engine) fits(m update.Manifest) error {
	root, err := e.cfg.Medium(e.boot.RootDevices[e.boot.other()])
	if err != nil {
		return refuse("The card cannot be read: %v. Restart the device; if that does not help, replace the card.", err)
	}
	defer root.Close()
	room := map[string]int64{update.PartRoot: root.Size(), update.PartBoot: maxBoot}
	for _, p := range m.Parts {
		if p.Size > room[p.Name] {
			return refuse("The update's part %q has %d bytes, this device has room for %d. Write the new image to the card instead.", p.Name, p.Size, room[p.Name])
		}
	}
	return nil
}

// survey finds the parts that need not be sent: those that the target holds whole, and those that the running slot has. The
// manifests in the slots say where it is worth looking; what counts is what is read from the medium.
func (e *Engine) survey(ctx context.Context, o Offer, m update.Manifest, target string) ([]recordPart, error) {
	p, err := e.openBoot()
	if err != nil {
		return nil, refuse("The card cannot be read: %v. Restart the device; if that does not help, replace the card.", err)
	}
	defer p.Close()
	held := e.record().Held
	running, known := slotManifest(p, e.boot.Slot)
	there, _ := slotManifest(p, target)
	var parts []recordPart
	for _, mp := range m.Parts {
		part := recordPart{Name: mp.Name, Size: mp.Size}
		if held[mp.Name] == mp.SHA256 || there[mp.Name] == mp.SHA256 {
			part.Done = e.holds(ctx, p, target, mp) && (mp.Name != update.PartBoot || hasManifest(p, target, o))
		}
		if !part.Done && (!known || running[mp.Name] == mp.SHA256) {
			part.Local = e.holds(ctx, p, e.boot.Slot, mp)
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("look for parts that are there already: %w", err)
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// slotManifest returns the parts that a slot says it was written from, SHA-256 by name; false if it does not say.
func slotManifest(p *bootPartition, slot string) (map[string]string, bool) {
	m, err := manifestIn(p, slot)
	if err != nil {
		return nil, false
	}
	parts := map[string]string{}
	for _, part := range m.Parts {
		parts[part.Name] = part.SHA256
	}
	return parts, true
}

// manifestIn reads the manifest in a slot. Its signature was verified when it was written.
func manifestIn(p *bootPartition, slot string) (update.Manifest, error) {
	b, err := p.SlotFile(slot, bootpart.Manifest)
	if err != nil {
		return update.Manifest{}, err
	}
	m, err := update.ParseManifest(b)
	if err != nil {
		return update.Manifest{}, fmt.Errorf("read the manifest in %s: %w", slot, err)
	}
	return m, nil
}

// hasManifest says whether a slot has the offer's manifest and signature.
func hasManifest(p *bootPartition, slot string, o Offer) bool {
	for name, want := range extra(o.Manifest, o.Signature) {
		if got, err := p.SlotFile(slot, name); err != nil || !bytes.Equal(got, want) {
			return false
		}
	}
	return true
}

func extra(manifest []byte, signature string) map[string][]byte {
	return map[string][]byte{bootpart.Manifest: manifest, bootpart.Signature: []byte(signature)}
}

// holds reads a part from a slot's medium and says whether it is the one wanted.
func (e *Engine) holds(ctx context.Context, p *bootPartition, slot string, part update.ManifestPart) bool {
	h := sha256.New()
	err := e.readPart(ctx, p, slot, part.Name, part.Size, h)
	return err == nil && sum(h) == part.SHA256
}

// readPart copies a part from a slot's medium.
func (e *Engine) readPart(ctx context.Context, p *bootPartition, slot, name string, size int64, w io.Writer) error {
	if name == update.PartBoot {
		return p.ReadSlot(ctx, slot, bootpart.Slot{PartUUID: e.boot.PartUUID[slot]}, w)
	}
	m, err := e.cfg.Medium(e.boot.RootDevices[slot])
	if err != nil {
		return err
	}
	defer m.Close()
	buf := make([]byte, chunk)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := m.ReadAt(buf[:min(chunk, size-at)], at)
		if n == 0 && err == nil {
			err = io.ErrNoProgress
		}
		if err != nil && (!errors.Is(err, io.EOF) || at+int64(n) < size) {
			return fmt.Errorf("read %s of %s: %w", name, slot, err)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

func sum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func allDone(parts []recordPart) bool {
	for _, p := range parts {
		if !p.Done {
			return false
		}
	}
	return len(parts) > 0
}

// openSession lets parts be written, and has those copied that the running slot has.
func (e *Engine) openSession(resumed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.session, e.resumed, e.trouble = newSession(), resumed, ""
	e.steps = map[string]update.Part{}
	for _, p := range e.rec.Parts {
		part := update.Part{Name: p.Name, Size: p.Size, Step: update.Waiting}
		switch {
		case p.Done:
			part.Step, part.Done = update.Done, p.Size
		case p.Local:
			part.Step = update.Copying
		}
		e.steps[p.Name] = part
	}
	select {
	case e.copies <- struct{}{}:
	default:
	}
}

// closeSession ends what writes parts, and waits for it.
func (e *Engine) closeSession() {
	e.mu.Lock()
	s := e.session
	e.session = nil
	e.mu.Unlock()
	if s != nil {
		s.close()
	}
}

// CallOff ends an update that is not being tried.
func (e *Engine) CallOff(who string) error {
	e.command.Lock()
	defer e.command.Unlock()
	switch r := e.record(); r.Phase {
	case update.Restarting, update.Trying:
		return conflict("The update to %s is being tried: it cannot be called off any more. It is taken back if it does not work.", r.Target)
	case update.Receiving, update.Ready:
	default:
		return conflict("No update is on its way.")
	}
	e.closeSession()
	if err := e.save(func(r *record) error { *r = r.fresh(); return nil }); err != nil {
		e.cfg.Log.Error("updates: the end of an update cannot be recorded", "err", err)
		e.settle(func(r *record) { *r = r.fresh() })
	}
	e.cfg.Log.Info("updates: called off", "who", who)
	return nil
}
