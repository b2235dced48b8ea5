package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"porthole/packages/internal/retry"
	"porthole/packages/internal/update"
)

const (
	// pollEvery is how often the device is asked how far it is.
	pollEvery = time.Second
	// silentFor is how long a device may say nothing at all: three tries of ten minutes, and some time between them.
	silentFor = 35 * time.Minute
	// sendTries are made of a part when the connection breaks.
	sendTries = 3
)

// updating is an update on its way.
type updating struct {
	device *device
	t      *terminal
	o      updateOptions
	from   string
	// id and target are of the update that is ready.
	id, target string
	last       deviceStatus
	// said keeps a line from being said over and over.
	said string
}

// note says a line, once.
func (u *updating) note(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); line != u.said {
		u.said = line
		u.t.say("%s", line)
	}
}

// send offers the file and sends the parts that the device needs.
func (u *updating) send(ctx context.Context, b *update.Bundle) error {
	m, err := update.ParseManifest(b.Manifest)
	if err != nil {
		return err
	}
	u.note("%s runs on %s; sending %s.", u.from, u.o.to, m.Version)
	for try := 1; ; try++ {
		err := u.sendOnce(ctx, b, m)
		var away *unreachableError
		if err == nil || !errors.As(err, &away) || try == sendTries || ctx.Err() != nil {
			return err
		}
		u.t.say("The connection broke off; going on.")
		if !retry.Pause(ctx, pollEvery) {
			return ctx.Err()
		}
	}
}

func (u *updating) sendOnce(ctx context.Context, b *update.Bundle, m update.Manifest) error {
	in := map[string]any{"manifest": b.Manifest, "signature": string(b.Signature), "downgrade": u.o.downgrade}
	if err := u.device.call(ctx, workWithin, http.MethodPost, "/manifest", in, &u.last); err != nil {
		var r *refusedError
		if errors.As(err, &r) && r.code == "older" {
			return fmt.Errorf("%s is older than %s, which runs; say -downgrade to install it all the same", m.Version, u.from)
		}
		return err
	}
	for _, p := range u.last.Parts {
		part, ok := m.Part(p.Name)
		switch {
		case !ok:
			return fmt.Errorf("the device asks for a part %q, which the update does not have", clean(p.Name))
		case p.Step != update.Waiting:
			u.t.say("%s: the device has it already.", p.Name)
			continue
		}
		stored, err := b.Stored(part)
		if err != nil {
			return err
		}
		u.t.begin(p.Name, part.Stored)
		if u.last, err = u.device.send(ctx, p.Name, part.Stored, &counting{r: stored, tell: u.t.set}); err != nil {
			return err
		}
		u.t.endBar()
	}
	return nil
}

// counting tells how much has been read.
type counting struct {
	r    io.Reader
	done int64
	tell func(int64)
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.tell(c.done)
	return n, err
}

// fetch has the device fetch the update.
func (u *updating) fetch(ctx context.Context) error {
	u.note("%s runs on %s; it fetches the update from %s.", u.from, u.o.to, hostOfURL(u.o.what))
	in := map[string]any{"url": u.o.what, "downgrade": u.o.downgrade}
	return u.device.call(ctx, workWithin, http.MethodPost, "/url", in, &u.last)
}

// untilReady waits until everything is written and read back.
func (u *updating) untilReady(ctx context.Context) error {
	for {
		switch s := u.last; {
		case s.Fetch != nil && s.Fetch.Error != "":
			return errors.New(s.Fetch.Error)
		case s.Fetch != nil && s.Fetch.Running:
			u.note("Fetching.")
		case s.Phase == update.Ready:
			u.note("%s is written and read back.", clean(s.Target))
			return nil
		case s.Phase == update.Failed:
			return errors.New(clean(s.Reason))
		case s.Phase != update.Receiving:
			return errors.New("the update was called off on the device")
		default:
			u.note("The device writes and reads back.")
		}
		if err := u.look(ctx); err != nil {
			return err
		}
	}
}

// install restarts the device and waits until it has decided.
func (u *updating) install(ctx context.Context) error {
	u.id, u.target = u.last.ID, u.last.Target
	if err := u.device.call(ctx, workWithin, http.MethodPost, "/install", nil, &u.last); err != nil {
		return err
	}
	for {
		switch s := u.last; {
		case s.ID != u.id && s.Phase != "":
			return u.decided(s)
		case s.Phase == update.Kept:
			u.note("%s is kept.", clean(s.Target))
			return nil
		case s.Phase == update.RolledBack:
			return fmt.Errorf("%s was rolled back, %s runs again: %s", clean(s.Target), clean(s.Version), clean(s.Reason))
		case s.Phase == update.Failed:
			return fmt.Errorf("%s was not installed, %s runs: %s", clean(s.Target), clean(s.Version), clean(s.Reason))
		case s.Phase == update.Idle:
			return u.decided(s)
		default:
			u.note("%s", phaseText(s))
		}
		if err := u.look(ctx); err != nil {
			return err
		}
	}
}

// decided looks into the history when the device speaks of something else already.
func (u *updating) decided(s deviceStatus) error {
	for _, e := range s.History {
		if e.To != u.target {
			continue
		}
		if e.What == update.Kept {
			u.note("%s is kept.", clean(e.To))
			return nil
		}
		return fmt.Errorf("%s was not kept: %s", clean(e.To), clean(e.Reason))
	}
	return errors.New("the update was called off on the device")
}

// look asks the device, for as long as it takes to restart a few times.
func (u *updating) look(ctx context.Context) error {
	began := time.Now()
	for {
		if !retry.Pause(ctx, pollEvery) {
			return ctx.Err()
		}
		s, err := u.device.status(ctx)
		var away *unreachableError
		switch {
		case err == nil:
			u.last = s
			return nil
		case !errors.As(err, &away):
			return err
		case time.Since(began) > silentFor:
			return fmt.Errorf("the device has said nothing for %d minutes; look at its screen, then ask with -status", int(silentFor.Minutes()))
		}
		u.note("The device does not answer: it restarts.")
	}
}

// phaseText says how far an update is.
func phaseText(s deviceStatus) string {
	switch s.Phase {
	case update.Receiving:
		return "is being received"
	case update.Ready:
		return "is ready; nothing boots it yet"
	case update.Restarting:
		if s.Try > 1 {
			return fmt.Sprintf("The device restarts into %s, try %d of %d.", clean(s.Target), s.Try, s.MaxTries)
		}
		return "The device restarts into " + clean(s.Target) + "."
	case update.Trying:
		for _, c := range s.Checks {
			if !c.OK {
				return fmt.Sprintf("%s runs; not well yet: %s: %s", clean(s.Target), clean(c.Name), clean(c.Text))
			}
		}
		return fmt.Sprintf("%s runs and is well; it has to be for %d s.", clean(s.Target), int(s.HealthyNeeded))
	case update.Kept:
		return "is kept"
	case update.RolledBack:
		return "was rolled back"
	case update.Failed:
		return "failed"
	case update.Idle:
	}
	return string(s.Phase)
}
