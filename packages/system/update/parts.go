package update

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"porthole/packages/internal/bootpart"
	"porthole/packages/internal/update"
)

const (
	// chunk is how much of a part is in memory, in bytes.
	chunk = 1 << 20
	// maxBoot is how large a boot part may be, in bytes: a slot's region. Whether it fits with its folders is found out
	// when it is written.
	maxBoot = 104 << 20
)

// PutPart writes a part that has to be sent: size bytes of body. It returns when the part was read back from the medium. A part
// that failed can be sent again.
func (e *Engine) PutPart(ctx context.Context, name string, body io.Reader, size int64) error {
	s, part, err := e.claim(name, size)
	if err != nil {
		return err
	}
	// A sender who goes once all is there need not send it again: that ends the sending only.
	work, end, ok := s.begin(context.WithoutCancel(ctx))
	if !ok {
		e.release(s, name, "")
		return errCalledOff
	}
	defer end()
	if b, ok := body.(interface{ Interrupt() }); ok {
		// Whoever sends may do so slowly, or not at all.
		defer context.AfterFunc(work, b.Interrupt)()
		defer context.AfterFunc(ctx, b.Interrupt)()
	}
	return e.fill(work, s, part, body)
}

var errCalledOff = conflict("The update was called off.")

// claim makes the caller the one who writes a part.
func (e *Engine) claim(name string, size int64) (*session, update.ManifestPart, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	none := update.ManifestPart{}
	if e.why != "" {
		return nil, none, conflict("%s", e.why)
	}
	if e.rec.Phase != update.Receiving || e.session == nil {
		return nil, none, conflict("No part is expected now: offer an update first.")
	}
	step, ok := e.steps[name]
	if !ok {
		return nil, none, refuse("The update has no part %q.", name)
	}
	if step.Step != update.Waiting {
		return nil, none, conflict("The part %q need not be sent: it is there, or on its way.", name)
	}
	if size != step.Size {
		return nil, none, refuse("The part %q has %d bytes, but %d were announced: choose the file again.", name, step.Size, size)
	}
	part, err := e.manifestPart(name)
	if err != nil {
		return nil, none, err
	}
	e.steps[name] = update.Part{Name: name, Size: size, Step: update.Writing}
	return e.session, part, nil
}

// manifestPart finds a part in the manifest that was accepted. The caller holds mu.
func (e *Engine) manifestPart(name string) (update.ManifestPart, error) {
	m, err := update.ParseManifest(e.rec.Manifest)
	if err != nil {
		return update.ManifestPart{}, err
	}
	p, ok := m.Part(name)
	if !ok {
		return p, refuse("The update has no part %q.", name)
	}
	return p, nil
}

// release says that a part has to be sent, and why if that is known.
func (e *Engine) release(s *session, name, why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != s {
		return
	}
	p := e.steps[name]
	p.Step, p.Done = update.Waiting, 0
	e.steps[name] = p
	if why != "" {
		e.trouble = why
	}
}

// progress tells how far the present step of a part is.
func (e *Engine) progress(s *session, name string, step update.Step, done int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session != s {
		return
	}
	p := e.steps[name]
	p.Step, p.Done = step, done
	e.steps[name] = p
}

// fill writes one part, reads it back and records that. It is the only one that writes meanwhile.
func (e *Engine) fill(ctx context.Context, s *session, part update.ManifestPart, src io.Reader) error {
	select {
	case e.writing <- struct{}{}:
		defer func() { <-e.writing }()
	case <-ctx.Done():
		e.release(s, part.Name, "")
		return errCalledOff
	}
	err := e.writeAndRead(ctx, s, part, src)
	if err == nil {
		err = e.partDone(s, part)
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, errCalledOff) {
		e.release(s, part.Name, "")
		return err
	}
	if refused, _ := IsRefusal(err); !refused {
		err = refuse("The part %q could not be written: %v. Send it again; if that does not help, replace the card.", part.Name, err)
	}
	e.cfg.Log.Warn("updates: a part failed", "part", part.Name, "err", err)
	e.release(s, part.Name, err.Error())
	return err
}

// partDone records that a part is in the target.
func (e *Engine) partDone(s *session, part update.ManifestPart) error {
	ready := false
	err := e.save(func(r *record) error {
		if r.Phase != update.Receiving {
			return errCalledOff
		}
		r.setDone(part.Name, true)
		r.Held[part.Name] = part.SHA256
		if allDone(r.Parts) {
			r.Phase, ready = update.Ready, true
		}
		return nil
	})
	if err != nil {
		return storage(err)
	}
	e.progress(s, part.Name, update.Done, part.Size)
	e.mu.Lock()
	e.trouble = ""
	e.mu.Unlock()
	e.cfg.Log.Info("updates: a part is in its slot", "part", part.Name, "bytes", part.Size, "ready", ready)
	return nil
}

// source counts and hashes what a part's sender gives, and remembers if it was the sender who failed.
type source struct {
	r    io.Reader
	left int64
	err  error // of r, but for a proper end
	sum  func([]byte)
	tell func(done int64)
	size int64
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	s.sum(p[:n])
	s.tell(s.size - s.left)
	if s.left == 0 {
		return n, nil
	}
	if err != nil {
		s.err = err
	}
	return n, err
}

// writeAndRead writes a part to the slot that does not run and compares what the medium has then.
func (e *Engine) writeAndRead(ctx context.Context, s *session, part update.ManifestPart, src io.Reader) error {
	r := e.record()
	target := e.boot.other()
	if r.Phase != update.Receiving || r.TargetSlot != target {
		return errCalledOff
	}
	p, err := e.openBoot()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := e.spoil(p, target, part.Name); err != nil {
		return err
	}
	h := sha256.New()
	step := update.Writing
	e.mu.Lock()
	if e.steps[part.Name].Step == update.Copying {
		step = update.Copying
	}
	e.mu.Unlock()
	from := &source{
		r: src, left: part.Size, size: part.Size, sum: func(b []byte) { h.Write(b) },
		tell: func(done int64) { e.progress(s, part.Name, step, done) },
	}
	if part.Name == update.PartBoot {
		err = e.writeBoot(ctx, p, target, r, from)
	} else {
		err = e.writeRoot(ctx, target, from)
	}
	switch {
	case ctx.Err() != nil:
		return errCalledOff
	case from.err != nil:
		return refuse("The part %q ended after %d of %d bytes. Send it again.", part.Name, part.Size-from.left, part.Size)
	case err != nil && !errors.Is(err, bootpart.ErrPart):
		return err
	case sum(h) == part.SHA256 && err != nil:
		return refuse("The part %q cannot be written: %v. Get the update again from where it came from.", part.Name, err)
	case sum(h) != part.SHA256:
		return refuse("The part %q is not what the manifest says: it was damaged on its way, or changed. Send it again, or load the file anew.", part.Name)
	}
	return e.readBack(ctx, s, p, target, part, r)
}

// spoil records that a slot is about to change, and has the loader leave it alone. Nothing of it is on the medium before.
func (e *Engine) spoil(p *bootPartition, target, part string) error {
	err := e.save(func(r *record) error {
		if r.Phase != update.Receiving || r.TargetSlot != target {
			return errCalledOff
		}
		delete(r.Kept, target)
		delete(r.Held, part)
		r.setDone(part, false)
		return nil
	})
	if err != nil {
		return storage(err)
	}
	if err := p.Off(target); err != nil {
		return fmt.Errorf("take %s from the loader: %w", target, err)
	}
	return nil
}

func (e *Engine) writeBoot(ctx context.Context, p *bootPartition, target string, r record, from *source) error {
	slot := bootpart.Slot{PartUUID: e.boot.PartUUID[target], Extra: extra(r.Manifest, r.Signature)}
	err := p.WriteSlot(ctx, target, from, slot, nil)
	if err == nil || errors.Is(err, bootpart.ErrPart) {
		// The hash says whether it was damaged on its way or made that way.
		if _, rest := io.Copy(io.Discard, from); rest != nil {
			err = rest
		}
	}
	return err
}

func (e *Engine) writeRoot(ctx context.Context, target string, from *source) error {
	m, err := e.cfg.Medium(e.boot.RootDevices[target])
	if err != nil {
		return err
	}
	defer m.Close()
	buf := make([]byte, chunk)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(from, buf)
		if n > 0 {
			if _, err := m.WriteAt(buf[:n], at); err != nil {
				return err
			}
			at += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if from.left > 0 {
		return io.ErrUnexpectedEOF
	}
	return m.Sync()
}

// counter tells how much was read back.
type counter struct {
	w    io.Writer
	done int64
	tell func(int64)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done += int64(n)
	c.tell(c.done)
	return n, err
}

// readBack reads a part from the medium and compares it.
func (e *Engine) readBack(ctx context.Context, s *session, p *bootPartition, target string, part update.ManifestPart, r record) error {
	h := sha256.New()
	tell := func(done int64) { e.progress(s, part.Name, update.ReadBack, done) }
	tell(0)
	err := e.readPart(ctx, p, target, part.Name, part.Size, &counter{w: h, tell: tell})
	if ctx.Err() != nil {
		return errCalledOff
	}
	if err != nil {
		e.cfg.Log.Warn("updates: a part cannot be read back", "part", part.Name, "err", err)
	}
	if err != nil || sum(h) != part.SHA256 || part.Name == update.PartBoot && !hasManifest(p, target, Offer{Manifest: r.Manifest, Signature: r.Signature}) {
		return refuse("The card does not give back what was written to it (part %q). Send it again; if that does not help, the card is worn out: replace it.", part.Name)
	}
	return nil
}
