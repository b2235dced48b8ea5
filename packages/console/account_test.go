package main_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// household is a claimed device with the cameras demo, yard and hall, and anna, who may see yard.
type household struct {
	*device
	admin, anna *browser
	asker       *identity.Asker
}

func newHousehold(t *testing.T) *household {
	t.Helper()
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	h := &household{device: d, admin: d.claimed(), anna: d.browser(), asker: identity.NewAsker(d.internal())}
	d.addCamera(h.admin, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	d.addCamera(h.admin, "name", "Hall", "url", "rtsp://192.168.1.31/s")
	if a := h.admin.post("/settings/people", "name", "anna", "password", password, "role", "viewer", "see", "listed", "camera", "yard"); a.status != http.StatusSeeOther {
		t.Fatalf("add anna: %d\n%s", a.status, a.body)
	}
	h.logIn(h.anna, "anna", password)
	return h
}

func (h *household) logIn(b *browser, user, password string) {
	h.t.Helper()
	if a := b.post("/login", "user", user, "password", password); a.status != http.StatusSeeOther {
		h.t.Fatalf("%s logs in: %d\n%s", user, a.status, a.body)
	}
}

// who asks console as proxy does; nobody is the zero Identity.
func (h *household) who(c identity.Credentials) identity.Identity {
	h.t.Helper()
	c.Remote = "203.0.113.20"
	id, err := h.asker.Ask(h.t.Context(), c)
	if err != nil && !errors.Is(err, identity.ErrDenied) {
		h.t.Fatal(err)
	}
	return id
}

// database opens console's database behind its back.
func (h *household) exec(q string, args ...any) {
	h.t.Helper()
	db, err := sql.Open("sqlite", "file:"+h.database()+"?_pragma=busy_timeout(20000)")
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(q, args...); err != nil {
		h.t.Fatal(err)
	}
}

// TestListedCameras: a viewer sees the listed cameras, on no page any other, and no other stands in for one that is gone.
func TestListedCameras(t *testing.T) {
	h := newHousehold(t)
	sees := func(b *browser, want string) {
		t.Helper()
		for _, path := range []string{"/", "/fragments/home"} {
			body := b.get(path).body
			for _, id := range []string{"demo", "yard", "hall"} {
				if strings.Contains(body, "/camera/"+id) != strings.Contains(want, id) {
					t.Errorf("%s shows %s: %t", path, id, !strings.Contains(want, id))
				}
			}
		}
		for _, id := range []string{"demo", "yard", "hall"} {
			status := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[strings.Contains(want, id)]
			for _, path := range []string{"/camera/" + id, "/fragments/camera/" + id} {
				if a := b.get(path); a.status != status {
					t.Errorf("%s: %d", path, a.status)
				}
			}
		}
		id := h.who(identity.Credentials{Cookie: b.session()})
		for _, camera := range []string{"demo", "yard", "hall", "new"} {
			if id.MaySee(camera) != strings.Contains(want, camera) {
				t.Errorf("%+v sees %s: %t", id, camera, id.MaySee(camera))
			}
		}
	}
	sees(h.anna, "yard")
	if id := h.who(identity.Credentials{Authorization: basic("anna", password)}); id.MaySee("hall") || !id.MaySee("yard") || id.MayMeasure() {
		t.Errorf("with Basic: %+v", id)
	}
	checkPage(t, "anna's page", h.admin.get("/settings/people/anna"))
	if body := h.admin.get("/settings/people").body; !strings.Contains(body, "Viewer: Yard<") {
		t.Errorf("the list does not say what she sees:\n%s", body)
	}
	set := func(want int, pairs url.Values) {
		t.Helper()
		if a := h.admin.do(http.MethodPost, "/settings/people/anna", pairs); a.status != want {
			t.Errorf("%v: %d\n%s", pairs, a.status, a.body)
		}
	}
	set(http.StatusUnprocessableEntity, url.Values{"role": {"viewer"}, "see": {"listed"}})
	set(http.StatusUnprocessableEntity, url.Values{"role": {"viewer"}, "see": {"listed"}, "camera": {"none"}})
	sees(h.anna, "yard")
	set(http.StatusSeeOther, url.Values{"role": {"viewer"}, "see": {"listed"}, "camera": {"yard", "hall"}})
	sees(h.anna, "yard hall")
	// A camera that takes the id of one that is gone is another camera.
	h.admin.post("/settings/cameras/hall/delete")
	h.admin.post("/settings/cameras/yard/delete")
	sees(h.anna, "")
	h.addCamera(h.admin, "name", "Yard", "url", "rtsp://192.168.1.40/s")
	sees(h.anna, "")
	set(http.StatusSeeOther, url.Values{"role": {"viewer"}, "see": {"all"}})
	if id := h.who(identity.Credentials{Cookie: h.anna.session()}); id.Cameras != nil || !id.MaySee("demo") {
		t.Errorf("all cameras: %+v", id)
	}
	// Editors see all, whatever stands in the form.
	set(http.StatusSeeOther, url.Values{"role": {"editor"}, "see": {"listed"}, "camera": {"yard"}})
	if a := h.anna.get("/camera/demo"); a.status != http.StatusOK {
		t.Errorf("an editor: %d", a.status)
	}
}

// TestViewsEnd: who may watch a camera no more is sent away.
func TestViewsEnd(t *testing.T) {
	d := newDevice(t)
	var mu sync.Mutex
	var gone []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /viewers", jsonHandler(map[string]any{"viewers": []map[string]string{
		{"id": "a1", "user": "anna", "stream": "yard"}, {"id": "a2", "user": "anna", "stream": "hall/2"}, {"id": "b1", "user": "admin", "stream": "hall"},
	}}))
	mux.HandleFunc("DELETE /viewers/{id}", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		gone = append(gone, r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	d.peer("signaling-status", mux)
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	d.addCamera(b, "name", "Hall", "url", "rtsp://192.168.1.31/s")
	for _, c := range []struct {
		path  string
		pairs []string
		want  []string
	}{
		{"/settings/people", []string{"name", "anna", "password", password, "role", "viewer", "see", "all"}, nil},
		{"/settings/people/anna", []string{"role", "viewer", "see", "all"}, nil},
		{"/settings/people/anna", []string{"role", "viewer", "see", "listed", "camera", "yard"}, []string{"a2"}},
		{"/settings/people/anna", []string{"role", "viewer", "see", "listed", "camera", "yard", "password", password + "!"}, []string{"a1", "a2"}},
		{"/settings/people/anna/logout", nil, []string{"a1", "a2"}},
		{"/account/logout", nil, []string{"b1"}},
		{"/settings/people/anna/delete", nil, []string{"a1", "a2"}},
	} {
		mu.Lock()
		gone = nil
		mu.Unlock()
		if a := b.post(c.path, c.pairs...); a.status != http.StatusSeeOther {
			t.Fatalf("%s: %d\n%s", c.path, a.status, a.body)
		}
		mu.Lock()
		slices.Sort(gone)
		if d := cmp.Diff(c.want, gone); d != "" {
			t.Errorf("%s %v:\n%s", c.path, c.pairs, d)
		}
		mu.Unlock()
	}
}

// TestOwnPassword: who knows the old one sets a new one; every other session ends, and this one has another token.
func TestOwnPassword(t *testing.T) {
	h := newHousehold(t)
	checkPage(t, "account", h.anna.get("/account"))
	other := h.browser()
	h.logIn(other, "anna", password)
	before := h.anna.session()
	const fresh = "another long password"
	for name, c := range map[string]struct {
		old, password, confirm string
		status                 int
		want                   string
	}{
		"wrong old one": {"guess guess", fresh, fresh, http.StatusForbidden, "old-error"},
		"too short":     {password, "short", "short", http.StatusUnprocessableEntity, "password-error"},
		"not the same":  {password, fresh, fresh + "x", http.StatusUnprocessableEntity, "confirm-error"},
	} {
		a := h.anna.post("/account/password", "old", c.old, "password", c.password, "confirm", c.confirm)
		if a.status != c.status || !strings.Contains(a.body, c.want) || strings.Contains(a.body, fresh) {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		checkPage(t, name, a)
	}
	if a := h.anna.post("/account/password", "old", password, "password", fresh, "confirm", fresh); a.status != http.StatusSeeOther {
		t.Fatalf("change: %d\n%s", a.status, a.body)
	}
	if after := h.anna.session(); after == before || h.who(identity.Credentials{Cookie: before}).User != "" || h.who(identity.Credentials{Cookie: after}).User != "anna" {
		t.Error("the session did not get another token")
	}
	if a := h.anna.get("/account"); a.status != http.StatusOK || !strings.Contains(a.body, "logged out everywhere but here") {
		t.Errorf("here: %d", a.status)
	}
	if a := other.get("/account"); a.status != http.StatusSeeOther {
		t.Errorf("elsewhere: %d", a.status)
	}
	// Somebody at an open browser cannot guess the password either.
	status := 0
	for range 12 {
		status = h.anna.post("/account/password", "old", "guess guess", "password", fresh, "confirm", fresh).status
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after a dozen guesses: %d", status)
	}
	h.logIn(h.browser(), "admin", password)
}

// ownLogins are the ids of the sessions on the page.
func ownLogins(b *browser) (ids []string) {
	for _, m := range regexp.MustCompile(`/account/logins/([0-9a-f]+)/end`).FindAllStringSubmatch(b.get("/account").body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// TestOwnSessions: everybody sees and ends the own sessions, and nobody another's.
func TestOwnSessions(t *testing.T) {
	h := newHousehold(t)
	other := h.browser()
	other.header = http.Header{"User-Agent": {"Mozilla/5.0 (X11) Firefox/140.0 <script>"}}
	other.remote = "203.0.113.77"
	h.logIn(other, "anna", password)
	page := h.anna.get("/account").body
	for _, want := range []string{"Firefox 140", "From 203.0.113.77", "From 192.168.1.7", ">here<"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	ids := ownLogins(h.anna)
	if len(ids) != 2 || slices.Contains(ids, "") {
		t.Fatalf("sessions %q", ids)
	}
	// The admin has other rights, but not to a session by its id.
	for _, id := range append(ids, "0000000000000000", "x", "%25") {
		h.admin.post("/account/logins/" + id + "/end")
	}
	if a, b := h.anna.get("/account").status, other.get("/account").status; a != http.StatusOK || b != http.StatusOK {
		t.Fatalf("somebody else ended them: %d, %d", a, b)
	}
	before := h.anna.session()
	for _, id := range ids {
		// One of them is this one: then she is logged out here.
		if h.anna.get("/account").status == http.StatusOK && len(ownLogins(other)) == 2 {
			other.post("/account/logins/" + id + "/end")
		}
	}
	if a, b := h.anna.get("/account").status, other.get("/account").status; (a == http.StatusOK) == (b == http.StatusOK) {
		t.Errorf("after one of two sessions was ended: %d here, %d there", a, b)
	}
	h.logIn(h.anna, "anna", password)
	h.logIn(other, "anna", password)
	before = h.anna.session()
	if a := h.anna.post("/account/logout"); a.status != http.StatusSeeOther {
		t.Fatal(a.status)
	}
	if h.anna.session() == before || h.who(identity.Credentials{Cookie: before}).User != "" {
		t.Error("the session did not get another token")
	}
	if a, b := h.anna.get("/account").status, other.get("/account").status; a != http.StatusOK || b != http.StatusSeeOther {
		t.Errorf("logged out everywhere else: %d here, %d there", a, b)
	}
	// The administrator can do it for her.
	if a := h.admin.post("/settings/people/anna/logout"); a.status != http.StatusSeeOther || h.anna.get("/account").status != http.StatusSeeOther {
		t.Errorf("the administrator logs her out: %d", a.status)
	}
	if h.admin.get("/account").status != http.StatusOK {
		t.Error("the administrator is logged out, too")
	}
}

// TestRoleRotates: a session of somebody who may more now has another token, and the old one is worth nothing.
func TestRoleRotates(t *testing.T) {
	h := newHousehold(t)
	before := h.anna.session()
	for _, role := range []string{"admin", "viewer"} {
		if a := h.admin.post("/settings/people/anna", "role", role, "see", "all"); a.status != http.StatusSeeOther {
			t.Fatal(a.status)
		}
		if a := h.anna.get("/"); a.status != http.StatusOK {
			t.Errorf("as %s: %d", role, a.status)
		}
		after := h.anna.session()
		if after == before || h.who(identity.Credentials{Cookie: before}).User != "" {
			t.Errorf("as %s the session's token is the same", role)
		}
		if id := h.who(identity.Credentials{Cookie: after}); string(id.Role) != role {
			t.Errorf("she is %+v", id)
		}
		before = after
	}
}

// TestClaimWindow: some time after power-on nobody claims the device any more, until it is started again.
func TestClaimWindow(t *testing.T) {
	d := newDevice(t)
	var mu sync.Mutex
	up := 29 * time.Minute
	d.options.Uptime = func() time.Duration { mu.Lock(); defer mu.Unlock(); return up }
	d.start()
	code := d.claimCode()
	ask := func() (claim struct {
		Claimed, Closed bool
		Code, Restart   string
		OpenUntil       time.Time `json:"open_until"`
	}) {
		t.Helper()
		var raw json.RawMessage
		if _, err := d.internal().Call(t.Context(), http.MethodGet, "/claim", nil, &raw); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &claim); err != nil {
			t.Fatal(err)
		}
		return claim
	}
	if c := ask(); c.Closed || c.Code != code || c.OpenUntil.Before(time.Now()) || c.OpenUntil.After(time.Now().Add(2*time.Minute)) {
		t.Errorf("before: %+v", c)
	}
	mu.Lock()
	up = 30 * time.Minute
	mu.Unlock()
	if c := ask(); !c.Closed || c.Code != "" || c.Restart == "" || !c.OpenUntil.IsZero() || c.Claimed {
		t.Errorf("after: %+v", c)
	}
	b := d.browser()
	for _, a := range []answer{b.get("/claim"), b.post("/claim", "code", code, "password", password, "confirm", password)} {
		checkPage(t, "closed", a)
		if !strings.Contains(a.body, "the time in which it can be claimed is over") || strings.Contains(a.body, `name="code"`) {
			t.Errorf("the page does not say so: %d\n%s", a.status, a.body)
		}
	}
	if a := b.get("/"); a.location != "/claim" {
		t.Errorf("somebody got in: %d to %q", a.status, a.location)
	}
	d.stop()
	mu.Lock()
	up = time.Minute
	mu.Unlock()
	b.client.CloseIdleConnections()
	d.start()
	if a := b.post("/claim", "code", code, "password", password, "confirm", password); a.status != http.StatusSeeOther || a.location != "/" {
		t.Errorf("after another start: %d", a.status)
	}
}
