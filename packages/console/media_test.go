package main_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestMediaPages: what a person does with files, without scripts.
func TestMediaPages(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	a := b.get("/media")
	checkPage(t, "empty", a)
	expect(t, "empty", a.body, "Nothing here yet.", "are free", `enctype="multipart/form-data"`)

	if a = b.upload("Sale.jpg", picture(t, 1920, 1080, 1), "../../etc/Menu.jpg", picture(t, 640, 480, 2)); a.status != http.StatusSeeOther {
		t.Fatalf("upload: %d\n%s", a.status, a.body)
	}
	ids := b.media()
	if len(ids) != 2 || ids["Sale.jpg"] == "" || ids["Menu.jpg"] == "" {
		t.Fatalf("media: %v", ids)
	}
	a = b.get("/media")
	checkPage(t, "media", a)
	expect(t, "media", a.body, "Picture · 1920×1080", "Plays on every board", `src="/media/`+ids["Sale.jpg"]+`/thumb.jpg"`, "2 files", "!Nothing here yet")
	expect(t, "found", b.get("/media?q=sal").body, "1 file fits", "Sale.jpg", "!Menu.jpg")
	expect(t, "videos", b.get("/media?kind=video").body, "Nothing fits.", "!Sale.jpg")
	expect(t, "the fragment", b.get("/fragments/media?q=menu").body, "Menu.jpg", "!Sale.jpg", "!<html")

	a = b.upload("note.jpg", []byte("<html><script>alert(1)</script>"))
	checkPage(t, "refused", a)
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "note.jpg: ") || strings.Contains(a.body, "<script>alert") {
		t.Errorf("HTML as a picture: %d\n%s", a.status, a.body)
	}

	one := "/media/" + ids["Sale.jpg"]
	a = b.get(one)
	checkPage(t, "medium", a)
	expect(t, "medium", a.body, "What can play it", "In no playlist.", one+"/delete", "1920×1080", `src="`+one+`/file"`)
	a = b.post(one, "name", "Menu.jpg")
	checkPage(t, "taken", a)
	if a.status != http.StatusUnprocessableEntity {
		t.Errorf("a name that is taken: %d", a.status)
	}
	expect(t, "taken", a.body, `value="Menu.jpg" required`, "something else has this name already", `aria-describedby="name-error"`)
	if a = b.post(one, "name", "Summer <sale>.jpg"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Summer &lt;sale&gt;.jpg") {
		t.Errorf("a name no file may have: %d", a.status)
	}
	if a = b.post(one, "name", "Summer sale.jpg"); a.status != http.StatusSeeOther || a.location != one {
		t.Errorf("rename: %d", a.status)
	}
	if a = b.get("/media/999"); a.status != http.StatusNotFound {
		t.Errorf("no such medium: %d", a.status)
	}
}

// TestDropMedia: what a playlist has is kept and the playlist is named; the rest goes.
func TestDropMedia(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	b.upload("a.jpg", picture(t, 64, 64, 1), "b.jpg", picture(t, 64, 64, 2), "c.jpg", picture(t, 64, 64, 3))
	ids := b.media()
	form := url.Values{"media": {ids["a.jpg"], ids["b.jpg"]}, "do": {"add"}, "playlist": {"new"}}
	a := b.do(http.MethodPost, "/media/selected", form)
	list := b.made(a)
	expect(t, "the new playlist", b.get(list).body, "2 items were added", "1. a.jpg", "2. b.jpg")
	expect(t, "the medium", b.get("/media/"+ids["a.jpg"]).body, `href="`+list+`"`, "!/delete")
	form = url.Values{"media": {ids["a.jpg"], ids["c.jpg"]}, "do": {"delete"}}
	a = b.do(http.MethodPost, "/media/selected", form)
	checkPage(t, "sure", a)
	expect(t, "sure", a.body, "Delete c.jpg?", "a.jpg is in “New playlist”", `name="media" value="`+ids["c.jpg"]+`"`, `!name="media" value="`+ids["a.jpg"]+`"`)
	// Whoever sends it nevertheless is told.
	form = url.Values{"media": {ids["a.jpg"], ids["c.jpg"]}}
	if a = b.do(http.MethodPost, "/media/delete", form); a.status != http.StatusSeeOther {
		t.Fatalf("delete: %d\n%s", a.status, a.body)
	}
	expect(t, "afterwards", b.get("/media").body, "1 file was deleted. a.jpg stayed", "a.jpg", "!c.jpg")
	expect(t, "nothing marked", b.get(b.post("/media/selected", "do", "delete").location).body, "Mark the pictures")
}
