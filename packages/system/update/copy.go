package update

import (
	"context"
	"io"

	"porthole/packages/internal/update"
)

// copyParts copies the parts that the running slot has, whenever there are some, until ctx ends.
func (e *Engine) copyParts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.copies:
		}
		for {
			s, part, ok := e.nextCopy()
			if !ok {
				break
			}
			e.copyPart(ctx, s, part)
		}
	}
}

// nextCopy finds a part that waits to be copied.
func (e *Engine) nextCopy() (*session, update.ManifestPart, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil || e.rec.Phase != update.Receiving {
		return nil, update.ManifestPart{}, false
	}
	for name, p := range e.steps {
		if p.Step == update.Copying {
			if part, err := e.manifestPart(name); err == nil {
				return e.session, part, true
			}
		}
	}
	return nil, update.ManifestPart{}, false
}

// copyPart copies one part from the running slot. One that fails has to be sent.
func (e *Engine) copyPart(ctx context.Context, s *session, part update.ManifestPart) {
	ctx, end, ok := s.begin(ctx)
	if !ok {
		e.release(s, part.Name, "")
		return
	}
	defer end()
	p, err := e.openBoot()
	if err != nil {
		e.release(s, part.Name, err.Error())
		return
	}
	defer p.Close()
	r, w := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		w.CloseWithError(e.readPart(ctx, p, e.boot.Slot, part.Name, part.Size, w))
	}()
	e.fill(ctx, s, part, r) //nolint:errcheck // the part has to be sent then, and Status says why
	r.CloseWithError(errCalledOff)
	<-read
}
