package update_test

import (
	"bytes"
	"strings"
	"testing"

	"porthole/hw/block"
	shared "porthole/packages/internal/update"
	"porthole/packages/system/update"
)

// open opens a device with faults.
func (r *rig) open(device string) (update.Medium, error) {
	if err := r.hit(device, "open", 0, nil); err != nil {
		return nil, err
	}
	m, err := block.OpenMedium(r.path(device), block.Options{})
	if err != nil {
		return nil, err
	}
	return &faulty{m, r, device}, nil
}

func (r *rig) hit(device, op string, at int64, p []byte) error {
	r.mu.Lock()
	f := r.fault
	r.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(device, op, at, p)
}

// faulty is a medium that may fail.
type faulty struct {
	*block.Medium
	r      *rig
	device string
}

func (f *faulty) WriteAt(p []byte, at int64) (int, error) {
	if err := f.r.hit(f.device, "write", at, p); err != nil {
		return 0, err
	}
	return f.Medium.WriteAt(p, at)
}

func (f *faulty) ReadAt(p []byte, at int64) (int, error) {
	n, err := f.Medium.ReadAt(p, at)
	if hit := f.r.hit(f.device, "read", at, p[:n]); hit != nil {
		return 0, hit
	}
	return n, err
}

func (f *faulty) Sync() error {
	if err := f.r.hit(f.device, "sync", 0, nil); err != nil {
		return err
	}
	return f.Medium.Sync()
}

// offer is an offer of an update.
func (r *rig) offer(version string) update.Offer {
	r.t.Helper()
	manifest, signature := r.update(version).Signed(r.t, r.key)
	return update.Offer{Manifest: manifest, Signature: string(signature), Who: "owner"}
}

// put sends a part.
func (r *rig) put(e *update.Engine, version, part string) error {
	content := r.update(version).Content[part]
	return e.PutPart(r.t.Context(), part, bytes.NewReader(content), int64(len(content)))
}

// accept offers an update that must be accepted.
func (r *rig) accept(e *update.Engine, version string) shared.Status {
	r.t.Helper()
	s, err := e.Offer(r.t.Context(), r.offer(version))
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// send offers an update and sends all parts that are waited for.
func (r *rig) send(e *update.Engine, version string) {
	r.t.Helper()
	for _, p := range r.accept(e, version).Parts {
		if p.Step == shared.Waiting {
			if err := r.put(e, version, p.Name); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	e.CopyAll(r.t.Context())
	if s := e.Status(); s.Phase != shared.Ready {
		r.t.Fatalf("the update is %+v", s)
	}
}

// install sends an update, installs it and restarts the device into it.
func (r *rig) install(e *update.Engine, version string) {
	r.t.Helper()
	r.send(e, version)
	if err := e.Install(r.t.Context(), "owner"); err != nil {
		r.t.Fatal(err)
	}
	other, wanted := e.Wish()
	if !wanted || !other {
		r.t.Fatalf("the device is not restarted into the other slot: %v, %v", other, wanted)
	}
	r.restart(other)
}

// steps returns the steps of an update's parts.
func steps(s shared.Status) map[string]shared.Step {
	m := map[string]shared.Step{}
	for _, p := range s.Parts {
		m[p.Name] = p.Step
	}
	return m
}

// refused fails unless err is a refusal, or a conflict, that contains text.
func refused(t testing.TB, err error, conflict bool, text string) {
	t.Helper()
	refused, inTheWay := update.IsRefusal(err)
	if !refused || inTheWay != conflict || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v (refused %v, in the way %v), want one with %q", err, refused, inTheWay, text)
	}
}
