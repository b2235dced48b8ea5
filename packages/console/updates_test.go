package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"porthole/packages/internal/update"
)

// updateState is the answer to GET /api/v1/update.
type updateState struct {
	update.Status
	Fetch *struct {
		URL     string
		Running bool
		Bytes   int64
		Error   string
	}
	Sending     bool
	SupportEnds string `json:"support_ends"`
}

// updating is a claimed device with a card, an administrator, and update files for it.
type updating struct {
	*device
	card  *card
	admin *browser
	key   updateKey
	v1    updateFile
}

func newUpdating(t *testing.T) *updating {
	t.Helper()
	k := newUpdateKey(t)
	u := &updating{device: newDevice(t), key: k, v1: k.make(t, release{Version: "v1.4.0", Kernel: "6.12", Programs: "1.4.0"})}
	u.card = newCard(t, k, u.v1)
	u.peer("system", u.card)
	u.start()
	u.admin = u.claimed()
	return u
}

// next is a newer version with the same kernel.
func (u *updating) next(version string) updateFile {
	u.t.Helper()
	return u.key.make(u.t, release{Version: version, Kernel: "6.12", Programs: version, Compressed: true})
}

// api makes a call and decodes the state; a body is JSON unless it is bytes.
func (u *updating) api(method, path string, body any) (answer, updateState) {
	u.t.Helper()
	var r io.Reader
	ctype := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		r, ctype = bytes.NewReader(b), "application/octet-stream"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			u.t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	a := u.admin.raw(method, "/api/v1/update"+path, ctype, r)
	var s updateState
	if a.status < 300 && a.body != "" {
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			u.t.Fatalf("%s %s: %v\n%s", method, path, err, a.body)
		}
	}
	return a, s
}

// must is api where the answer must have that status.
func (u *updating) must(status int, method, path string, body any) updateState {
	u.t.Helper()
	a, s := u.api(method, path, body)
	if a.status != status {
		u.t.Fatalf("%s %s: %d, not %d\n%s", method, path, a.status, status, a.body)
	}
	return s
}

// until waits for a phase.
func (u *updating) until(phase update.Phase) updateState {
	u.t.Helper()
	var s updateState
	eventually(u.t, "the update is "+string(phase), func() bool {
		var a answer
		a, s = u.api(http.MethodGet, "", nil)
		return a.status == http.StatusOK && s.Phase == phase
	})
	return s
}

func offerOf(f updateFile) map[string]any {
	return map[string]any{"manifest": f.Raw, "signature": string(f.Signature)}
}

func steps(s update.Status) string {
	var list []string
	for _, p := range s.Parts {
		list = append(list, p.Name+" "+string(p.Step))
	}
	return strings.Join(list, ", ")
}

// TestUpdateByParts sends what a device needs and nothing else, restarts it, and sees it kept.
func TestUpdateByParts(t *testing.T) {
	u := newUpdating(t)
	s := u.must(http.StatusOK, http.MethodGet, "", nil)
	if !s.Supported || s.Version != "v1.4.0" || s.Board != "pi" || s.Phase != update.Idle || s.SupportEnds != update.SupportEnds || s.History == nil {
		t.Errorf("before: %+v", s)
	}
	f := u.key.make(t, release{Version: "v1.5.0", Kernel: "6.13", Programs: "1.5.0", Compressed: true})
	if a, _ := u.api(http.MethodPut, "/parts/boot", f.Stored["boot"]); a.status != http.StatusConflict {
		t.Errorf("a part without a manifest: %d %s", a.status, a.body)
	}
	s = u.must(http.StatusOK, http.MethodPost, "/manifest", offerOf(f))
	if s.Phase != update.Receiving || s.Target != "v1.5.0" || steps(s.Status) != "boot waiting, root waiting" {
		t.Errorf("offered: %+v", s)
	}
	if a, _ := u.api(http.MethodPut, "/parts/root", f.Stored["root"][1:]); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "from another file") {
		t.Errorf("another length: %d %s", a.status, a.body)
	}
	if a, _ := u.api(http.MethodPut, "/parts/kernel", f.Stored["boot"]); a.status != http.StatusNotFound {
		t.Errorf("a part that is none: %d %s", a.status, a.body)
	}
	flipped := bytes.Clone(f.Stored["root"])
	flipped[77777] ^= 1
	if a, _ := u.api(http.MethodPut, "/parts/root", flipped); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a flipped bit: %d %s", a.status, a.body)
	}
	damaged := bytes.Clone(f.Stored["boot"])
	damaged[len(damaged)/2] ^= 0xff
	if a, _ := u.api(http.MethodPut, "/parts/boot", damaged); a.status != http.StatusUnprocessableEntity {
		t.Errorf("damaged compression: %d %s", a.status, a.body)
	}
	u.must(http.StatusOK, http.MethodPut, "/parts/root", f.Stored["root"])
	s = u.must(http.StatusOK, http.MethodPut, "/parts/boot", f.Stored["boot"])
	if s.Phase != update.Ready || !bytes.Equal(u.card.root(update.SlotB, len(f.Parts["root"])), f.Parts["root"]) {
		t.Errorf("after the last part: %+v", s.Status)
	}
	if a, _ := u.api(http.MethodPost, "/manifest", offerOf(u.next("v1.6.0"))); a.status != http.StatusConflict {
		t.Errorf("another one meanwhile: %d %s", a.status, a.body)
	}
	u.must(http.StatusAccepted, http.MethodPost, "/install", nil)
	s = u.until(update.Kept)
	if s.Version != "v1.5.0" || len(s.History) != 1 || s.History[0].From != "v1.4.0" || s.History[0].What != update.Kept || s.Other != "v1.4.0" {
		t.Errorf("after: %+v", s)
	}
	eventually(t, "the audit log says so", func() bool {
		log := u.admin.get("/settings/audit").body
		return strings.Contains(log, "updated the device from v1.4.0 to v1.5.0: kept") && strings.Contains(log, "had the device restart into v1.5.0") &&
			strings.Contains(log, "began to send the update v1.5.0")
	})
	// And back again, which the page asks about first.
	checkPage(t, "back", u.admin.get("/settings/updates/back"))
	u.must(http.StatusAccepted, http.MethodPost, "/back", nil)
	eventually(t, "v1.4.0 runs again", func() bool { s := u.card.status(); return s.Version == "v1.4.0" && s.Phase == update.Kept })
}

// TestUpdateWhole sends whole files: the right one, and those that are refused before anything restarts.
func TestUpdateWhole(t *testing.T) {
	u := newUpdating(t)
	f := u.next("v1.5.0")
	other := newUpdateKey(t)
	older := u.next("v1.3.9")
	for name, c := range map[string]struct {
		body []byte
		says string
	}{
		"nothing":       {[]byte{}, "cut short|not an update"},
		"garbage":       {bytes.Repeat([]byte("no update "), 99999), "damaged|not an update"},
		"a page":        {[]byte("<!doctype html><title>404"), "cut short|not an update"},
		"another key":   {other.make(t, release{Version: "v1.5.0", Kernel: "x", Programs: "y"}).Bundle, "does not trust"},
		"another board": {u.key.make(t, release{Version: "v1.5.0", Board: "vm", Kernel: "x", Programs: "y"}).Bundle, "board"},
		"older":         {older.Bundle, "older than v1.4.0"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := u.api(http.MethodPost, "", c.body)
			var says struct{ Error, Code string }
			if err := json.Unmarshal([]byte(a.body), &says); err != nil || a.status != http.StatusUnprocessableEntity || !regexp.MustCompile(c.says).MatchString(says.Error) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if (says.Code == "older") != (name == "older") {
				t.Errorf("code %q", says.Code)
			}
		})
	}
	if s := u.card.status(); s.Version != "v1.4.0" || s.Phase != update.Idle {
		t.Errorf("after all that was refused: %+v", s)
	}
	if a, _ := u.api(http.MethodPost, "", f.Bundle[:len(f.Bundle)*2/3]); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "cut short") {
		t.Errorf("cut short: %d %s", a.status, a.body)
	}
	if s := u.card.status(); s.Version != "v1.4.0" || s.Phase != update.Receiving {
		t.Errorf("after a file that was cut short: %+v", s)
	}
	// The boot part is the running one's: it is copied, not sent. The same file goes on where it stopped, and restarts by itself.
	s := u.must(http.StatusOK, http.MethodPut, "?install=1", f.Bundle)
	if s.Target != "v1.5.0" {
		t.Errorf("%+v", s)
	}
	u.until(update.Kept)
	if a, _ := u.api(http.MethodPost, "?downgrade=true", older.Bundle); a.status != http.StatusOK {
		t.Errorf("an older one that was asked for: %d %s", a.status, a.body)
	}
	u.until(update.Ready)
	u.must(http.StatusNoContent, http.MethodDelete, "", nil)
	if s := u.card.status(); s.Phase != update.Idle {
		t.Errorf("called off: %+v", s)
	}
	if a, _ := u.api(http.MethodDelete, "", nil); a.status != http.StatusConflict {
		t.Errorf("called off twice: %d %s", a.status, a.body)
	}
	if b := u.card.boots(); b != 2 {
		t.Errorf("it started %d times", b)
	}
}

// TestUpdateRolledBack: what does not prove itself goes, the reason stands on the pages until somebody has read it.
func TestUpdateRolledBack(t *testing.T) {
	u := newUpdating(t)
	u.card.setDeadline(3)
	f := u.next("v1.5.0")
	u.must(http.StatusOK, http.MethodPost, "", f.Bundle)
	u.until(update.Ready)
	u.card.spoil("v1.5.0")
	u.must(http.StatusAccepted, http.MethodPost, "/install", nil)
	s := u.until(update.RolledBack)
	if s.Version != "v1.4.0" || !strings.Contains(s.Reason, "screen") {
		t.Errorf("%+v", s)
	}
	page := u.admin.get("/settings/updates")
	checkPage(t, "updates", page)
	if !strings.Contains(page.body, "v1.5.0 was tried, and v1.4.0 runs again") || !strings.Contains(page.body, "The screen has shown no picture") || !strings.Contains(page.body, "rolled back") {
		t.Errorf("the page:\n%s", page.body)
	}
	notice := `action="/notices/update/dismiss"`
	eventually(t, "the home page says so", func() bool { return strings.Contains(u.admin.get("/").body, notice) })
	if a := u.admin.post("/notices/update/dismiss"); a.status != http.StatusSeeOther {
		t.Errorf("put away: %d", a.status)
	}
	if body := u.admin.get("/").body; strings.Contains(body, notice) {
		t.Error("it does not go away")
	}
	eventually(t, "the audit log says so", func() bool { return strings.Contains(u.admin.get("/settings/audit").body, "rolled back to v1.4.0") })
}

// TestUpdateForms are the page's forms, as a browser without scripts sends them.
func TestUpdateForms(t *testing.T) {
	u := newUpdating(t)
	checkPage(t, "updates", u.admin.get("/settings/updates"))
	send := func(parts ...string) answer {
		t.Helper()
		var b bytes.Buffer
		for i := 0; i < len(parts); i += 2 {
			file := ""
			if parts[i] == "file" {
				file = `; filename="x.update"`
			}
			fmt.Fprintf(&b, "--frontier\r\nContent-Disposition: form-data; name=%q%s\r\n\r\n%s\r\n", parts[i], file, parts[i+1])
		}
		b.WriteString("--frontier--\r\n")
		return u.admin.raw(http.MethodPost, "/settings/updates", "multipart/form-data; boundary=frontier", &b)
	}
	older := u.next("v1.2.0")
	for name, a := range map[string]answer{
		"no form": u.admin.post("/settings/updates"), "no file": send("install", "1"), "garbage": send("file", "garbage"), "older": send("file", string(older.Bundle)),
	} {
		checkPage(t, name, a)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
	}
	if a := send("downgrade", "1", "file", string(older.Bundle)); a.status != http.StatusSeeOther {
		t.Fatalf("send: %d\n%s", a.status, a.body)
	}
	u.until(update.Ready)
	page := u.admin.get("/settings/updates")
	checkPage(t, "ready", page)
	if !strings.Contains(page.body, "v1.2.0 is ready") || !strings.Contains(page.body, "v1.2.0 has arrived.") || strings.Contains(page.body, `id="file"`) {
		t.Errorf("ready:\n%s", page.body)
	}
	if a := u.admin.post("/settings/updates/cancel"); a.status != http.StatusSeeOther {
		t.Errorf("cancel: %d", a.status)
	}
	if a := u.admin.post("/settings/updates/install"); a.status != http.StatusConflict || !strings.Contains(a.body, "No update is ready") {
		t.Errorf("install what is not there: %d\n%s", a.status, a.body)
	}
}

// TestUpdateTokens: a token of an administrator that is for updates, and no other.
func TestUpdateTokens(t *testing.T) {
	u := newUpdating(t)
	token := func(scopes ...string) string {
		t.Helper()
		pairs := []string{"name", strings.Join(scopes, " "), "days", "30", "see", "all"}
		for _, s := range scopes {
			pairs = append(pairs, "scope", s)
		}
		if a := u.admin.post("/account/tokens", pairs...); a.status != http.StatusSeeOther {
			t.Fatalf("make a token: %d\n%s", a.status, a.body)
		}
		return regexp.MustCompile(`porthole_[a-z2-7]{26}`).FindString(u.admin.get("/account").body)
	}
	good, upload := token("update"), token("upload")
	as := func(secret, method, path string) answer {
		b := u.browser()
		if secret != "" {
			b.header.Set("Authorization", "Bearer "+secret)
		}
		return b.raw(method, path, "", nil)
	}
	for name, c := range map[string]struct {
		secret, method, path string
		status               int
	}{
		"good":             {good, http.MethodGet, "/api/v1/update", 200},
		"upload":           {upload, http.MethodGet, "/api/v1/update", 403},
		"nobody":           {"", http.MethodGet, "/api/v1/update", 401},
		"made up":          {"porthole_aaaaaaaaaaaaaaaaaaaaaaaaaa", http.MethodGet, "/api/v1/update", 401},
		"good, other page": {good, http.MethodGet, "/settings/updates", 303},
		"good, uploads":    {good, http.MethodPost, "/uploads/", 403},
		"good, an order":   {good, http.MethodPost, "/api/v1/update/install", 409},
		"nobody's order":   {"", http.MethodPost, "/api/v1/update/install", 401},
	} {
		if a := as(c.secret, c.method, c.path); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	// Another site's page may not, whoever is logged in.
	u.admin.header = http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}
	if a := u.admin.raw(http.MethodPost, "/api/v1/update/back", "", nil); a.status != http.StatusForbidden || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another site: %d %v", a.status, a.header)
	}
}

// TestNoUpdatesHere: on a developer's machine, and without system, the pages say so.
func TestNoUpdatesHere(t *testing.T) {
	d := newDevice(t)
	d.peer("system", jsonHandler(map[string]any{"supported": false, "why": "This Porthole does not run from a card.", "version": "devel", "phase": "idle", "history": []any{}}))
	d.start()
	b := d.claimed()
	a := b.get("/settings/updates")
	checkPage(t, "updates", a)
	if !strings.Contains(a.body, "does not run from a card") || strings.Contains(a.body, `id="file"`) {
		t.Errorf("the page:\n%s", a.body)
	}
	d2 := newDevice(t).start()
	b = d2.claimed()
	a = b.get("/settings/updates")
	checkPage(t, "without system", a)
	if a.status != http.StatusOK || !strings.Contains(a.body, "system does not answer") {
		t.Errorf("without system: %d\n%s", a.status, a.body)
	}
	if a := b.get("/api/v1/update"); a.status != http.StatusBadGateway || !strings.Contains(a.body, `"error"`) {
		t.Errorf("the API without system: %d %s", a.status, a.body)
	}
}
