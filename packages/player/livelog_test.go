package main_test

import (
	"encoding/json"
	"image"
	"net/http"
	"testing"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/internal/settings"
)

// TestLiveLog: what system has of the log is on the screen while that is switched on, turned as everything is, and what was
// there before is there again afterwards.
func TestLiveLog(t *testing.T) {
	screen := display.OpenOffscreen(640, 360)
	d := newDevice(t, screen)
	d.store("flag.png", pngOf(t, flag(64, 36)))
	d.peer("system", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/log" {
			http.NotFound(w, r)
			return
		}
		lines := []map[string]any{}
		if r.URL.Query().Get("after") == "0" {
			lines = append(lines, map[string]any{
				"seq": 7, "time": time.Date(2026, 3, 4, 11, 0, 1, 0, time.UTC), "process": "proxy", "stream": "stderr",
				"text": `time=2026-03-04T11:00:01.000Z level=WARN msg="the camera does not answer" camera=door`,
			})
		} else {
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
		}
		json.NewEncoder(w).Encode(map[string]any{"lines": lines})
	}))
	c := d.console(settings.Player{
		Timezone: "Europe/Berlin",
		Settings: settings.PlayerSettings{Show: settings.ShowPicture, Picture: "flag.png", Log: true, Orientation: "portrait"},
	})
	c.claim()
	d.start()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	want := render.NewImage(360, 640)
	render.Log(want, []render.Line{{
		Time: time.Date(2026, 3, 4, 12, 0, 1, 0, berlin), Source: "proxy", Level: 4, Text: "the camera does not answer camera=door",
	}})
	lying := turned((*display.Image)(want), 90)
	d.eventually("the log is on the screen", func() bool {
		m, _ := screen.Last()
		return samePixels(m, lying)
	})
	c.change(func(v *settings.Player) { v.Settings.Log = false })
	d.looks("the picture is there again, turned", map[image.Point]byte{{320, 100}: 'r', {320, 260}: 'b', {100, 180}: '-'})
}
