package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"porthole/packages/internal/identity"
	"porthole/packages/signaling/sitetest"
	"porthole/packages/signaling/web"
)

func TestPage(t *testing.T) {
	site := sitetest.New(t, nil)
	const html = "text/html,application/xhtml+xml"
	for name, c := range map[string]struct {
		srv                 *httptest.Server
		path, token, accept string
		status              int
		contains            string
	}{
		"viewer":           {site.Front, "/livestream/viewer?camera=demo", sitetest.AdminToken, html, 200, "<title>Front door – live</title>"},
		"on its own port":  {site.Direct, "/livestream/viewer?camera=demo", sitetest.AdminToken, html, 200, `data-camera="demo"`},
		"forced":           {site.Front, "/livestream/viewer?camera=demo&signaling=8765", sitetest.AdminToken, html, 200, "data-forced"},
		"stream":           {site.Front, "/livestream/viewer?camera=demo&stream=%22%3Eb", sitetest.AdminToken, html, 200, `data-stream="&#34;&gt;b"`},
		"the way on":       {site.Front, "/livestream/viewer?camera=demo", sitetest.AdminToken, html, 200, `data-camera="yard"`},
		"wall":             {site.Front, "/live", sitetest.AdminToken, html, 200, `id="camera-demo" data-camera="demo" data-streams="2"`},
		"wall, own port":   {site.Direct, "/live", sitetest.AdminToken, html, 200, `id="camera-hall"`},
		"wall, program":    {site.Front, "/live", "", "*/*", 401, `{"error":"you are not logged in"}`},
		"wall, away":       {site.Direct, "/live", sitetest.AwayToken, html, 503, `http-equiv="refresh"`},
		"which camera":     {site.Front, "/livestream/viewer", sitetest.AdminToken, html, 400, "Which camera?"},
		"unknown":          {site.Front, "/livestream/viewer?camera=%3Cscript%3E", sitetest.AdminToken, html, 404, "“&lt;script&gt;”"},
		"unknown, program": {site.Front, "/livestream/viewer?camera=attic", sitetest.AdminToken, "*/*", 404, `{"error":"No such camera`},
		"not his":          {site.Front, "/livestream/viewer?camera=demo", sitetest.GuestToken, html, 403, "may not watch"},
		"nobody":           {site.Front, "/livestream/viewer?camera=demo&stream=a", "", html, 303, ""},
		"nobody, program":  {site.Front, "/livestream/viewer?camera=demo", "", "*/*", 401, `{"error":"you are not logged in"}`},
		"nobody, own port": {site.Direct, "/livestream/viewer?camera=demo", "", html, 401, "Not logged in"},
		"console is away":  {site.Direct, "/livestream/viewer?camera=demo", sitetest.AwayToken, html, 503, `http-equiv="refresh"`},
		"own port's root":  {site.Direct, "/", "", html, 200, "usual HTTPS port"},
		"elsewhere":        {site.Direct, "/admin", sitetest.AdminToken, html, 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := request(t, c.srv, "GET", c.path, c.token, "", "Accept", c.accept)
			if res.StatusCode != c.status || !strings.Contains(body, c.contains) {
				t.Errorf("%d, want %d with %q:\n%s", res.StatusCode, c.status, c.contains, body)
			}
			if c.status == 303 && res.Header.Get("Location") != "/login?next=%2Flivestream%2Fviewer%3Fcamera%3Ddemo%26stream%3Da" {
				t.Errorf("sent to %s", res.Header.Get("Location"))
			}
			if !strings.Contains(body, "<html") {
				return
			}
			policy := res.Header.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self' wss:;", "frame-ancestors 'self'"} {
				if !strings.Contains(policy, want) {
					t.Errorf("policy %q lacks %q", policy, want)
				}
			}
			if strings.Contains(policy, "unsafe") || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", res.Header)
			}
		})
	}
}

// The wall shows what its visitor may see and nothing else.
func TestWallOfAGuest(t *testing.T) {
	site := sitetest.New(t, nil)
	res, body := request(t, site.Front, "GET", "/live", sitetest.GuestToken, "", "Accept", "text/html")
	if res.StatusCode != 200 || !strings.Contains(body, `data-camera="garden"`) || strings.Contains(body, "demo") || strings.Contains(body, "yard") {
		t.Errorf("%d:\n%s", res.StatusCode, body)
	}
	if res, _ := request(t, site.Front, "GET", "/live", "", "", "Accept", "text/html"); res.Header.Get("Location") != "/login?next=%2Flive" {
		t.Errorf("a stranger is sent to %q", res.Header.Get("Location"))
	}
	site.Web.SetCameras(nil)
	if _, body := request(t, site.Front, "GET", "/live", sitetest.GuestToken, "", "Accept", "text/html"); !strings.Contains(body, "No camera here") {
		t.Errorf("an empty wall:\n%s", body)
	}
}

var asset = regexp.MustCompile(`(?:href|src)="(/livestream/[0-9a-f]{16}/[a-z]+\.(?:js|css))"`)

// Scripts are for everybody: those a page names, which never change, and the same under plain names.
func TestScripts(t *testing.T) {
	site := sitetest.New(t, nil)
	named := map[string]bool{}
	for _, path := range []string{"/live", "/livestream/viewer?camera=demo", "/livestream/viewer?camera=attic"} {
		_, body := request(t, site.Front, "GET", path, sitetest.AdminToken, "", "Accept", "text/html")
		for _, m := range asset.FindAllStringSubmatch(body, -1) {
			named[m[1]] = true
		}
	}
	entries, err := os.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	kinds, all := map[string]string{".js": "text/javascript", ".css": "text/css"}, 0
	for _, e := range entries {
		if _, ok := kinds[path.Ext(e.Name())]; ok {
			all++
		}
	}
	if len(named) != all {
		t.Errorf("pages name %d of %d files: %v", len(named), all, named)
	}
	for at := range named {
		name := path.Base(at)
		for at, keep := range map[string]string{at: "immutable", "/livestream/" + name: "no-cache", "/livestream/0123456789abcdef/" + name: "no-cache"} {
			res, body := request(t, site.Front, "GET", at, "", "")
			if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), kinds[path.Ext(name)]) || body == "" ||
				!strings.Contains(res.Header.Get("Cache-Control"), keep) {
				t.Errorf("%s: %d %v", at, res.StatusCode, res.Header)
			}
			if res, _ := request(t, site.Front, "GET", at, "", "", "If-None-Match", res.Header.Get("ETag")); res.StatusCode != 304 {
				t.Errorf("%s again: %d", at, res.StatusCode)
			}
		}
	}
	for _, at := range []string{"/livestream/viewer.html", "/livestream/0123456789abcdef/viewer.html", "/livestream/x/../viewer.html"} {
		if res, _ := request(t, site.Front, "GET", at, "", ""); res.StatusCode == 200 {
			t.Errorf("the template is served at %s", at)
		}
	}
}

// Before the first settings nobody can say that a camera does not exist.
func TestStarting(t *testing.T) {
	h := web.New(web.Config{Log: slog.New(slog.DiscardHandler)}).Proxied()
	get := func(method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Accept", "text/html")
		if err := identity.Set(r.Header, identity.Identity{User: "admin"}); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := get("GET", "/livestream/viewer?camera=demo"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "starting") {
		t.Errorf("page: %d %s", w.Code, w.Body)
	}
	if w := get("GET", "/live"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "starting") {
		t.Errorf("wall: %d %s", w.Code, w.Body)
	}
	if w := get("POST", "/cameras/demo/whep"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("WHEP: %d %s", w.Code, w.Body)
	}
}
