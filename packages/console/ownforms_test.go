package main_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/provision"
	"porthole/packages/internal/settings"
)

// TestOwnServer: what is saved reaches player; the code is never shown and never goes to another server; what is wrong is
// said at once and nothing is saved.
func TestOwnServer(t *testing.T) {
	const code = "hunter2-code"
	d := newDevice(t).start()
	b := d.claimed()
	save := func(pairs ...string) answer { return b.post("/screen/server", pairs...) }
	full := []string{"follow", "other", "server", "https://Signage.example.com/", "hostname", "tv-1", "trust", "pinned", "pin", strings.ToLower(oldPrint),
		"timeout", "7", "retry_attempts", "2", "retry_delay", "9"}
	if a := save(append(full, "quickconnect_code", code)...); a.status != http.StatusSeeOther || a.location != "/screen" {
		t.Fatalf("save: %d\n%s", a.status, a.body)
	}
	want := settings.PlayerSettings{
		Show: settings.ShowProgram, Server: "https://signage.example.com", Hostname: "tv-1", QuickConnectCode: code, Trust: settings.TrustPinned, Pin: oldPrint,
		Timeout: 7, RetryAttempts: 2, RetryDelay: 9,
	}
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Error(d)
	}
	page := b.get("/screen")
	checkPage(t, "saved", page)
	expect(t, "saved", page.body, "Saved. The screen follows https://signage.example.com", "kept as it is", `value="tv-1"`, oldPrint, `<option value="pinned" selected>`, `value="7"`, "Forget the code", "!"+code)
	if a := save(full...); a.status != http.StatusSeeOther {
		t.Errorf("save without the code: %d", a.status)
	}
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Errorf("the code is kept: %s", d)
	}

	a := save("follow", "other", "server", "signage", "hostname", strings.Repeat("x", 201), "trust", "none", "pin", "12", "timeout", "many", "retry_attempts", "101", "retry_delay", "-1", "quickconnect_code", "tab\there")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.status)
	}
	checkPage(t, "with errors", a)
	for _, f := range []string{"server", "hostname", "trust", "pin", "timeout", "attempts", "delay", "code"} {
		expect(t, "the form", a.body, `id="`+f+`-error"`, f+`-hint `+f+`-error"`)
	}
	expect(t, "the form", a.body, "Nothing was saved", `value="signage"`, `value="many"`, "give a whole number", "!tab\there")
	if a := save("follow", "other", "trust", "first"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "is missing; write it like") {
		t.Errorf("no address: %d", a.status)
	}
	if a := save("follow", "other", "server", "https://h", "trust", "pinned"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "needs a pin") {
		t.Errorf("trust in no pin: %d", a.status)
	}
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Errorf("nonsense was saved: %s", d)
	}

	// Another server gets nothing that was the former one's.
	save("follow", "other", "server", "https://other.example.com", "trust", "first")
	want = settings.PlayerSettings{Show: settings.ShowProgram, Server: "https://other.example.com"}
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Errorf("with another server: %s", d)
	}
	save("follow", "other", "server", "https://other.example.com", "trust", "public", "quickconnect_code", code)
	save("follow", "other", "server", "https://other.example.com", "trust", "public", "forget_code", "1")
	want.Trust = settings.TrustPublic
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Errorf("the code is forgotten: %s", d)
	}
	save("follow", "own", "server", "https://other.example.com", "pin", "nonsense")
	if d := cmp.Diff(settings.PlayerSettings{Show: settings.ShowProgram}, d.playerIs().Settings); d != "" {
		t.Errorf("back to its own: %s", d)
	}
	expect(t, "its own", b.get("/screen").body, "Saved. The screen follows this device’s own server.", `checked><label for="follow-own"`)
}

// TestOwnDisplay: orientation, mode, hours and log reach player; the orientation is one with that of the screen's page.
func TestOwnDisplay(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	form := func(pairs ...string) url.Values {
		v := url.Values{"orientation": {"landscape"}, "off": {"signal"}}
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == "" {
				v.Del(pairs[i])
				continue
			}
			if strings.HasSuffix(pairs[i], "_day") {
				v[pairs[i]] = strings.Split(pairs[i+1], "")
				continue
			}
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	save := func(pairs ...string) answer { return b.do(http.MethodPost, "/screen/display", form(pairs...)) }
	if a := save("orientation", "portrait", "mode", "1920x1080@50", "off", "black", "log", "1", "h0_day", "01234", "h0_from", "08:00", "h0_to", "20:00", "h1_day", "5", "h1_from", "22:00", "h1_to", "02:00"); a.status != http.StatusSeeOther {
		t.Fatalf("save: %d\n%s", a.status, a.body)
	}
	want := settings.PlayerSettings{
		Orientation: "portrait", Mode: "1920x1080@50", Off: settings.OffBlack, Log: true,
		Hours: []settings.Hours{{Weekdays: 31, FromMinute: 480, ToMinute: 1200}, {Weekdays: 32, FromMinute: 1320, ToMinute: 120}},
	}
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Error(d)
	}
	page := b.get("/screen")
	checkPage(t, "saved", page)
	expect(t, "saved", page.body, "Saved. The screen follows at once.", "1920 × 1080, 50 Hz (not offered by this display)", `id="h0-4" name="h0_day" value="4" checked`, `name="h1_to" type="time" value="02:00"`,
		"Hours 2", "New hours", `id="h1-drop"`, "!h2-drop", `name="log" value="1" checked`, `<option value="black" selected>`)
	expect(t, "the screen's page", b.get("/screens/1").body, `<option value="portrait" selected>`)

	// A row is dropped, one is the whole day, an empty one is nothing.
	save("h0_day", "01234", "h0_from", "08:00", "h0_to", "20:00", "h0_drop", "1", "h1_day", "6", "h1_from", "00:00", "h1_to", "00:00")
	want = settings.PlayerSettings{Off: settings.OffSignal, Hours: []settings.Hours{{Weekdays: 64, ToMinute: 1440}}}
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Error(d)
	}
	a := save("h0_day", "6", "h0_from", "00:00", "h1_day", "", "h1_from", "08:00", "h1_to", "09:00", "mode", "huge", "off", "cec", "orientation", "up")
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("nonsense: %d", a.status)
	}
	checkPage(t, "with errors", a)
	expect(t, "the form", a.body, "give both times", "mark at least one day", `id="mode-error"`, `id="off-error"`, `id="orientation-error"`, `value="09:00"`)
	if d := cmp.Diff(want, d.playerIs().Settings); d != "" {
		t.Errorf("nonsense was saved: %s", d)
	}

	// The other page, and the zone, are news for player, too.
	players := follow[settings.Player](d, "player")
	next(t, players)
	b.post("/screens/1", "name", "Till", "orientation", "landscape-flipped", "group", "0", "playlist", "0")
	if v := next(t, players); v.Settings.Orientation != "landscape-flipped" || v.Timezone != "UTC" {
		t.Errorf("after the screen's page: %+v", v)
	}
	b.post("/settings/signage", "timezone", "Europe/Bucharest", "default_playlist", "0")
	if v := next(t, players); v.Timezone != "Europe/Bucharest" {
		t.Errorf("after the zone's: %+v", v)
	}
	expect(t, "the zone", b.get("/screen").body, "The clock is that of Europe/Bucharest")
}

// TestProvisionPlayer: what a file says of the screen counts, the rest stays; trust in no pin is left out, and named.
func TestProvisionPlayer(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	s.offer("1", provision.File{Player: provision.Player{
		Show: settings.ShowProgram, Server: "https://a.example", Hostname: "tv", QuickConnectCode: "hunter2-code", Trust: settings.TrustPinned, Pin: oldPrint,
		Timeout: 7, Mode: "1920x1080", Hours: []settings.Hours{{Weekdays: 1, FromMinute: 1, ToMinute: 2}}, Off: settings.OffBlack, Log: new(true), Orientation: "portrait",
	}}, nil)
	d.peer("system", s)
	d.start()
	want := settings.PlayerSettings{
		Show: settings.ShowProgram, Server: "https://a.example", Hostname: "tv", QuickConnectCode: "hunter2-code", Trust: settings.TrustPinned, Pin: oldPrint,
		Timeout: 7, Mode: "1920x1080", Hours: []settings.Hours{{Weekdays: 1, FromMinute: 1, ToMinute: 2}}, Off: settings.OffBlack, Log: true, Orientation: "portrait",
	}
	eventually(t, "the file is taken", func() bool { return cmp.Equal(want, d.playerIs().Settings) })
	d.stop()
	// The same without its secret, which was taken over.
	s.offer("2", provision.File{Player: provision.Player{Server: "https://a.example", Hostname: "tv-2", Log: new(false)}}, nil)
	d.start()
	want.Hostname, want.Log = "tv-2", false
	eventually(t, "the file without its code is taken", func() bool { return cmp.Equal(want, d.playerIs().Settings) })
	d.stop()
	s.offer("3", provision.File{Player: provision.Player{Server: "https://b.example", Trust: settings.TrustPinned}}, nil)
	d.start()
	want.Server, want.Hostname, want.QuickConnectCode, want.Trust, want.Pin = "https://b.example", "", "", "", ""
	eventually(t, "another server is taken", func() bool { return cmp.Equal(want, d.playerIs().Settings) })
	if v := d.playerIs(); len(v.Notices) != 1 || !strings.Contains(v.Notices[0], "player.trust: needs a pin") {
		t.Errorf("what was left out: %q", v.Notices)
	}
}
