package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"porthole/packages/internal/settings"
)

// TestAudit: who changes what stands in the audit log once, and what was refused does not.
func TestAudit(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /certificates/events", jsonHandler(map[string]any{"events": []map[string]string{
		{"at": "2026-01-02T03:04:05Z", "certificate": "device", "what": "renewed because of another address", "who": "system"},
	}}))
	mux.HandleFunc("/", http.NotFound)
	d.peer("system", mux)
	d.peer("player", jsonHandler(map[string]any{"trust": []map[string]string{
		{"time": "2025-05-06T07:08:09Z", "server": "https://signs.example", "action": "pinned", "fingerprint": "AB:CD", "detail": "first seen"},
	}}))
	d.start()
	b := d.claimed()
	b.remote = "203.0.113.4"
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "user", "cam", "password", "hunter2")
	b.post("/settings/cameras/new", "name", "", "url", "no url")
	b.post("/settings/cameras/yard", "name", "Back yard", "url", "rtsp://192.168.1.30/s")
	b.post("/settings/people", "name", "anna", "password", password, "role", "viewer", "see", "listed", "camera", "yard")
	b.post("/settings/people", "name", "anna", "password", password, "role", "viewer", "see", "all")
	b.post("/settings/people/anna", "role", "editor", "password", password+"!")
	b.post("/settings/people/anna/delete")
	b.post("/settings/proxy/accounts", "user", "nvr", "password", "")
	b.post("/settings/proxy/accounts/nvr/delete")
	b.post("/settings/signage", "timezone", "Europe/Berlin", "default_playlist", "0")
	b.post("/account/tokens", "name", "tablet", "days", "30", "see", "all", "scope", "view")
	b.post("/account/tokens/1/revoke")
	b.post("/logout")
	b.post("/login", "user", "admin", "password", "wrong password")
	b.post("/login", "user", "admin", "password", password)
	page := b.get("/settings/audit")
	checkPage(t, "audit", page)
	text := b.get("/settings/audit.txt")
	if got := text.header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=\"audit-") {
		t.Errorf("the download is %q", got)
	}
	for _, want := range []string{
		"[device] admin from 192.168.1.7: claimed this device\n",
		"[settings] admin from 203.0.113.4: added a camera\n",
		"[settings] admin from 203.0.113.4: changed the camera yard\n",
		"[accounts] admin from 203.0.113.4: added the account anna as viewer of Back yard\n",
		"[accounts] admin from 203.0.113.4: made anna editor and set another password\n",
		"[accounts] admin from 203.0.113.4: deleted the account anna\n",
		"[settings] admin from 203.0.113.4: added an RTSP account\n",
		"[settings] admin from 203.0.113.4: deleted the RTSP account nvr\n",
		"[settings] admin from 203.0.113.4: changed the signage settings\n",
		"[accounts] admin from 203.0.113.4: made the API token tablet\n",
		"[accounts] admin from 203.0.113.4: revoked the API token tablet\n",
		"[accounts] admin from 203.0.113.4: logged out\n",
		"[accounts] admin from 203.0.113.4: logged in\n",
		"2026-01-02T03:04:05Z [certificates] system: renewed because of another address (device)\n",
		"2025-05-06T07:08:09Z [trust] player: pinned https://signs.example: first seen SHA-256 AB:CD\n",
	} {
		if n := strings.Count(text.body, want); n != 1 {
			t.Errorf("%d times in the log: %q\n%s", n, want, text.body)
		}
		words := strings.TrimSpace(want[strings.LastIndex(want, "]")+2:])
		_, words, _ = strings.Cut(words, ": ")
		if !strings.Contains(page.body, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if n := strings.Count(text.body, "\n"); n != 15 {
		t.Errorf("%d entries, want 15:\n%s", n, text.body)
	}
	// Newest first, all processes' together.
	if lines := strings.Split(strings.TrimSpace(text.body), "\n"); !strings.Contains(lines[0], "logged in") || !strings.Contains(lines[len(lines)-1], "pinned") {
		t.Errorf("the order:\n%s", text.body)
	}
	only := b.get("/settings/audit.txt?area=settings").body
	if !strings.Contains(only, "changed the signage settings") || strings.Contains(only, "[accounts]") || strings.Contains(only, "[trust]") {
		t.Errorf("only settings:\n%s", only)
	}
	for _, secret := range []string{"hunter2", password} {
		if strings.Contains(text.body+page.body, secret) {
			t.Errorf("%q is in the audit log", secret)
		}
	}
	if a := b.get("/settings/audit?area=%3Cscript%3E"); a.status != http.StatusOK || strings.Contains(a.body, "<script>") {
		t.Errorf("an area that is none: %d", a.status)
	}
}

// TestAuditIsBounded: the oldest entries go, and nobody but administrators reads it.
func TestAuditIsBounded(t *testing.T) {
	h := newHousehold(t)
	for i := range 20 {
		h.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
			INSERT INTO audit (at, who, remote, area, what) SELECT ? + i, 'old', '', 'device', 'old entry' FROM n`, i*500)
	}
	h.anna.post("/logout")
	h.logIn(h.anna, "anna", password)
	text := h.admin.get("/settings/audit.txt").body
	if n := strings.Count(text, "\n"); n < 5000 || n > 5003 {
		t.Errorf("%d entries", n)
	}
	if body := h.admin.get("/settings/audit").body; !strings.Contains(body, fmt.Sprintf("The newest 200 of %d entries", 5000)) || !strings.Contains(body, "system does not answer") || !strings.Contains(body, "player does not answer") {
		t.Error("the page does not say that there is more, or what is missing")
	}
	for _, path := range []string{"/settings/audit", "/settings/audit.txt"} {
		if a := h.anna.get(path); a.status != http.StatusForbidden {
			t.Errorf("%s as a viewer: %d", path, a.status)
		}
	}
}
