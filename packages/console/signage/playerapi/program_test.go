package playerapi_test

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"net/url"
	"strconv"
	"testing"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/program"
)

// TestProgram: a player gets all it needs, hears of news at once, and of nothing else.
func TestProgram(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg"}, signage.Item{Kind: signage.ItemCamera, Camera: "demo"})
	p := s.player("player1", func(p *signage.Player) { p.Playlist = list.ID })
	token := s.login("player1")
	path := fmt.Sprintf("/api/players/%d/program", p.ID)
	fetch := func(tag, wait string) (answer, program.Program) {
		t.Helper()
		a := s.do("GET", path+wait, "", "Authorization", "Bearer "+token, "If-None-Match", tag)
		var got program.Program
		if a.status == 200 {
			a.into(&got)
		}
		return a, got
	}
	a, got := fetch("", "?wait=50")
	if a.status != 200 || got.PlayerID != p.ID || got.Base != list.ID || len(got.Playlists) != 1 || got.Time.IsZero() {
		t.Fatalf("%d %s", a.status, a.body)
	}
	item := got.Playlists[0].Items[0]
	u, err := url.Parse(item.URL)
	if err != nil || u.Scheme != "https" || u.Host != "192.168.0.121" {
		t.Fatalf("%+v, %v", item, err)
	}
	if b := s.do("GET", u.RequestURI(), "").want(200); b.header.Get("ETag") != `"`+item.SHA256+`"` {
		t.Errorf("%v", b.header)
	}
	tag := a.header.Get("ETag")
	if b, _ := fetch(tag, ""); b.status != 304 || b.header.Get("ETag") != tag || len(b.body) != 0 {
		t.Errorf("unchanged: %d %v", b.status, b.header)
	}
	if b, _ := fetch(tag, "?wait=x"); b.status != 400 {
		t.Errorf("wait=x: %d", b.status)
	}
	until := time.Now().Add(time.Minute).Truncate(time.Second)
	for what, change := range map[string]func(){
		"identify":   func() { s.api.Identify(p.ID, until) },
		"screenshot": func() { s.api.WantScreenshot(p.ID) },
		"interrupt": func() {
			i := signage.Interrupt{Text: "Fire", Begins: time.Now(), Ends: time.Now().Add(time.Hour)}
			if _, err := s.store.CreateInterrupt(t.Context(), i); err != nil {
				t.Error(err)
			}
		},
	} {
		a, before := fetch("", "")
		waiting := make(chan struct{})
		var after program.Program
		go func() {
			defer close(waiting)
			var b answer
			if b, after = fetch(a.header.Get("ETag"), "?wait=50"); b.status != 200 || b.header.Get("ETag") == a.header.Get("ETag") {
				t.Errorf("%s: %d %v", what, b.status, b.header)
			}
		}()
		// Somebody else's news wake, but are none.
		s.api.Identify(p.ID+1, until)
		change()
		<-waiting
		switch {
		case what == "identify" && !after.IdentifyUntil.Equal(until),
			what == "screenshot" && after.Screenshot <= before.Screenshot,
			what == "interrupt" && len(after.Interrupts) != 1:
			t.Errorf("%s: %+v", what, after)
		}
	}
	s.do("GET", fmt.Sprintf("/api/players/%d/program", p.ID+1), "", "Authorization", "Bearer "+token).want(403)
	s.do("GET", path+"?hostname=player1&quickconnect_code="+code, "").want(401)
}

// TestProgramWaits: a long poll ends by itself.
func TestProgramWaits(t *testing.T) {
	s := newServer(t)
	p := s.player("player1")
	token := s.login("player1")
	s.config.LongPoll = 30 * time.Millisecond
	s.restart()
	path := fmt.Sprintf("/api/players/%d/program", p.ID)
	tag := s.do("GET", path, "", "Authorization", "Bearer "+token).want(200).header.Get("ETag")
	s.do("GET", path+"?wait=55", "", "Authorization", "Bearer "+token, "If-None-Match", `"x", `+tag).want(304)
}

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestScreenshot: the last picture of each screen is there, as many as fit.
func TestScreenshot(t *testing.T) {
	s := newServer(t)
	p := s.player("player1")
	token := s.login("player1")
	send := func(id int64, token, kind string, b []byte) answer {
		t.Helper()
		return s.do("POST", fmt.Sprintf("/api/players/%d/screenshot", id), string(b), "Authorization", "Bearer "+token, "Content-Type", kind)
	}
	if b, at := s.api.Screenshot(p.ID); b != nil || !at.IsZero() {
		t.Error("a picture from nowhere")
	}
	first, second := picture(t, 64, 36), picture(t, 128, 72)
	for _, b := range [][]byte{first, second} {
		send(p.ID, token, "image/jpeg", b).want(204)
		if got, at := s.api.Screenshot(p.ID); !bytes.Equal(got, b) || time.Since(at) > time.Hour {
			t.Errorf("%d bytes at %s", len(got), at)
		}
	}
	for name, c := range map[string]struct {
		id     int64
		token  string
		kind   string
		b      []byte
		status int
	}{
		"no type":  {p.ID, token, "image/png", first, 415},
		"a page":   {p.ID, token, "image/jpeg", []byte("<html>"), 400},
		"too wide": {p.ID, token, "image/jpeg", picture(t, 9000, 1), 400},
		"large":    {p.ID, token, "image/jpeg", append(bytes.Clone(first), make([]byte, 5<<20)...), 413},
		"another":  {p.ID + 1, token, "image/jpeg", first, 403},
		"nobody":   {p.ID, "x", "image/jpeg", first, 401},
	} {
		if a := send(c.id, c.token, c.kind, c.b); a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, c.status, a.body)
		}
	}
	if got, _ := s.api.Screenshot(p.ID); !bytes.Equal(got, second) {
		t.Error("a refused picture took the place of a good one")
	}
	large := append(bytes.Clone(first), make([]byte, 3<<20)...)
	var ids []int64
	for i := range 10 {
		q := s.player("many" + strconv.Itoa(i))
		ids = append(ids, q.ID)
		send(q.ID, s.login(q.Hostname), "image/jpeg", large).want(204)
	}
	have := 0
	for _, id := range ids {
		if b, _ := s.api.Screenshot(id); b != nil {
			have++
		}
	}
	if last, _ := s.api.Screenshot(ids[9]); have != 7 || last == nil {
		t.Errorf("%d of 10 pictures are kept", have)
	}
}
