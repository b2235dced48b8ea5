package link

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/settings"
)

// TestPause: imported values of timeout, attempts and delay count; it never ends, and asks a minute apart at most.
func TestPause(t *testing.T) {
	within := func(name string, d, least, most time.Duration) {
		t.Helper()
		if d < least || d > most {
			t.Errorf("%s: %v is not %v to %v", name, d, least, most)
		}
	}
	s := newSetup(settings.PlayerSettings{Server: "https://Signage.example.com/"}, "tv")
	if s.server != "https://Signage.example.com" || s.host != "signage.example.com:443" || s.hostname != "tv" || s.timeout != 10*time.Second || s.attempts != 3 || s.delay != 5*time.Second {
		t.Errorf("setup %+v", s)
	}
	for n := 1; n <= 3; n++ {
		within("quick", s.pause(n, http.ErrServerClosed), 5*time.Second, 6*time.Second)
	}
	last := time.Duration(0)
	for n := 4; n < 3000; n++ {
		last = s.pause(n, http.ErrServerClosed)
		within("later", last, 5*time.Second, time.Minute)
	}
	within("last", last, 30*time.Second, time.Minute)
	within("asked to wait", s.pause(1, &statusError{status: 503, retryAfter: 17 * time.Second}), 17*time.Second, 18*time.Second)
	s = newSetup(settings.PlayerSettings{Server: "http://[::1]:8080", Hostname: "kiosk", Timeout: 30, RetryAttempts: 7, RetryDelay: 300}, "tv")
	if s.host != "[::1]:8080" || s.hostname != "kiosk" || s.timeout != 30*time.Second || s.attempts != 7 {
		t.Errorf("setup %+v", s)
	}
	within("slow", s.pause(20, http.ErrServerClosed), 5*time.Minute, 6*time.Minute)
	s = newSetup(settings.PlayerSettings{Timeout: 1 << 40, RetryAttempts: -4, RetryDelay: 1 << 40}, "tv")
	if s.timeout != 300*time.Second || s.attempts != 3 || s.delay != time.Hour || s.host != "" {
		t.Errorf("setup %+v", s)
	}
	now := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 3 ": 3 * time.Second, "-5": 0, "soon": 0, "99999999": time.Hour, "1.5": 0,
		"Sat, 21 Nov 2026 20:00:09 GMT": 9 * time.Second, "Sat, 21 Nov 2025 20:00:09 GMT": 0, "Sat, 21 Nov 2099 20:00:09 GMT": time.Hour,
	} {
		if got := retryAfter(v, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}

// TestPlaylists: what original servers write, and what our players make of it.
func TestPlaylists(t *testing.T) {
	for in, want := range map[string]string{
		`{"playlist":[{"id":1,"file_name":"a.jpg","type":"image","url":"/a.jpg"}]}`:                                        "image a.jpg 10000",
		`{"playlist":[{"file_name":"a.MP4","duration":"00:01:30","url":"u/a.mp4"}]}`:                                       "video a.MP4 90000",
		`{"playlist":[{"filename":"C:\\x\\a.png","type":"IMAGE","duration":7.5,"url":"https://h/a.png"}]}`:                 "image a.png 7500",
		`{"playlist":[{"url":"https://h/p/clip.webm?x=1","duration":"5s"}]}`:                                               "video clip.webm 5000",
		`{"playlist":[{"url":"rtsp://cam/1","duration":-3}]}`:                                                              "stream  10000",
		`{"playlist":[{"type":"image","url":"/x","duration":"1e99"}]}`:                                                     "image x 10000",
		`{"playlist":[{"type":"image","url":"/x","duration":999999999}]}`:                                                  "image x 86400000",
		`{"playlist":[{"type":"image","url":"/x","duration":null,"sha256":"zz","size":-1}]}`:                               "image x 10000",
		`{"playlist":[{"type":"pdf","file_name":"a.pdf","url":"/x"}]}`:                                                     "- a.pdf: this screen does not play pdf",
		`{"playlist":[{"type":"image","file_name":"a.jpg"}]}`:                                                              "- a.jpg: it has no address",
		`{"playlist":[{"type":"image","file_name":"a.jpg","url":"file:///etc/passwd"}]}`:                                   "- a.jpg: its address is not one of a web server",
		`{"playlist":[{"type":"image","file_name":"a.jpg","url":"http://[::1"}]}`:                                          "- a.jpg: its address cannot be read",
		`{"playlist":[{"file_name":"a"}]}`:                                                                                 "- a: nothing says what it is",
		`[{"type":"image","url":"/x"}]`:                                                                                    "image x 10000",
		`{"playlist":{"items":[{"type":"image","url":"/x"}]}}`:                                                             "image x 10000",
		`{"player_id":"3","playlist":null}`:                                                                                "",
		`{"player_id":3}`:                                                                                                  "",
		`{"playlist":[],"left_out":[{"type":"camera","reason":"files only"}]}`:                                             "- camera: files only",
		`{"playlist":[{"id":4,"type":"image","url":"/x"},{"id":4,"type":"image","url":"/y"},{"type":"image","url":"/z"}]}`: "image x 10000|image y 10000|image z 10000",
		`{}`:                                   "error",
		`{"playlist":7}`:                       "error",
		`{"playlist":[7]}`:                     "error",
		`<html>`:                               "error",
		`{"player_id":"x"}`:                    "error",
		`{"error":"something else"}`:           "error",
		`{"player_id":1e300,"playlist":[]}`:    "error",
		`{"playlist":[{"id":"one","url":""}]}`: "error",
	} {
		if got := readAs(t, in); got != want {
			t.Errorf("%s\n%s, want %s", in, got, want)
		}
	}
}

func readAs(t *testing.T, in string) string {
	list, err := parsePlaylist([]byte(in))
	if err != nil {
		return "error"
	}
	p, leftOut := list.program()
	if err := p.Validate(); err != nil {
		t.Errorf("%s: %v", in, err)
	}
	var all []string
	ids := map[int64]bool{}
	for _, i := range p.Playlists[0].Items {
		if ids[i.ID] {
			t.Errorf("%s: id %d is used twice", in, i.ID)
		}
		ids[i.ID] = true
		all = append(all, strings.Join([]string{i.Kind, i.FileName, string(must(json.Marshal(i.DurationMS)))}, " "))
	}
	for _, l := range leftOut {
		all = append(all, "- "+l)
	}
	return strings.Join(all, "|")
}

func must(b []byte, err error) []byte {
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// FuzzAnswers: whatever a server answers is taken or refused, and what becomes a program is a good one.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		`{"player_id":3,"player_name":"Till","playlist_version":5,"playlist":[{"id":11,"file_name":"menu.jpg","type":"image","duration":15,"url":"/m.jpg","sha256":"x","size":7}],"count":1}`,
		`[{"id":"1","filename":"a.mp4","duration":"00:10","url":"https://h/a.mp4"}]`,
		`{"success":true,"player_id":"7","player_name":null,"auth_code":"x","error":[1]}`,
		`{"error":"authorization_pending","error_description":"x"}`,
		`bytes 4-9/10`,
		`{"playlist":{"items":[{"url":"rtsp://x"}]}}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if list, err := parsePlaylist([]byte(s)); err == nil {
			p, leftOut := list.program()
			if err := p.Validate(); err != nil {
				t.Errorf("no good program: %v", err)
			}
			if len(leftOut) > 20 || slices.ContainsFunc(leftOut, func(l string) bool { return strings.ContainsAny(l, "\n\x1b") }) {
				t.Errorf("left out %q", leftOut)
			}
			for _, i := range p.Playlists[0].Items {
				if i.ID <= 0 || strings.ContainsAny(i.FileName, "/\\\n") {
					t.Errorf("item %+v", i)
				}
			}
		}
		var i identity
		a := answer{body: []byte(s)}
		a.into(&i)
		e := newStatusError(&http.Response{StatusCode: 400, Header: http.Header{"Retry-After": {s}, "Location": {s}}}, []byte(s), time.Now())
		if e.retryAfter < 0 || e.retryAfter > maxRetryAfter || len([]rune(e.text)) > maxSaid {
			t.Errorf("%+v", e)
		}
		if from, size, err := contentRange(s); err == nil && (from < 0 || size < -1 || (size >= 0 && from >= size)) {
			t.Errorf("%d of %d", from, size)
		}
	})
}
