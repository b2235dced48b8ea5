package main_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// plan makes a rule and returns where that led.
func (b *browser) plan(name, playlist, target, from, to, priority string, days ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, "/schedule/rules/new", url.Values{"name": {name}, "playlist": {playlist}, "target": {target},
		"from": {from}, "to": {to}, "priority": {priority}, "enabled": {"1"}, "day": days})
}

var week = []string{"0", "1", "2", "3", "4", "5", "6"}

// planned is a device with two published playlists, Window and Lunch.
func planned(t *testing.T) (*device, *browser) {
	t.Helper()
	d := newDevice(t).start()
	b := d.claimed()
	d.insert(screens...)
	for _, name := range []string{"Window", "Lunch"} {
		list := b.made(b.post("/playlists", "name", name))
		b.made(b.post(list+"/items", "kind", "text", "text", name))
		publish(t, b, list)
	}
	return d, b
}

// TestSchedulePages: rules as a form, a week as a calendar, and the answer to what plays when and why.
func TestSchedulePages(t *testing.T) {
	d, b := planned(t)
	checkPage(t, "empty", b.get("/schedule"))
	expect(t, "empty", b.get("/schedule").body, "Nothing is planned.", "Nothing planned", "the time zone UTC")
	checkPage(t, "new", b.get("/schedule/rules/new"))

	b.made(b.plan("Whole day", "1", "all", "00:00", "00:00", "3", week...))
	b.made(b.plan("Lunch menu", "2", "group:1", "11:30", "14:00", "5", "0", "1", "2", "3", "4"))
	b.made(b.plan("Night", "2", "screen:13", "22:00", "06:00", "3", week...))
	// 23 November 2026 is a Monday.
	a := b.get("/schedule?date=2026-11-25")
	checkPage(t, "schedule", a)
	expect(t, "schedule", a.body, "23 November to 29 November 2026", "Every day, the whole day", "Monday to Friday, 11:30 to 14:00", "Every day, 22:00 to 06:00 on the next day",
		"Priority: High", "on group Shop floor", "on Till", "“Lunch menu” goes before it, as that one has the higher priority", "11:30–14:00", "from 22:00, goes on", "until 06:00",
		`href="/schedule?date=2026-11-16"`, `href="/schedule?date=2026-11-30"`, `href="/schedule?date=2026-10-01"`, `href="/schedule?date=2026-12-01"`)
	if n := strings.Count(a.body, `<strong>Lunch menu</strong>`); n != 5 {
		t.Errorf("Lunch menu is drawn %d times", n)
	}
	// 11:30 is row 46 of 96; two and a half hours are ten rows.
	if !regexp.MustCompile(`class="block r46 s10 c\d k1"`).MatchString(a.body) {
		t.Error("Lunch menu is not drawn where it belongs")
	}
	group := b.get("/schedule?date=2026-11-25&for=group:1").body
	expect(t, "the group's week", group, "11:30–14:00: “Lunch menu” goes before it", `class="veil r46 s10"`, "!<strong>Night")
	expect(t, "the till's week", b.get("/schedule?date=2026-11-25&for=screen:13").body, "<strong>Night", "!<strong>Lunch menu")

	for at, want := range map[string]string{
		"for=group:1&on=group:1&at=2026-11-24T12:30":  "“Lunch”</a></strong>, because the plan “Lunch menu” holds, with the priority “High”; it goes before “Whole day” because it has the higher priority. It stays so until Tue 24 Nov 14:00.",
		"on=screen:11&at=2026-11-24T15:00":            "“Window”</a></strong>, because the plan “Whole day” holds, with the priority “Normal”. It stays so until",
		"on=screen:13&at=2026-11-24T23:00":            "“Lunch”</a></strong>, because the plan “Night” holds, with the priority “Normal”; it goes before “Whole day” because it is for fewer screens",
		"on=screen:99&at=2026-11-24T12:30&for=screen": "“Window”",
	} {
		expect(t, at, b.get("/schedule?"+strings.ReplaceAll(at, ":", "%3A")).body, want)
	}

	a = b.get("/schedule/rules/2")
	checkPage(t, "rule", a)
	expect(t, "rule", a.body, `value="Lunch menu"`, `value="11:30"`, `value="14:00"`, `value="group:1" selected`, `id="day4" name="day" value="4" checked`, `id="day5" name="day" value="5">`, "Goes before “Whole day”")
	b.made(b.do(http.MethodPost, "/schedule/rules/2", url.Values{"name": {"Lunch menu"}, "playlist": {"2"}, "target": {"group:1"}, "from": {"11:30"}, "to": {"14:00"},
		"priority": {"5"}, "day": {"0"}, "from_date": {"2026-12-01"}, "to_date": {"2026-12-24"}}))
	expect(t, "switched off", b.get("/schedule").body, "Mon, 11:30 to 14:00, from 1 Dec 2026 to 24 Dec 2026", "switched off")
	checkPage(t, "delete", b.get("/schedule/rules/2/delete"))
	b.made(b.post("/schedule/rules/2/delete"))
	if a := b.get("/schedule/rules/2"); a.status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.status)
	}
	b.made(b.post("/playlists", "name", "Draft"))
	a = b.plan("Early", "3", "all", "05:00", "06:00", "3", week...)
	expect(t, "unpublished", b.get(b.made(a)).body, "Its playlist is not published yet", "the playlist is not published")
	if d.log.String() == "" {
		t.Error("nothing was logged")
	}
}

// TestRuleRefused: what is wrong stands beside its field, and nothing that was typed is lost.
func TestRuleRefused(t *testing.T) {
	_, b := planned(t)
	good := func() url.Values {
		return url.Values{"name": {"Lunch"}, "playlist": {"2"}, "target": {"group:1"}, "from": {"11:30"}, "to": {"14:00"}, "priority": {"7"}, "day": {"2"}, "enabled": {"1"}}
	}
	for what, c := range map[string]struct {
		change func(url.Values)
		want   string
	}{
		"no name":       {func(v url.Values) { v.Set("name", " ") }, "give it a name"},
		"no playlist":   {func(v url.Values) { v.Del("playlist") }, "choose what is to play"},
		"gone playlist": {func(v url.Values) { v.Set("playlist", "99") }, "does not exist any more"},
		"bad target":    {func(v url.Values) { v.Set("target", "robot:1") }, "choose all screens, one group or one screen"},
		"gone target":   {func(v url.Values) { v.Set("target", "group:99") }, "does not exist any more"},
		"bad time":      {func(v url.Values) { v.Set("from", "noon") }, "give a time like 11:30"},
		"no day":        {func(v url.Values) { v.Del("day") }, "mark at least one day"},
		"bad date":      {func(v url.Values) { v.Set("from_date", "tomorrow") }, "must be a day like"},
		"dates":         {func(v url.Values) { v.Set("from_date", "2026-12-24"); v.Set("to_date", "2026-12-01") }, "must not be before the first day"},
		"priority":      {func(v url.Values) { v.Set("priority", "12") }, "must be 1 to 9"},
	} {
		form := good()
		c.change(form)
		a := b.do(http.MethodPost, "/schedule/rules/new", form)
		checkPage(t, what, a)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d lacks %q", what, a.status, c.want)
		}
		for field, typed := range form {
			if field == "name" || field == "from_date" {
				expect(t, what, a.body, `name="`+field+`" `, `value="`+strings.TrimSpace(typed[0])+`"`)
			}
		}
	}
	expect(t, "nothing was kept", b.get("/schedule").body, "Nothing is planned.")
}

// TestInterrupt: a text or a playlist goes before everything, for whom and until when one says, and can be stopped.
func TestInterrupt(t *testing.T) {
	_, b := planned(t)
	checkPage(t, "interrupt", b.get("/interrupt"))
	b.made(b.plan("Whole day", "1", "all", "00:00", "00:00", "9", week...))
	for what, c := range map[string]struct {
		want  string
		pairs []string
	}{
		"no text":        {"write what the screens are to show", []string{"what", "text", "text", " ", "ends", "5"}},
		"no playlist":    {"choose the playlist to show", []string{"what", "playlist", "ends", "5"}},
		"no end":         {"choose when it ends", []string{"what", "text", "text", "kept", "ends", "later"}},
		"no time":        {"give a time like 17:30", []string{"what", "text", "text", "kept", "ends", "at", "at", "25:00"}},
		"nobody's group": {"does not exist any more", []string{"what", "text", "text", "kept", "ends", "5", "target", "group:77"}},
	} {
		a := b.post("/interrupt", c.pairs...)
		checkPage(t, what, a)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d lacks %q", what, a.status, c.want)
		}
		if c.pairs[3] == "kept" && !strings.Contains(a.body, ">kept</textarea>") {
			t.Errorf("%s: what was typed is lost", what)
		}
	}
	b.made(b.post("/interrupt", "what", "text", "text", "Fire drill", "target", "group:1", "ends", "day"))
	for _, path := range []string{"/media", "/playlists", "/schedule", "/"} {
		a := b.get(path)
		checkPage(t, path, a)
		expect(t, path, a.body, "Interrupted now:", "“Fire drill” on group Shop floor until", `action="/interrupt/1/end"`)
	}
	expect(t, "the answer", b.get("/schedule?on=screen:11").body, "The text “Fire drill”</strong>, because somebody interrupted the screens")
	expect(t, "another screen's", b.get("/schedule?on=screen:13").body, "because the plan “Whole day” holds")
	b.made(b.post("/interrupt", "what", "playlist", "playlist", "2", "target", "all", "ends", "at", "at", "00:00"))
	expect(t, "two", b.get("/schedule").body, "the playlist “Lunch” on all screens until", "Fire drill")
	b.made(b.post("/interrupt/1/end"))
	b.made(b.post("/interrupt/2/end"))
	expect(t, "over", b.get("/schedule").body, "!Interrupted now")
	if a := b.post("/interrupt/1/end"); a.status != http.StatusNotFound {
		t.Errorf("ended twice: %d", a.status)
	}
}

// TestInterruptByMedium shows one picture now: its playlist is made once.
func TestInterruptByMedium(t *testing.T) {
	_, b := planned(t)
	b.upload("Sale.jpg", picture(t, 64, 64, 1))
	id := b.media()["Sale.jpg"]
	a := b.get("/interrupt?media=" + id)
	checkPage(t, "interrupt", a)
	expect(t, "interrupt", a.body, `name="media" value="`+id+`"`, `value="medium" checked`, ">Sale.jpg</label>")
	if a = b.post("/interrupt", "what", "medium", "media", id, "ends", "never"); a.status != http.StatusUnprocessableEntity || strings.Contains(b.get("/playlists").body, "Only Sale.jpg") {
		t.Errorf("without an end: %d, or a playlist was made", a.status)
	}
	expect(t, "refused", a.body, `value="medium" checked`)
	for range 2 {
		b.made(b.post("/interrupt", "what", "medium", "media", id, "ends", "5"))
	}
	expect(t, "schedule", b.get("/schedule?on=screen:11").body, "“Only Sale.jpg”</a></strong>, because somebody interrupted the screens")
	if n := strings.Count(b.get("/playlists").body, "Only Sale.jpg</a>"); n != 1 {
		t.Errorf("its playlist was made %d times", n)
	}
	if a = b.get("/interrupt?media=99"); a.status != http.StatusNotFound {
		t.Errorf("no such medium: %d", a.status)
	}
	if a = b.post("/interrupt", "what", "medium", "media", "99", "ends", "5"); a.status != http.StatusNotFound {
		t.Errorf("no such medium: %d", a.status)
	}
}
