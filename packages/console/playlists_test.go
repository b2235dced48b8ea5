package main_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/identity"
)

// items are the items of a playlist in its editor: names with their seconds.
func items(body string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`(?s)data-name="([^"]*)">.*?name="seconds"[^>]* value="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		list = append(list, m[1]+" "+m[2])
	}
	return list
}

// rows are the ids and the revisions of the items, in their order.
func rows(body string) (ids, revs []string) {
	for _, m := range regexp.MustCompile(`(?s)id="i(\d+)".*?name="rev" value="([0-9a-f]+)"`).FindAllStringSubmatch(body, -1) {
		ids, revs = append(ids, m[1]), append(revs, m[2])
	}
	return ids, revs
}

// TestPlaylistByForms makes, fills, changes, publishes and reverts a playlist without scripts.
func TestPlaylistByForms(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = append(d.options.Builtin, demoCamera())
	d.start()
	b := d.claimed()
	d.insert(screens...)
	checkPage(t, "no playlists", b.get("/playlists"))
	expect(t, "no playlists", b.get("/playlists").body, "No playlist yet.")
	list := b.made(b.post("/playlists", "name", "Window"))
	a := b.post("/playlists", "name", "Window")
	checkPage(t, "taken", a)
	expect(t, "taken", a.body, "something else has this name already", `value="Window"`)
	expect(t, "empty", b.get(list).body, "Nothing yet.", "No screen shows it yet", "never published", `class="primary" disabled>Publish`)

	b.upload("a.jpg", picture(t, 64, 64, 1))
	b.made(b.post(list+"/items", "kind", "media", "media", b.media()["a.jpg"]))
	b.made(b.post(list+"/items", "kind", "camera", "camera", "demo", "seconds", "20"))
	b.made(b.post(list+"/items", "kind", "stream", "url", "rtsp://joe:hunter2@192.168.1.9/s", "seconds", "12,5"))
	b.made(b.post(list+"/items", "kind", "text", "text", "Closed\nuntil <tomorrow>"))
	page := b.get(list)
	checkPage(t, "editor", page)
	if diff := cmp.Diff([]string{"a.jpg 10", "Demo camera 20", "192.168.1.9/s 12.5", "Closed 10"}, items(page.body)); diff != "" {
		t.Errorf("items: %s", diff)
	}
	expect(t, "editor", page.body, "4 items, 53 s", "&lt;tomorrow&gt;", "Everything once takes 53 s")

	for what, pairs := range map[string][]string{
		"choose one of the cameras": {"kind", "camera", "camera", "x y"},
		"must be an address like":   {"kind", "stream", "url", "http://192.168.1.9/s"},
		"must not be empty":         {"kind", "text", "text", "  "},
		"mark the pictures":         {"kind", "media"},
		"a number from 1 to 86400":  {"kind", "text", "text", "Kept text", "seconds", "0.2"},
	} {
		a := b.post(list+"/items", pairs...)
		checkPage(t, what, a)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, what) {
			t.Errorf("%q: %d lacks %q", pairs, a.status, what)
		}
		if pairs[1] == "text" && len(pairs) > 4 && !strings.Contains(a.body, "Kept text</textarea>") {
			t.Error("what was typed is lost")
		}
	}

	ids, revs := rows(page.body)
	b.made(b.post(list+"/items/"+ids[3]+"/move", "to", "1"))
	b.made(b.post(list+"/items/"+ids[0], "rev", revs[0], "seconds", "7", "fit", "fill", "description", "front"))
	b.made(b.post(list + "/items/" + ids[2] + "/remove"))
	expect(t, "removed", b.get(list).body, "“192.168.1.9/s” was removed", list+"/undo")
	if diff := cmp.Diff([]string{"Closed 10", "a.jpg 7", "Demo camera 20"}, items(b.get(list).body)); diff != "" {
		t.Errorf("after changes: %s", diff)
	}
	b.made(b.post(list + "/undo"))
	if diff := cmp.Diff([]string{"Closed 10", "a.jpg 7", "Demo camera 20", "192.168.1.9/s 12.5"}, items(b.get(list).body)); diff != "" {
		t.Errorf("after undo: %s", diff)
	}
	expect(t, "after undo", b.get(list).body, "!was removed")

	d.insert("UPDATE player_groups SET playlist = 1")
	expect(t, "reach", b.get(list).body, "Publishing gives it to 2 screens:", "Window left", "Window right", "!Till")
	publish(t, b, list)
	expect(t, "published", b.get(list).body, "it goes to 2 screens now", "published, version 1", "It is on 2 screens:")
	b.made(b.post(list + "/items/" + ids[0] + "/remove"))
	expect(t, "changed", b.get(list).body, "changed since publishing", "What you changed is not on the screens yet")
	expect(t, "the list", b.get("/playlists").body, "3 items · 43 s · version 1 · for 2 screens", "changed since publishing")
	b.made(b.post(list + "/revert"))
	if got := items(b.get(list).body); len(got) != 4 {
		t.Errorf("reverted: %q", got)
	}
	b.made(b.post(list+"/transition", "transition", "crossfade"))
	expect(t, "transition", b.get(list).body, `value="crossfade" selected`)
	preview := b.get(list + "/preview")
	checkPage(t, "preview", preview)
	expect(t, "preview", preview.body, `data-kind="image"`, `data-kind="camera" data-src="demo" data-ms="20000"`, `data-text="Closed`, "stage crossfade", "!hunter2")

	copied := b.made(b.post(list+"/copy", "name", "Window 2"))
	expect(t, "copy", b.get(copied).body, "never published", "4 items")
	b.made(b.post(copied+"/name", "name", "Other"))
	if a := b.post(copied+"/name", "name", "Window"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("rename to a name that is taken: %d", a.status)
	}
	checkPage(t, "delete", b.get(copied+"/delete"))
	b.made(b.post(copied + "/delete"))
	if a := b.get(copied); a.status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.status)
	}
}

// TestTwoEditors: nobody overwrites what he has not seen.
func TestTwoEditors(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	list := b.made(b.post("/playlists", "name", "Window"))
	for _, text := range []string{"one", "two", "three"} {
		b.made(b.post(list+"/items", "kind", "text", "text", text))
	}
	seen := b.get(list).body
	ids, revs := rows(seen)
	// Different items do not stand in each other's way, and an item keeps its place in what another one changed.
	b.made(b.post(list+"/items/"+ids[0], "rev", revs[0], "seconds", "5", "text", "one, changed"))
	b.made(b.post(list+"/items/"+ids[2]+"/move", "to", "1"))
	b.made(b.post(list+"/items/"+ids[1], "rev", revs[1], "seconds", "6", "text", "two"))
	if diff := cmp.Diff([]string{"three 10", "one, changed 5", "two 6"}, items(b.get(list).body)); diff != "" {
		t.Errorf("both changes: %s", diff)
	}
	// The same item: the second one is told, and sees what is there.
	a := b.post(list+"/items/"+ids[0], "rev", revs[0], "seconds", "9", "text", "one, mine")
	if a.status != http.StatusConflict || !strings.Contains(a.body, "somebody changed this meanwhile") || !strings.Contains(a.body, ">one, changed</textarea>") {
		t.Errorf("a change over another one: %d\n%s", a.status, a.body)
	}
	if a = b.post(list+"/publish", "rev", draftRev(seen)); a.status != http.StatusConflict || !strings.Contains(a.body, "Somebody changed this playlist meanwhile") {
		t.Errorf("published what was not seen: %d", a.status)
	}
	b.made(b.post(list + "/items/" + ids[1] + "/remove"))
	for what, a := range map[string]answer{
		"change": b.post(list+"/items/"+ids[1], "rev", revs[1], "seconds", "6"),
		"move":   b.post(list+"/items/"+ids[1]+"/move", "to", "1"),
		"remove": b.post(list + "/items/" + ids[1] + "/remove"),
	} {
		checkPage(t, what, a)
		if a.status != http.StatusConflict || !strings.Contains(a.body, "Somebody else removed it meanwhile") {
			t.Errorf("%s of what is gone: %d", what, a.status)
		}
	}
	// A script gets the changed part alone.
	b.header = http.Header{"Porthole-Fragment": {"1"}}
	a = b.post(list+"/items/"+ids[2]+"/move", "to", "2")
	if a.status != http.StatusOK || strings.Contains(a.body, "<html") || !strings.Contains(a.body, "data-items") {
		t.Errorf("fragment: %d\n%s", a.status, a.body)
	}
}

// TestEditorsOnly: somebody who may only watch cameras finds nothing of this in the navigation, and comes nowhere.
func TestEditorsOnly(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	b.made(b.post("/playlists", "name", "Window"))
	for role, may := range map[identity.Role]bool{identity.Viewer: false, identity.Editor: true} {
		d.setRole("admin", role)
		nav := b.get("/").body
		for _, path := range []string{"/media", "/playlists", "/schedule", "/screens"} {
			if strings.Contains(nav, `href="`+path+`"`) != may {
				t.Errorf("the navigation of the role %s has %s: %v", role, path, !may)
			}
		}
		expect(t, "navigation of "+string(role), nav, `href="/certificate"`, `!href="/settings`, `!href="/sessions"`)
		for _, path := range []string{"/media", "/playlists", "/playlists/1", "/fragments/playlists/1", "/playlists/1/preview", "/schedule", "/schedule/rules/new", "/interrupt"} {
			if a := b.get(path); (a.status == http.StatusOK) != may {
				t.Errorf("%s for the role %s: %d", path, role, a.status)
			}
		}
		if a := b.do(http.MethodPost, "/interrupt", url.Values{"what": {"text"}, "text": {"hello"}, "ends": {"5"}}); (a.status == http.StatusSeeOther) != may {
			t.Errorf("interrupt for the role %s: %d", role, a.status)
		}
	}
}
