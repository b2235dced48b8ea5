package main_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

// playerWith stands where the player does.
func playerWith(shot string, problems ...string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /screen.jpg", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		if r.URL.Query().Has("small") {
			io.WriteString(w, "\xff\xd8small")
			return
		}
		w.Write([]byte(shot))
	})
	mux.HandleFunc("GET /status", jsonHandler(map[string]any{
		"display": map[string]any{
			"kind": "planes", "driver": "vc4", "connector": "HDMI-A-1", "connected": true, "width": 1920, "height": 1080,
			"mode": "1920x1080 at 60 Hz", "monitor": "SAM <The Frame>",
		},
		"showing": "camera", "presented": 17, "problems": problems,
	}))
	return mux
}

func TestScreenCard(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	page := b.get("/").body
	for _, want := range []string{`id="screen-title"`, "player does not answer", `<option value="program" selected>Program: playlists and schedule</option>`, `<option value="status">`, `<option value="camera:demo">Camera Demo camera</option>`} {
		if !strings.Contains(page, want) {
			t.Errorf("without player, the page lacks %q", want)
		}
	}
	if a := b.get("/screen.jpg"); a.status != http.StatusServiceUnavailable {
		t.Errorf("picture without player: %d", a.status)
	}

	d.peer("player", playerWith("\xff\xd8picture", "No network yet."))
	eventually(t, "the card shows the display", func() bool { page = b.get("/").body; return !strings.Contains(page, "player does not answer") })
	for _, want := range []string{"HDMI-A-1 · 1920x1080 at 60 Hz · SAM &lt;The Frame&gt;", "<li>No network yet.</li>", `width="1920" height="1080"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if a := b.get("/screen.jpg"); a.status != http.StatusOK || a.body != "\xff\xd8picture" || a.header.Get("Content-Type") != "image/jpeg" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("picture: %d %q %v", a.status, a.body, a.header)
	}
	if a := b.get("/screen.jpg?small&at=5"); a.status != http.StatusOK || a.body != "\xff\xd8small" {
		t.Errorf("small picture: %d %q", a.status, a.body)
	}
	// What is on the screen is not for everybody.
	stranger := d.browser()
	if a := stranger.get("/screen.jpg"); a.status != http.StatusSeeOther || strings.Contains(a.body, "picture") {
		t.Errorf("picture for a stranger: %d", a.status)
	}
	if a := stranger.post("/screen", "show", "camera:demo"); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login") {
		t.Errorf("a stranger chooses: %d %s", a.status, a.location)
	}
}

func TestChooseScreen(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
	players := follow[settings.Player](d, "player")
	v := next(t, players)
	if d := cmp.Diff([]settings.CameraRef{{ID: "demo", Name: "Demo camera"}, {ID: "yard", Name: "Yard"}}, v.Cameras); d != "" || !cmp.Equal(v.Settings, settings.PlayerSettings{}) || v.Timezone != "UTC" {
		t.Errorf("first settings %+v\n%s", v, d)
	}
	for _, step := range []struct {
		choose string
		want   settings.PlayerSettings
	}{
		{"camera:yard", settings.PlayerSettings{Show: settings.ShowCamera, Camera: "yard"}},
		{"camera:demo", settings.PlayerSettings{Show: settings.ShowCamera, Camera: "demo"}},
		{"status", settings.PlayerSettings{Show: settings.ShowStatus, Camera: "demo"}},
		{"camera:yard", settings.PlayerSettings{Show: settings.ShowCamera, Camera: "yard"}},
	} {
		if a := b.post("/screen", "show", step.choose); a.status != http.StatusSeeOther || a.location != "/" {
			t.Fatalf("%s: %d\n%s", step.choose, a.status, a.body)
		}
		if v = next(t, players); !cmp.Equal(v.Settings, step.want) {
			t.Errorf("%s: player is told %+v, want %+v", step.choose, v.Settings, step.want)
		}
		if page := b.get("/").body; !strings.Contains(page, `<option value="`+step.choose+`" selected>`) || !strings.Contains(page, "The screen shows this now") {
			t.Errorf("%s is not what the page says:\n%s", step.choose, page)
		}
	}
	revision := v.Revision
	for _, wrong := range []string{"", "camera:gone", "camera:", "picture", "status:x", "off"} {
		if a := b.post("/screen", "show", wrong); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d", wrong, a.status)
		}
	}
	var now settings.Player
	if _, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/player?after=0", nil, &now); err != nil || now.Revision != revision {
		t.Errorf("a refused choice changed something: %+v, %v", now, err)
	}
}

// TestScreenNotices: what was refused of porthole.toml is for the screen too, until an admin has put it away.
func TestScreenNotices(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	s := newSystem(t)
	s.offer("d1", map[string]any{
		"admin_password": password, "player": map[string]any{"show": "picture", "picture": "menu.png"},
		"cameras": []any{map[string]any{"id": "demo", "url": "rtsp://h/s"}},
	}, []any{map[string]any{"line": 3, "key": "hostname", "reason": "use lowercase letters"}})
	d.peer("system", s)
	d.start()
	players := follow[settings.Player](d, "player")
	v := next(t, players)
	for v.Settings.Show == "" {
		v = next(t, players)
	}
	want := settings.PlayerSettings{Show: settings.ShowPicture, Picture: "menu.png"}
	if !cmp.Equal(v.Settings, want) || len(v.Notices) != 2 || v.Notices[0] != "line 3: hostname: use lowercase letters" || !strings.HasPrefix(v.Notices[1], "camera.id: ") {
		t.Fatalf("player is told %+v", v)
	}
	b := d.browser()
	if a := b.post("/login", "user", "admin", "password", password); a.status != http.StatusSeeOther {
		t.Fatalf("log in: %d", a.status)
	}
	if page := b.get("/").body; !strings.Contains(page, `<option value="picture" selected>Picture menu.png</option>`) {
		t.Errorf("the page does not offer the picture:\n%s", page)
	}
	if a := b.post("/notices/" + url.PathEscape("provision-d1") + "/dismiss"); a.status != http.StatusSeeOther {
		t.Fatalf("put away: %d", a.status)
	}
	if v = next(t, players); v.Notices != nil {
		t.Errorf("after it was put away, player is told %q", v.Notices)
	}
}
