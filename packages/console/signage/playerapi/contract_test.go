package playerapi_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/console/signage"
)

type playlistItem struct {
	ID                               int64
	FileName                         string `json:"file_name"`
	Filename, Type, URL, Description string
	Duration, Size                   int64
	Position                         int
	SHA256                           string
}

type playlist struct {
	PlayerID   int64  `json:"player_id"`
	PlayerName string `json:"player_name"`
	Version    int64  `json:"playlist_version"`
	Playlist   []playlistItem
	Count      int
	LeftOut    []struct {
		ID           int64
		Type, Reason string
	} `json:"left_out"`
}

const legacy = "/api/playlists?hostname=player1&quickconnect_code=" + code

// TestContract is a player's day: it authenticates, verifies, fetches its playlist in every way, downloads and reports.
func TestContract(t *testing.T) {
	s := newServer(t)
	list := s.playlist("Menu", []string{"menu.jpg", "Tageskarte für heute.JPG"})
	p := s.player("player1", func(p *signage.Player) { p.Playlist = list.ID })
	var auth map[string]any
	s.do("POST", "/api/auth/player", `{"hostname":"player1","password":"","quickconnect_code":"`+code+`","future":[1]}`).want(200).into(&auth)
	token := auth["auth_code"].(string)
	delete(auth, "auth_code")
	if at, err := time.Parse(time.RFC3339, auth["auth_code_expires"].(string)); err != nil || time.Until(at) < 29*24*time.Hour {
		t.Errorf("expires %v", auth["auth_code_expires"])
	}
	delete(auth, "auth_code_expires")
	if d := cmp.Diff(map[string]any{
		"success": true, "player_id": float64(p.ID), "player_name": "Screen player1", "hostname": "player1", "playlist_id": float64(list.ID),
		"group_id": nil, "orientation": "landscape",
	}, auth); d != "" {
		t.Error(d)
	}
	for _, a := range []answer{
		s.do("POST", "/api/auth/verify", "", "Authorization", "Bearer "+token),
		s.do("POST", "/api/auth/verify", `{"auth_code":"`+token+`"}`),
	} {
		var v map[string]any
		a.want(200).into(&v)
		if v["valid"] != true || v["player_id"] != float64(p.ID) || v["player_name"] != "Screen player1" || v["hostname"] != "player1" ||
			v["playlist_id"] != float64(list.ID) || v["orientation"] != "landscape" || v["status"] != "online" || v["auth_code"] != nil {
			t.Errorf("verify: %v", v)
		}
	}
	form := url.Values{"hostname": {"player1"}, "quickconnect_code": {code}}.Encode()
	first := s.do("GET", legacy, "").want(200)
	for name, a := range map[string]answer{
		"by id":          s.do("GET", "/api/playlists/"+strconv.FormatInt(p.ID, 10), "", "Authorization", "Bearer "+token),
		"by bearer":      s.do("GET", "/api/playlists", "", "Authorization", "bearer "+token),
		"old bearer":     s.do("GET", legacy, "", "Authorization", "Bearer None"),
		"form":           s.do("POST", "/api/playlists", form, "Content-Type", "application/x-www-form-urlencoded"),
		"JSON":           s.do("POST", "/api/playlists", `{"hostname":"player1","quickconnect_code":"`+code+`"}`),
		"Kivy's GET":     s.do("GET", legacy, "", "Content-Type", "application/json"),
		"query and POST": s.do("POST", legacy, ""),
		"later":          s.do("GET", legacy, ""),
	} {
		if a.want(200); !bytes.Equal(first.body, a.body) {
			t.Errorf("%s: another answer:\n%s\n%s", name, first.body, a.body)
		}
	}
	var got playlist
	first.into(&got)
	if got.PlayerID != p.ID || got.PlayerName != "Screen player1" || got.Count != 2 || got.Version < 1700000000 {
		t.Errorf("%+v", got)
	}
	for n, i := range got.Playlist {
		if i.FileName != i.Filename || i.Type != "image" || i.Duration != 10 || i.Position != n+1 || len(i.SHA256) != 64 ||
			!strings.HasPrefix(i.URL, "https://192.168.0.121/api/media/") || strings.ContainsAny(i.FileName, " /") {
			t.Errorf("item %+v", i)
		}
		u, err := url.Parse(i.URL)
		if err != nil || !strings.HasSuffix(u.Path, "/"+i.FileName) {
			t.Errorf("address %s, %v", i.URL, err)
		}
		a := s.do("GET", u.RequestURI(), "").want(200)
		if int64(len(a.body)) != i.Size || a.header.Get("ETag") != `"`+i.SHA256+`"` {
			t.Errorf("%s: %d bytes, %v", i.URL, len(a.body), a.header)
		}
	}
	if got.Playlist[0].FileName != "menu-"+got.Playlist[0].SHA256[:8]+".jpg" || got.Playlist[1].FileName != "Tageskarte_für_heute-"+got.Playlist[1].SHA256[:8]+".jpg" {
		t.Errorf("names %s, %s", got.Playlist[0].FileName, got.Playlist[1].FileName)
	}
	report := `{"hostname":"player1","quickconnect_code":"` + code + `","status":"playing","message":"menu.jpg","timestamp":"2026-11-21T19:30:36.123456"}`
	var kept struct {
		Success, Kept bool
		Message       string
	}
	s.do("POST", "/api/player-feedback", report).want(200).into(&kept)
	if !kept.Success || !kept.Kept || kept.Message == "" {
		t.Errorf("feedback: %+v", kept)
	}
	all, err := s.store.Feedbacks(t.Context(), p.ID, 10)
	if err != nil || len(all) != 1 || all[0].Status != "playing" || all[0].Message != "menu.jpg" || !all[0].At.Equal(time.Date(2026, 11, 21, 19, 30, 36, 0, time.UTC)) {
		t.Errorf("kept: %+v, %v", all, err)
	}
	now := s.api.Presence(p.ID)
	if now.Status != "playing" || now.Message != "menu.jpg" || now.Address != "192.168.0.7" || now.PlayingVersion != 1 || time.Since(now.LastSeen) > time.Hour {
		t.Errorf("presence: %+v", now)
	}
}

// TestRefused: who is not let in is told what to do, and so are people.
func TestRefused(t *testing.T) {
	s := newServer(t)
	s.player("player1")
	other := s.player("player2")
	off := s.player("player3")
	token := s.login("player1")
	offToken := s.login("player3")
	off.Enabled = false
	if err := s.store.UpdatePlayer(t.Context(), off); err != nil {
		t.Fatal(err)
	}
	big := `{"hostname":"` + strings.Repeat("x", 70<<10) + `"}`
	for name, c := range map[string]struct {
		method, target, body string
		headers              []string
		status               int
	}{
		"wrong code":          {"GET", "/api/playlists?hostname=player1&quickconnect_code=nonsense", "", nil, 401},
		"unknown":             {"GET", "/api/playlists?hostname=nobody&quickconnect_code=" + code, "", nil, 401},
		"nothing":             {"GET", "/api/playlists", "", nil, 401},
		"hostname only":       {"GET", "/api/playlists?hostname=player1", "", nil, 401},
		"wrong bearer":        {"GET", "/api/playlists/1", "", []string{"Authorization", "Bearer nonsense"}, 401},
		"a cookie":            {"GET", "/api/playlists", "", []string{"Cookie", "__Host-porthole=abc"}, 401},
		"basic":               {"GET", "/api/playlists", "", []string{"Authorization", "Basic cGxheWVyMTpBQkMxMjNYWVo="}, 401},
		"of another":          {"GET", "/api/playlists/" + strconv.FormatInt(other.ID, 10), "", []string{"Authorization", "Bearer " + token}, 403},
		"no id":               {"GET", "/api/playlists/x", "", []string{"Authorization", "Bearer " + token}, 400},
		"switched off":        {"GET", "/api/playlists?hostname=player3&quickconnect_code=" + code, "", nil, 403},
		"switched off, token": {"GET", "/api/playlists", "", []string{"Authorization", "Bearer " + offToken}, 401},
		"auth, no hostname":   {"POST", "/api/auth/player", `{"quickconnect_code":"x"}`, nil, 400},
		"auth, no code":       {"POST", "/api/auth/player", `{"hostname":"player1"}`, nil, 400},
		"auth, token":         {"POST", "/api/auth/player", `{"hostname":"player1","quickconnect_code":"no"}`, []string{"Authorization", "Bearer " + token}, 401},
		"auth, no JSON":       {"POST", "/api/auth/player", `{"hostname":`, nil, 400},
		"auth, a list":        {"POST", "/api/auth/player", `[]`, nil, 400},
		"auth, nested":        {"POST", "/api/auth/player", `{"hostname":{"a":1},"password":"x"}`, nil, 400},
		"auth, XML":           {"POST", "/api/auth/player", `<a/>`, []string{"Content-Type", "application/xml"}, 415},
		"auth, no type":       {"POST", "/api/auth/player", `{}`, []string{"Content-Type", ";;"}, 415},
		"auth, large":         {"POST", "/api/auth/player", big, nil, 413},
		"verify, nothing":     {"POST", "/api/auth/verify", `{}`, nil, 401},
		"verify, code only":   {"POST", "/api/auth/verify", `{"auth_code":"no","hostname":"player1","quickconnect_code":"` + code + `"}`, nil, 401},
		"feedback, nobody":    {"POST", "/api/player-feedback", `{"status":"x"}`, nil, 401},
		"feedback, GET":       {"GET", "/api/player-feedback", "", nil, 405},
		"no such call":        {"GET", "/api/v9/x", "", nil, 404},
		"edit, nobody":        {"POST", "/api/player-edit-media", "", nil, 401},
		"edit, no form":       {"POST", "/api/player-edit-media", "{}", []string{"Authorization", "Bearer " + token}, 415},
		"media":               {"GET", "/api/media/AAAA/menu.jpg", "", nil, 404},
	} {
		a := s.do(c.method, c.target, c.body, c.headers...)
		if a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, c.status, a.body)
		}
		var e struct{ Error string }
		if json.Unmarshal(a.body, &e) != nil || len(e.Error) < 10 || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %v", name, a.body, a.header)
		}
		if (a.header.Get("WWW-Authenticate") != "") != (c.status == 401) {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	seen := map[string]int{}
	for _, r := range s.api.Refusals() {
		if r.Advice == "" || r.Reason == "" || r.Count < 1 || r.Address != "192.168.0.7" || r.Last.Before(r.First) {
			t.Errorf("%+v", r)
		}
		seen[r.Hostname+" "+strconv.Itoa(r.Status)] += r.Count
	}
	for who, n := range map[string]int{"player1 401": 4, "nobody 401": 1, "player3 403": 1, "player1 403": 1} {
		if seen[who] != n {
			t.Errorf("%s was refused %d times, want %d: %v", who, seen[who], n, seen)
		}
	}
}

// TestVersionGrows: a player may take a playlist only if its version is greater than its own, so it grows when the
// schedule goes back to what was shown before, and over a restart; and it stays while nothing changes.
func TestVersionGrows(t *testing.T) {
	s := newServer(t)
	a, b := s.playlist("A", []string{"a.jpg"}), s.playlist("B", []string{"b.jpg"})
	p := s.player("player1", func(p *signage.Player) { p.Playlist = a.ID })
	fetch := func() playlist {
		t.Helper()
		var got playlist
		s.do("GET", legacy, "").want(200).into(&got)
		return got
	}
	last := fetch()
	step := func(what string, grows bool) {
		t.Helper()
		now := fetch()
		if grows != (now.Version > last.Version) || !grows && now.Version != last.Version {
			t.Errorf("%s: version %d after %d", what, now.Version, last.Version)
		}
		last = now
	}
	step("nothing", false)
	until, err := s.store.CreateInterrupt(t.Context(), signage.Interrupt{Playlist: b.ID, Begins: time.Now().Add(-time.Minute), Ends: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	step("interruption", true)
	if last.Playlist[0].FileName[:2] != "b-" {
		t.Errorf("shows %+v", last)
	}
	if err := s.store.EndInterrupt(t.Context(), until.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	step("and back", true)
	s.restart()
	eventually(t, "the last run is known", func() bool { return s.api.Presence(p.ID).PlayingVersion == 1 })
	step("restart", false)
	p.Playlist = b.ID
	s.stop()
	if err := s.store.UpdatePlayer(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.start()
	step("another playlist and a restart", true)
	p.Playlist = 0
	if err := s.store.UpdatePlayer(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	step("no playlist", true)
	if last.Count != 0 || last.Playlist == nil {
		t.Errorf("an empty playlist is %+v", last)
	}
}

// edited is the body of an edit and its type.
func edited(t *testing.T, metadata string, picture []byte) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if picture != nil {
		f, err := w.CreateFormFile("image_file", "edited.jpg")
		if err != nil {
			t.Fatal(err)
		}
		f.Write(picture)
	}
	if metadata != "" {
		w.WriteField("metadata", metadata)
	}
	w.Close()
	return b.String(), w.FormDataContentType()
}

// TestEdit: an edited picture takes the place of the one it was made of, and only of one that the player shows.
func TestEdit(t *testing.T) {
	s := newServer(t)
	list, others := s.playlist("Menu", []string{"menu.jpg"}), s.playlist("Other", []string{"other.jpg"})
	s.player("player1", func(p *signage.Player) { p.Playlist = list.ID })
	s.player("player2", func(p *signage.Player) { p.Playlist, p.MayEdit = others.ID, false })
	token, second := s.login("player1"), s.login("player2")
	var before playlist
	s.do("GET", legacy, "").want(200).into(&before)
	meta := func(name string) string {
		return `{"time_of_modification":"2026-11-21 19:00:00","original_name":"` + name + `","new_name":"menu_v1.jpg","version":1,"user":"anna"}`
	}
	for name, c := range map[string]struct {
		token, meta string
		picture     []byte
		status      int
	}{
		"not shown":       {token, meta("other.jpg"), jpegBytes("new"), 404},
		"may not":         {second, meta("other.jpg"), jpegBytes("new"), 403},
		"no metadata":     {token, "", jpegBytes("new"), 400},
		"no JSON":         {token, "{", jpegBytes("new"), 400},
		"no name":         {token, `{"new_name":"x"}`, jpegBytes("new"), 400},
		"no picture":      {token, meta("menu.jpg"), nil, 400},
		"a page":          {token, meta("menu.jpg"), []byte("<html>"), 400},
		"nobody's token":  {"nonsense", meta("menu.jpg"), jpegBytes("new"), 401},
		"larger than all": {token, meta("menu.jpg"), bytes.Repeat([]byte("x"), 33<<20), 413},
	} {
		body, kind := edited(t, c.meta, c.picture)
		a := s.do("POST", "/api/player-edit-media", body, "Content-Type", kind, "Authorization", "Bearer "+c.token)
		if a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, c.status, a.body)
		}
	}
	all, err := s.store.AllMedia(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("refused edits left %d media, %v", len(all), err)
	}
	for n, name := range []string{before.Playlist[0].FileName, "menu_v1.jpg"} {
		body, kind := edited(t, meta(name), jpegBytes("edited "+name))
		var done struct {
			Success     bool
			Message     string
			EditID      int64 `json:"edit_id"`
			Version     int
			NewPlaylist int64 `json:"new_playlist_version"`
		}
		s.do("POST", "/api/player-edit-media", body, "Content-Type", kind, "Authorization", "Bearer "+token).want(200).into(&done)
		var after playlist
		s.do("GET", legacy, "").want(200).into(&after)
		if !done.Success || done.Message == "" || done.Version != n+2 || done.NewPlaylist != after.Version || after.Version <= before.Version ||
			after.Playlist[0].SHA256 == before.Playlist[0].SHA256 || !strings.HasPrefix(after.Playlist[0].FileName, "menu_v1") {
			t.Errorf("%s: %+v, then %+v", name, done, after)
		}
		m, err := s.store.Media(t.Context(), done.EditID)
		if err != nil || m.Parent == 0 || m.Version != n+2 || m.By != "anna at Screen player1" {
			t.Errorf("%+v, %v", m, err)
		}
		before = after
	}
}
