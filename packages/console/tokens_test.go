package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

// tokens are what the page shows of a camera's tokens, in the order of its streams.
func tokens(t *testing.T, b *browser, camera string) []string {
	t.Helper()
	var list []string
	for _, m := range regexp.MustCompile(`data-whole="rtsps://[^"/]+/t/([a-z2-7]+)"`).FindAllStringSubmatch(b.get("/camera/"+camera).body, -1) {
		list = append(list, m[1])
	}
	return list
}

func hashes(tokens []string) []string {
	var list []string
	for _, t := range tokens {
		sum := sha256.Sum256([]byte(t))
		list = append(list, hex.EncodeToString(sum[:]))
	}
	return list
}

// TestTokens: every stream has one that proxy knows the hash of, and rotating one leaves the others.
func TestTokens(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "url2", "rtsp://192.168.1.30/sub")
	view := func() map[string]settings.Camera {
		m := map[string]settings.Camera{}
		for _, cam := range d.proxySettings().Cameras {
			m[cam.ID] = cam
		}
		return m
	}
	had := tokens(t, b, "yard")
	if len(had) != 2 || len(had[0]) != 26 || had[0] == had[1] {
		t.Fatalf("tokens %q", had)
	}
	if d := cmp.Diff(hashes(had), view()["yard"].TokenHashes); d != "" {
		t.Errorf("proxy knows others:\n%s", d)
	}
	if got := view()["demo"].TokenHashes; len(got) != 1 {
		t.Errorf("the built-in camera's: %q", got)
	}
	if a := b.get("/camera/yard/token/2"); a.status != http.StatusOK || !strings.Contains(a.body, "stops working") {
		t.Errorf("confirmation: %d\n%s", a.status, a.body)
	}
	if a := b.post("/camera/yard/token/2"); a.status != http.StatusSeeOther || a.location != "/camera/yard" {
		t.Fatalf("rotate: %d to %q", a.status, a.location)
	}
	now := tokens(t, b, "yard")
	if len(now) != 2 || now[0] != had[0] || now[1] == had[1] {
		t.Errorf("%q became %q", had, now)
	}
	if d := cmp.Diff(hashes(now), view()["yard"].TokenHashes); d != "" {
		t.Errorf("proxy was not told:\n%s", d)
	}
	for _, path := range []string{"/camera/yard/token/0", "/camera/yard/token/3", "/camera/yard/token/x", "/camera/none/token/1"} {
		if a := b.post(path); a.status != http.StatusNotFound {
			t.Errorf("POST %s: %d", path, a.status)
		}
	}
	// A stream less, a token less; the camera's successor under the same id gets new ones.
	if a := b.post("/settings/cameras/yard", "name", "Yard", "url", "rtsp://192.168.1.30/s"); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	if got := tokens(t, b, "yard"); len(got) != 1 || got[0] != now[0] {
		t.Errorf("with one stream: %q", got)
	}
	b.post("/settings/cameras/yard/delete")
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	if got := tokens(t, b, "yard"); len(got) != 1 || got[0] == now[0] {
		t.Errorf("a new camera of an old id: %q", got)
	}
	for _, token := range append(had, now...) {
		if strings.Contains(d.log.String(), token) {
			t.Error("a token is in the log")
		}
	}
}
