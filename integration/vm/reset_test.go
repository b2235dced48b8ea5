package vm_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"porthole/integration/vm"
)

// factoryReset: the console makes the device what it was when it was new, and so does a file on the card.
func (l *life) factoryReset(t *testing.T) {
	m := boot(t, vm.Options{Disk: l.disk, LAN: l.lan, Reboot: true})
	u := logIn(t, m)
	before := authorityOf(t, m)
	at := len(m.Serial())
	askReset(t, u)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, _, err := m.WaitSerial(ctx, at, `factory reset: the storage was emptied" by="\\"admin`); err != nil {
		t.Fatal(err)
	}
	middle := isNew(t, m, before)
	if m.Resets() == 0 {
		t.Error("the machine was never restarted")
	}
	if err := m.Agent().WriteFile(t.Context(), marker(1), "kept"); err != nil {
		t.Fatal(err)
	}
	m.Kill()

	files, err := vm.OpenBoot(l.disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := files.Write(t.Context(), "Factory-reset.txt", nil); err != nil {
		t.Fatal(err)
	}
	m = l.boot(t)
	isNew(t, m, middle)
	if s := readPermStatus(t, m.Agent()); s.State != "ok" || s.Problem != "" {
		t.Errorf("the storage's status is %+v", s)
	}
	checkMounts(t, m.Agent())
	checkSize(t, m.Agent())
	m.Kill()
	list, err := files.List(t.Context())
	if err != nil || slices.ContainsFunc(list, func(name string) bool { return strings.Contains(strings.ToLower(name), "reset") }) {
		t.Errorf("left on the card: %q, %v", list, err)
	}
}

// askReset fills in the console's page.
func askReset(t *testing.T, u console) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), askOnce)
	defer cancel()
	form := url.Values{"word": {"reset"}, "password": {password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.at+"/settings/reset", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := u.c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("the console answers %s", res.Status)
	}
}

// authorityOf is the device's own authority.
func authorityOf(t *testing.T, m *vm.Machine) string {
	t.Helper()
	var c struct {
		CA string `json:"ca_sha256"`
	}
	eventually(t, "ask for the authority", func(ctx context.Context) error {
		err := m.Agent().Ask(ctx, systemSocket, "/certificate", &c)
		if err == nil && c.CA == "" {
			err = errors.New("there is none")
		}
		return err
	})
	return c.CA
}

// isNew waits for a device that belongs to nobody and knows nothing of before. It returns its authority.
func isNew(t *testing.T, m *vm.Machine, before string) string {
	t.Helper()
	eventually(t, "the device can be claimed", func(ctx context.Context) error {
		var claim struct {
			Claimed bool
			Code    string
		}
		err := m.Agent().Ask(ctx, "/run/porthole/console/console-internal.sock", "/claim", &claim)
		if err == nil && (claim.Claimed || claim.Code == "") {
			err = fmt.Errorf("%+v", claim)
		}
		return err
	})
	now := authorityOf(t, m)
	if now == before {
		t.Error("the authority is that of the former owner")
	}
	for _, path := range []string{marker(1), "/perm/tls/own/privkey.pem", "/perm/tls/own-rsa/privkey.pem", "/perm/.factory-reset"} {
		if _, err := m.Agent().ReadFile(t.Context(), path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	eventually(t, "be served the new certificate", func(ctx context.Context) error {
		leaf, err := servedTo(ctx, m.Addr(443), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is looked at
		if err == nil && leaf.Issuer.CommonName == "Test authority" {
			err = errors.New("it is the former owner's")
		}
		return err
	})
	return now
}
