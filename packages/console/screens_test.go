package main_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
)

// TestNewScreen: a player added by hand logs in with the code, which is shown once, and its card says how it is.
func TestNewScreen(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	path, code := addScreen(t, b, "name", "Shop window", "hostname", "tv-window", "may_edit", "1")
	page := b.get(path)
	checkPage(t, path, page)
	if strings.Contains(page.body, code) || !strings.Contains(page.body, "YOUR-CODE") {
		t.Error("the code is shown twice")
	}
	if body := b.get("/screens").body; !strings.Contains(body, "never seen") || !strings.Contains(body, "Shop window") {
		t.Errorf("the list does not say that it was never seen:\n%s", body)
	}
	const agent = "Kiwy-Signage-Player/1.0"
	var login struct {
		AuthCode string `json:"auth_code"`
		ID       int64  `json:"player_id"`
	}
	if a := d.api(agent, "POST", "/api/auth/player", "", map[string]string{"hostname": "tv-window", "quickconnect_code": "WRONG-CODE"}, nil); a.status != http.StatusUnauthorized {
		t.Errorf("wrong code: %d", a.status)
	}
	page = b.get(path)
	for _, want := range []string{"Could not log in", "Make a new code", "once, last just now"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("after a wrong code the page lacks %q:\n%s", want, page.body)
		}
	}
	if a := d.api(agent, "POST", "/api/auth/player", "", map[string]string{"hostname": "tv-window", "quickconnect_code": code}, &login); a.status != http.StatusOK {
		t.Fatalf("right code: %d %s", a.status, a.body)
	}
	feedback := map[string]string{"hostname": "tv-window", "status": "playing", "message": "Playing menu.jpg <b>", "timestamp": "2026-11-21T10:00:00Z"}
	if a := d.api(agent, "POST", "/api/player-feedback", login.AuthCode, feedback, nil); a.status != http.StatusOK {
		t.Fatalf("feedback: %d %s", a.status, a.body)
	}
	body := b.get("/screens").body
	for _, want := range []string{`<span class="pill good">playing</span>`, "last seen just now", agent, "Playing menu.jpg &lt;b&gt;", "give it a playlist"} {
		if !strings.Contains(body, want) && !strings.Contains(body, strings.ToUpper(want[:1])+want[1:]) {
			t.Errorf("the list lacks %q:\n%s", want, body)
		}
	}
	page = b.get(path)
	if strings.Contains(page.body, "Could not log in") || !strings.Contains(page.body, "Playing menu.jpg &lt;b&gt;") {
		t.Errorf("after it was let in:\n%s", page.body)
	}

	// A new code ends what came of the old one.
	if a := b.post(path + "/code"); a.status != http.StatusSeeOther {
		t.Fatalf("new code: %d", a.status)
	}
	other := codeOnPage.FindStringSubmatch(b.get(path).body)
	if other == nil || other[1] == code {
		t.Fatalf("new code: %v", other)
	}
	if a := d.api(agent, "POST", "/api/auth/player", "", map[string]string{"hostname": "tv-window", "quickconnect_code": code}, nil); a.status != http.StatusUnauthorized {
		t.Errorf("the old code still works: %d", a.status)
	}
	if a := d.api(agent, "POST", "/api/auth/player", "", map[string]string{"hostname": "tv-window", "quickconnect_code": other[1]}, &login); a.status != http.StatusOK {
		t.Errorf("the new code does not work: %d", a.status)
	}
	// Switched off, it is refused at once.
	off := []string{"name", "Shop window", "hostname", "tv-window", "group", "0", "playlist", "0", "orientation", "portrait"}
	if a := b.post(path, off...); a.status != http.StatusSeeOther {
		t.Fatalf("switch off: %d\n%s", a.status, a.body)
	}
	if a := d.api(agent, "POST", "/api/auth/verify", login.AuthCode, map[string]string{}, nil); a.status < 400 {
		t.Errorf("switched off and still let in: %d", a.status)
	}
	if body := b.get("/screens").body; !strings.Contains(body, "switched off") {
		t.Error("the list does not say that it is switched off")
	}
	if a := b.post(path + "/delete"); a.status != http.StatusSeeOther || b.get(path).status != http.StatusNotFound {
		t.Errorf("delete: %d", a.status)
	}
	for _, secret := range []string{code, other[1], login.AuthCode} {
		if strings.Contains(d.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// TestScreenFormRefuses: everything that is wrong is said beside its field, and nothing is kept.
func TestScreenFormRefuses(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	addScreen(t, b, "hostname", "tv")
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"no hostname": {[]string{"hostname", " "}, "hostname-error"},
		"taken":       {[]string{"hostname", "tv"}, "another screen has this hostname already"},
		"short code":  {[]string{"hostname", "x", "code", "abc"}, "use 6 to 200 characters"},
		"no group":    {[]string{"hostname", "x", "group", "77"}, "group-error"},
		"no number":   {[]string{"hostname", "x", "playlist", "b"}, "choose one of the list"},
		"upside":      {[]string{"hostname", "x", "orientation", "up"}, "orientation-error"},
		"long":        {[]string{"hostname", strings.Repeat("x", 200)}, "hostname-error"},
	} {
		a := b.post("/screens/new", append([]string{"group", "0", "playlist", "0", "orientation", "landscape"}, c.pairs...)...)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d\n%s", name, a.status, a.body)
		}
		checkPage(t, name, a)
	}
	if body := b.get("/screens").body; strings.Count(body, `data-key=`) != 2 {
		t.Error("something was added nevertheless")
	}
	for _, path := range []string{"/screens/99", "/screens/x", "/groups/99", "/screens/99/screen.jpg", "/fragments/screens/99"} {
		if a := b.get(path); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

// TestPairing: a screen that shows a code is let in by who types it, takes the place of a known one, or is refused.
func TestPairing(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	const agent = "Porthole/1.2"
	type pairing struct {
		DeviceCode string `json:"device_code"`
		UserCode   string `json:"user_code"`
	}
	ask := func(hostname string) (p pairing) {
		d.api(agent, "POST", "/api/pair", "", map[string]string{"hostname": hostname, "name": "Kitchen <TV>", "agent": agent}, &p)
		if p.UserCode == "" {
			t.Fatal("no code to show")
		}
		return p
	}
	p := ask("pi-kitchen")
	waiting := b.get("/screens/pair")
	checkPage(t, "pair", waiting)
	if !strings.Contains(waiting.body, "Kitchen &lt;TV&gt;") || strings.Contains(waiting.body, p.UserCode) {
		t.Errorf("the list of those who wait:\n%s", waiting.body)
	}
	if a := b.get("/screens/pair?code=BBBB-2222"); a.status != http.StatusNotFound || !strings.Contains(a.body, "No screen shows this code") {
		t.Errorf("a wrong code: %d", a.status)
	}
	a := b.get("/screens/pair?code=" + strings.ToLower(strings.ReplaceAll(p.UserCode, "-", "%20")))
	checkPage(t, "pair, found", a)
	for _, want := range []string{p.UserCode, "Kitchen &lt;TV&gt;", "pi-kitchen", "192.168.1.7", agent} {
		if !strings.Contains(a.body, want) {
			t.Errorf("who asks: %q is missing:\n%s", want, a.body)
		}
	}
	form := []string{"code", p.UserCode, "do", "approve", "name", "Kitchen", "hostname", "pi-kitchen", "group", "0", "playlist", "0", "orientation", "portrait", "may_edit", "1"}
	if a := b.post("/screens/pair", append(form, "orientation", "up")...); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong form: %d", a.status)
	}
	a = b.post("/screens/pair", form...)
	if a.status != http.StatusSeeOther {
		t.Fatalf("pair: %d\n%s", a.status, a.body)
	}
	path := a.location
	var login struct {
		AuthCode    string `json:"auth_code"`
		ID          int64  `json:"player_id"`
		Orientation string `json:"orientation"`
	}
	if a := d.api(agent, "POST", "/api/pair/token", "", map[string]string{"device_code": p.DeviceCode}, &login); a.status != http.StatusOK || login.Orientation != "portrait" {
		t.Fatalf("token: %d %s", a.status, a.body)
	}
	if a := b.post("/screens/pair", form...); a.status != http.StatusNotFound {
		t.Errorf("the same code twice: %d", a.status)
	}
	// It follows: it can show its name.
	at := fmt.Sprintf("/api/players/%d/program", login.ID)
	if a := d.api(agent, "GET", at, login.AuthCode, nil, nil); a.status != http.StatusOK {
		t.Fatalf("program: %d %s", a.status, a.body)
	}
	if a := b.post(path + "/identify"); a.status != http.StatusSeeOther {
		t.Fatalf("identify: %d\n%s", a.status, a.body)
	}
	var prog program.Program
	d.api(agent, "GET", at, login.AuthCode, nil, &prog)
	if left := time.Until(prog.IdentifyUntil); left < 10*time.Second || left > 31*time.Second {
		t.Errorf("shows its name for %v", left)
	}
	// A device of the same hostname takes its place, a stranger is refused.
	again := ask("pi-kitchen")
	a = b.get("/screens/pair?code=" + again.UserCode)
	known := fmt.Sprintf(`name="known" value="%d"`, login.ID)
	if !strings.Contains(a.body, known) || !strings.Contains(a.body, "takes its place") {
		t.Errorf("a known screen that pairs again:\n%s", a.body)
	}
	form[1] = again.UserCode
	if a := b.post("/screens/pair", append(form, "known", itoa(login.ID))...); a.status != http.StatusSeeOther || a.location != path {
		t.Errorf("pair again: %d to %q\n%s", a.status, a.location, a.body)
	}
	stranger := ask("stranger")
	if a := b.post("/screens/pair", "code", stranger.UserCode, "do", "refuse"); a.status != http.StatusSeeOther {
		t.Errorf("refuse: %d", a.status)
	}
	if a := d.api(agent, "POST", "/api/pair/token", "", map[string]string{"device_code": stranger.DeviceCode}, nil); a.status != http.StatusBadRequest || !strings.Contains(a.body, "access_denied") {
		t.Errorf("refused: %d %s", a.status, a.body)
	}
	// Codes are not guessed.
	limited := false
	for range 60 {
		limited = limited || b.get("/screens/pair?code=CCCC-3333").status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("codes may be tried without end")
	}
}

// TestShowOnMany: one playlist is given to groups and screens at once.
func TestShowOnMany(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	street := b.post("/groups", "name", "Street")
	if street.status != http.StatusSeeOther {
		t.Fatalf("new group: %d\n%s", street.status, street.body)
	}
	if a := b.post("/groups", "name", "Street"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "another group has this name") {
		t.Errorf("the same name twice: %d", a.status)
	}
	var paths []string
	for _, name := range []string{"one", "two", "three"} {
		path, _ := addScreen(t, b, "hostname", name)
		paths = append(paths, path)
	}
	id := func(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
	menu, offers := d.playlist("Menu"), d.playlist("Offers")
	members := b.postAll(street.location, "name", "Street side", "playlist", "0", "screen", id(paths[0]), "screen", id(paths[1]))
	if members.status != http.StatusSeeOther {
		t.Fatalf("members: %d\n%s", members.status, members.body)
	}
	checkPage(t, "group", b.get(street.location))
	checkPage(t, "groups", b.get("/groups"))
	if body := b.get("/groups").body; !strings.Contains(body, "2 screens · no playlist of its own") || !strings.Contains(body, "Street side") {
		t.Errorf("groups:\n%s", body)
	}
	if a := b.post("/screens/show", "playlist", itoa(menu)); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Tick at least one") {
		t.Errorf("nothing ticked: %d", a.status)
	}
	if a := b.post("/screens/show", "playlist", "99", "screen", id(paths[0])); a.status != http.StatusNotFound {
		t.Errorf("no such playlist: %d", a.status)
	}
	if a := b.postAll("/screens/show", "playlist", itoa(offers), "screen", id(paths[1])); a.status != http.StatusSeeOther {
		t.Fatalf("on one: %d", a.status)
	}
	a := b.postAll("/screens/show", "playlist", itoa(menu), "group", id(street.location), "screen", id(paths[2]))
	if a.status != http.StatusSeeOther {
		t.Fatalf("on many: %d\n%s", a.status, a.body)
	}
	body := b.get("/screens").body
	if !strings.Contains(body, "go before") && !strings.Contains(body, "goes before their group’s: two") {
		t.Errorf("nothing says that one keeps its own:\n%s", body)
	}
	for i, want := range []string{"It is the playlist of the group Street side.", "It is the screen’s own playlist.", "It is the screen’s own playlist."} {
		if page := b.get(paths[i]).body; !strings.Contains(page, want) {
			t.Errorf("screen %d lacks %q:\n%s", i, want, page)
		}
	}
	if page := b.get(paths[0]).body; !strings.Contains(page, "Menu is empty, or was never published") {
		t.Errorf("an empty playlist:\n%s", page)
	}
	if a := b.post(street.location + "/delete"); a.status != http.StatusSeeOther || b.get(street.location).status != http.StatusNotFound {
		t.Errorf("delete the group: %d", a.status)
	}
}

// TestOwnScreen: it is there by itself, and the player process is told its name.
func TestOwnScreenPage(t *testing.T) {
	d := newDevice(t)
	d.peer("player", playerWith("\xff\xd8picture"))
	d.start()
	b := d.claimed()
	body := b.get("/screens").body
	own := regexp.MustCompile(`data-key="(\d+)"`).FindStringSubmatch(body)
	if own == nil || strings.Contains(body, "Shows: ") || !strings.Contains(body, "Has nothing to show") || !strings.Contains(body, `pill good">on<`) {
		t.Fatalf("the own screen:\n%s", body)
	}
	b.post("/screen", "show", "status")
	if body := b.get("/screens").body; !strings.Contains(body, "Shows: Status") {
		t.Errorf("told to show its status:\n%s", body)
	}
	path := "/screens/" + own[1]
	page := b.get(path)
	checkPage(t, path, page)
	if strings.Contains(page.body, "Quick-connect") || strings.Contains(page.body, "Delete this screen") || !strings.Contains(page.body, "HDMI-A-1") {
		t.Errorf("its page:\n%s", page.body)
	}
	if a := b.get(path + "/screen.jpg"); a.body != "\xff\xd8picture" {
		t.Errorf("its picture: %d %q", a.status, a.body)
	}
	for _, no := range []string{"/delete", "/code", "/code/delete", "/password"} {
		if a := b.post(path + no); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", no, a.status)
		}
	}
	if a := b.post(path, "name", "Till", "group", "0", "playlist", "0", "orientation", "portrait"); a.status != http.StatusSeeOther {
		t.Fatalf("name it: %d\n%s", a.status, a.body)
	}
	players := follow[settings.Player](d, "player")
	if v := next(t, players); v.Identify.Text != "" {
		t.Errorf("shows its name unasked: %+v", v.Identify)
	}
	if a := b.post(path + "/identify"); a.status != http.StatusSeeOther {
		t.Fatalf("identify: %d", a.status)
	}
	v := next(t, players)
	if now := v.Identify.Now(time.Now()); now != "Till" {
		t.Errorf("player is told %+v", v.Identify)
	}
}

// TestWhoMayScreens: editors look, administrators change, others do neither.
func TestWhoMayScreens(t *testing.T) {
	d := newDevice(t).start()
	admin := d.claimed()
	path, _ := addScreen(t, admin, "hostname", "tv")
	people := map[string]*browser{}
	for _, role := range []string{"editor", "viewer"} {
		if a := admin.post("/settings/people", "name", role, "password", password+role, "role", role); a.status != http.StatusSeeOther {
			t.Fatalf("add %s: %d\n%s", role, a.status, a.body)
		}
		people[role] = d.browser()
		if a := people[role].post("/login", "user", role, "password", password+role); a.status != http.StatusSeeOther || a.location != "/" {
			t.Fatalf("%s logs in: %d to %q", role, a.status, a.location)
		}
	}
	for _, c := range []struct {
		method, path string
		who          identity.Role
	}{
		{"GET", "/screens", identity.Editor}, {"GET", "/fragments/screens", identity.Editor}, {"GET", path, identity.Editor}, {"POST", path + "/screenshot", identity.Editor},
		{"POST", path, identity.Admin}, {"POST", "/screens/show", identity.Admin}, {"GET", "/screens/new", identity.Admin}, {"GET", "/screens/pair", identity.Admin},
		{"POST", path + "/code", identity.Admin}, {"POST", path + "/delete", identity.Admin}, {"GET", "/groups", identity.Admin}, {"GET", "/settings/people", identity.Admin},
		{"POST", "/settings/people", identity.Admin}, {"GET", "/settings/signage", identity.Admin}, {"POST", "/settings/people/admin/delete", identity.Admin},
	} {
		for role, b := range people {
			a := b.do(c.method, c.path, nil)
			if want := role == "editor" && c.who == identity.Editor; (a.status != http.StatusForbidden) != want {
				t.Errorf("%s %s as %s: %d", c.method, c.path, role, a.status)
			}
		}
	}
	if body := people["editor"].get("/screens").body; strings.Contains(body, "Add by hand") || strings.Contains(body, "/screens/show") {
		t.Error("an editor is offered what is not allowed")
	}
	if body := people["editor"].get(path).body; strings.Contains(body, "quick-connect") || strings.Contains(body, "YOUR-CODE") {
		t.Error("an editor sees how to log in")
	}
	if body := people["editor"].get("/").body; !strings.Contains(body, `data-live="signage"`) {
		t.Error("an editor's home has no screens")
	}
	if body := people["viewer"].get("/").body; strings.Contains(body, `data-live="signage"`) {
		t.Error("a viewer's home has screens")
	}
}
