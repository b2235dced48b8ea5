package vm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"porthole/gokrazy-instance/imager/keys"
	"porthole/integration/vm"
	"porthole/packages/updatekit"
)

// Versions of the test images and of the updates made of them.
const (
	oldVersion = vm.TestVersion
	newVersion = "v9.0.0"
)

// status is what the device says of updates.
type status = updatekit.Status

// updater brings updates to a machine's system, as its console does.
type updater struct {
	m    *vm.Machine
	keys *keys.Keys
}

func (u updater) status(ctx context.Context) (s status, err error) {
	err = u.m.Agent().Ask(ctx, systemSocket, "/update", &s)
	return s, err
}

// offer offers a manifest as it is.
func (u updater) offer(ctx context.Context, manifest, signature []byte, downgrade bool) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, bringing)
	defer cancel()
	b, err := json.Marshal(map[string]any{"manifest": manifest, "signature": string(signature), "downgrade": downgrade, "who": "test"})
	if err != nil {
		return s, err
	}
	err = u.m.Agent().Pass(ctx, systemSocket, http.MethodPost, "/update", bytes.NewReader(b), int64(len(b)), &s)
	return s, err
}

// send sends a part.
func (u updater) send(ctx context.Context, name string, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, bringing)
	defer cancel()
	return u.m.Agent().Pass(ctx, systemSocket, http.MethodPut, "/update/parts/"+name, bytes.NewReader(content), int64(len(content)), nil)
}

// bring offers an update and sends the parts that the machine has not. It returns their names.
func (u updater) bring(ctx context.Context, t *testing.T, up *bundle, downgrade bool) (sent []string, err error) {
	manifest, signature := up.signed(t, u.keys)
	s, err := u.offer(ctx, manifest, signature, downgrade)
	if err != nil {
		return nil, err
	}
	for _, p := range s.Parts {
		if p.Step != "waiting" {
			continue
		}
		if err := u.send(ctx, p.Name, up.content[p.Name]); err != nil {
			return sent, fmt.Errorf("send %s: %w", p.Name, err)
		}
		sent = append(sent, p.Name)
	}
	return sent, u.awaitPhase(ctx, "ready")
}

// awaitPhase waits until the machine says that it is in a phase; another end than that is an error.
func (u updater) awaitPhase(ctx context.Context, want string) error {
	for {
		s, err := u.status(ctx)
		if err == nil && string(s.Phase) == want {
			return nil
		}
		if err == nil && (s.Phase == "failed" || s.Phase == "rolled-back") {
			return fmt.Errorf("it ended as %s: %s", s.Phase, s.Reason)
		}
		if err := pause(ctx); err != nil {
			return errors.Join(fmt.Errorf("waiting for %s, the last was %s", want, s.Phase), err)
		}
	}
}

// install has the machine restart into what was brought.
func (u updater) install(ctx context.Context) error {
	b := []byte(`{"who":"test"}`)
	return u.m.Agent().Pass(ctx, systemSocket, http.MethodPost, "/update/install", bytes.NewReader(b), int64(len(b)), nil)
}

// isReady waits until a machine that has just been started takes updates.
func (u updater) isReady(t *testing.T) (s status) {
	t.Helper()
	eventually(t, "ask for the version", func(ctx context.Context) (err error) {
		if s, err = u.status(ctx); err == nil && !s.Supported {
			t.Fatalf("the device takes no updates: %s", s.Why)
		}
		return err
	})
	return s
}

// end waits until the update is over and the machine that has gone through it is well. It returns what the machine says.
func (u updater) end(t *testing.T) (s status) {
	t.Helper()
	within(t, updatePatience, "see the end of the update", func(ctx context.Context) (err error) {
		if s, err = u.status(ctx); err == nil && !ended(string(s.Phase)) {
			err = fmt.Errorf("it is %s: try %d, healthy for %.0f of %.0f s, checks %+v", s.Phase, s.Try, s.HealthyFor, s.HealthyNeeded, s.Checks)
		}
		return err
	})
	isHealthy(t, u.m)
	return s
}

// isHealthy waits until the console says that all is well.
func isHealthy(t *testing.T, m *vm.Machine) {
	t.Helper()
	isHealthyAsked(t, m, askOnce)
}

// isHealthyAsked gives each question so long.
func isHealthyAsked(t *testing.T, m *vm.Machine, once time.Duration) {
	t.Helper()
	c := visitor(t)
	eventually(t, "the console says that all is well", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, once)
		defer cancel()
		return healthy(ctx, c, m)
	})
}

// healthy asks the console how all is.
func healthy(ctx context.Context, c *http.Client, m *vm.Machine) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+m.Addr(443)+"/api/health", nil)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var health struct{ Status string }
	if err := json.NewDecoder(res.Body).Decode(&health); err != nil {
		return err
	}
	if health.Status != "ok" {
		return fmt.Errorf("it says %q", health.Status)
	}
	return nil
}
