package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/system/pairs"
)

// TestCertificates publishes, lists and removes pairs as console does.
func TestCertificates(t *testing.T) {
	console, env := start(t, "")
	call := func(method, target string, in, out any) (int, string) {
		t.Helper()
		status, err := console.Call(t.Context(), method, target, in, out)
		var se *unixsock.StatusError
		if errors.As(err, &se) {
			return status, se.Body
		}
		if err != nil {
			t.Fatalf("%s %s: %v", method, target, err)
		}
		return status, ""
	}
	list := func() (names []string) {
		t.Helper()
		var got struct{ Certificates []pairs.Info }
		call(http.MethodGet, "/certificate", nil, &got)
		for _, c := range got.Certificates {
			names = append(names, c.Name+" "+c.Algorithm)
		}
		return names
	}
	events := func() []pairs.Event {
		t.Helper()
		var got struct{ Events []pairs.Event }
		call(http.MethodGet, "/certificates/events", nil, &got)
		return got.Events
	}
	until(t, "the device has both of its certificates", func() bool {
		return strings.Join(list(), ", ") == "device ECDSA P-256, device-rsa RSA 2048" && len(events()) == 3
	})

	dir := t.TempDir()
	leaf := testkit.WritePair(t, dir, "cam", 0o600)
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	put := map[string]string{"chain_pem": read("fullchain.pem"), "key_pem": read("privkey.pem"), "who": "anna", "why": "Uploaded by hand"}
	with := func(changes map[string]string) map[string]string {
		out := map[string]string{}
		for _, m := range []map[string]string{put, changes} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	other := t.TempDir()
	testkit.WritePair(t, other, "other", 0o600)
	otherKey, err := os.ReadFile(filepath.Join(other, "privkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method, target string
		in             any
		want           int
		says           string
	}{
		"the device's own":         {"PUT", "/certificates/device", put, 404, "no certificate"},
		"its RSA one":              {"DELETE", "/certificates/device-rsa", put, 404, "no certificate"},
		"no such name":             {"PUT", "/certificates/other", put, 404, "no certificate"},
		"out of the folder":        {"PUT", "/certificates/..%2fown", put, 404, "no certificate"},
		"another's key":            {"PUT", "/certificates/own", with(map[string]string{"key_pem": string(otherKey)}), 422, "private key is not that"},
		"no key":                   {"PUT", "/certificates/own", with(map[string]string{"key_pem": ""}), 422, "key"},
		"ECDSA as RSA":             {"PUT", "/certificates/own-rsa", put, 422, "cannot have the name own-rsa"},
		"nobody":                   {"PUT", "/certificates/own", with(map[string]string{"who": " "}), 400, "who and why"},
		"no reason":                {"DELETE", "/certificates/own", map[string]string{"who": "anna"}, 400, "who and why"},
		"no JSON":                  {"PUT", "/certificates/own", "x", 400, "chain_pem"},
		"too much":                 {"PUT", "/certificates/own", with(map[string]string{"chain_pem": strings.Repeat("x", maxPublish)}), 400, "chain_pem"},
		"nothing there to be gone": {"DELETE", "/certificates/own", put, 404, "no such certificate"},
	} {
		if status, body := call(c.method, c.target, c.in, nil); status != c.want || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d %q", name, status, body, c.want, c.says)
		}
	}
	if l := list(); len(l) != 2 {
		t.Errorf("what was refused is in service: %q", l)
	}

	if status, body := call("PUT", "/certificates/own", put, nil); status != http.StatusNoContent {
		t.Fatalf("published: %d %s", status, body)
	}
	if l := strings.Join(list(), ", "); l != "device ECDSA P-256, device-rsa RSA 2048, own ECDSA P-256" {
		t.Errorf("in service: %s", l)
	}
	if b, err := os.ReadFile(filepath.Join(env.TLSDir("own"), "privkey.pem")); err != nil || string(b) != put["key_pem"] {
		t.Errorf("the key: %v", err)
	}
	if status, body := call("DELETE", "/certificates/own", map[string]string{"who": "bert", "why": "Not needed any more."}, nil); status != http.StatusNoContent {
		t.Fatalf("removed: %d %s", status, body)
	}
	if l := list(); len(l) != 2 {
		t.Errorf("in service: %q", l)
	}
	if l := events(); len(l) != 5 || l[0].Certificate != "ca" || l[1].Certificate != "device" || l[2].Certificate != "device-rsa" ||
		l[3].Certificate != "own" || l[3].Who != "anna" || !strings.HasPrefix(l[3].What, "Uploaded by hand. For localhost, 127.0.0.1; by cam; until ") || !strings.Contains(l[3].What, certs.Fingerprint(leaf)) ||
		l[4].Certificate != "own" || l[4].Who != "bert" || l[4].What != "Removed. Not needed any more." {
		t.Errorf("events: %+v", l)
	}
}
