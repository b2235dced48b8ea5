package main_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"porthole/packages/internal/settings"
)

// inline finds what a policy without unsafe-inline forbids, and what other hosts would serve.
var inline = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>\s*[^<\s]|<style|\sstyle\s*=|\son[a-z]+\s*=|javascript:|(?:src|href|action)="(?:https?:)?//`)

func checkPage(t *testing.T, where string, a answer) {
	t.Helper()
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || !strings.Contains(policy, "frame-ancestors 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("%s: policy %q", where, policy)
	}
	for h, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
		if got := a.header.Get(h); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s is %q", where, h, got)
		}
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Errorf("%s: %q", where, a.header.Get("Content-Type"))
		return
	}
	if found := inline.FindString(a.body); found != "" {
		t.Errorf("%s: %q", where, found)
	}
	if strings.Contains(a.body, "ZgotmplZ") {
		t.Errorf("%s: a value was refused by the template", where)
	}
	checkParagraphs(t, where, a.body)
	for _, tag := range []string{"section", "article", "div", "form", "p", "table", "details", "ul", "dl"} {
		open, closed := len(regexp.MustCompile(`<`+tag+`[\s>]`).FindAllString(a.body, -1)), strings.Count(a.body, "</"+tag+">")
		if open != closed {
			t.Errorf("%s: %d <%s>, %d </%s>", where, open, tag, closed, tag)
		}
	}
}

// block finds what ends a paragraph that it stands in (HTML Standard, section 13.1.2.4), so that the page is another one
// than it looks.
var block = regexp.MustCompile(`<(?:form|div|ul|ol|dl|pre|section|table|details|h[1-6]|p)[\s>]`)

func checkParagraphs(t *testing.T, where, body string) {
	t.Helper()
	for _, p := range regexp.MustCompile(`<p(?:\s[^>]*)?>`).FindAllStringIndex(body, -1) {
		inside, _, _ := strings.Cut(body[p[1]:], "</p>")
		if found := block.FindString(inside); found != "" {
			t.Errorf("%s: %s in a paragraph: %.200s", where, found, inside)
		}
	}
}

// deaf is a process that takes calls and never answers.
func deaf(d *device) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// TestPages: every page comes whole, with peers that answer, that are gone and that hang.
func TestPages(t *testing.T) {
	for name, peers := range map[string]func(*testing.T, *device){
		"all answer": func(t *testing.T, d *device) {
			d.peer("system", newSystem(t))
			d.peer("proxy", proxyWith(cameraState("demo", "live", ""), cameraState("yard", "lost", "the camera refuses the password"), cameraState("shed", "idle", "nothing answers")))
		},
		"all down": func(*testing.T, *device) {},
		"all hang": func(t *testing.T, d *device) {
			d.peer("system", deaf(d))
			d.peer("proxy", deaf(d))
		},
		"nonsense": func(t *testing.T, d *device) {
			d.peer("system", jsonHandler("what?"))
			d.peer("proxy", jsonHandler([]int{1}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			d.options.Builtin = []settings.Camera{demoCamera()}
			peers(t, d)
			d.start()
			b := d.browser()
			up := name == "all answer"
			checkPage(t, "claim", b.get("/claim"))
			b = d.claimed()
			d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s")
			d.addCamera(b, "name", "Shed", "url", "rtsp://192.168.1.31/s")
			pages := map[string]answer{}
			for path, status := range map[string]int{
				"/": 200, "/fragments/home": 200, "/settings/cameras/new": 200, "/settings/cameras/yard": 200, "/settings/cameras/yard/delete": 200,
				"/camera/demo": 200, "/camera/yard": 200, "/fragments/camera/yard": 200, "/camera/yard/token/1": 200, "/camera/none": 404,
				"/sessions": 200, "/fragments/sessions": 200, "/rtsp-log": 200, "/fragments/rtsp-log": 200, "/certificate": 200,
				"/screens": 200, "/fragments/screens": 200, "/screens/1": 200, "/fragments/screens/1": 200, "/screens/new": 200, "/screens/pair": 200, "/fragments/screens/pair": 200, "/screens/99": 404,
				"/groups": 200, "/groups/99": 404, "/settings/signage": 200, "/settings/people": 200, "/settings/people/admin": 200, "/settings/people/nobody": 404, "/settings/transfer": 200, "/settings/reset": 200, "/account": 200, "/settings/audit": 200,
				"/settings/proxy": 200, "/settings/live": 200, "/settings/certificate": 200, "/fragments/settings/certificate": 200, "/settings/certificate/remove": 404, "/settings/import": 200, "/settings/proxy/accounts/porthole": 200, "/settings/proxy/accounts/none": 404,
				"/logs/proxy": 200, "/fragments/logs/proxy": 200, "/nowhere": 404, "/settings/cameras/none": 404, "/logs/": 404,
			} {
				a := b.get(path)
				if a.status != status {
					t.Errorf("%s: %d", path, a.status)
				}
				checkPage(t, path, a)
				pages[path] = a
			}
			checkPage(t, "login", d.browser().get("/login"))
			home := pages["/"].body
			for want, when := range map[string]bool{
				"Demo camera": true, "Yard": true, "Full view": true, "devel": true, "/livestream/viewer?camera=demo": true,
				"system does not answer": !up, "proxy does not answer": !up, "Not known while system does not answer": !up,
				"the camera refuses the password": up, "Last time: nothing answers": up, "H264 1280×720": up, "2 viewers": up, `pill good">live`: up, `pill bad">offline`: up,
				`/since">3 h 0 min<`: up, "36 MB": up, "porthole.local": up, "Good for 823 days": up, "Restart signaling": up,
				"Did your browser warn you?": up,
			} {
				if strings.Contains(home, want) != when {
					t.Errorf("home page has %q: %v", want, !when)
				}
			}
			if !strings.Contains(pages["/nowhere"].body, "There is no such page") {
				t.Error("a page that is not there does not say so")
			}
			if log := pages["/logs/proxy"].body; up && (!strings.Contains(log, "first line") || !strings.Contains(log, "&lt;b&gt;last&lt;/b&gt; line")) {
				t.Errorf("log page:\n%s", log)
			}
		})
	}
}

// TestHangingPeersShareOneWait: a page asks everybody at once and waits once.
func TestHangingPeersShareOneWait(t *testing.T) {
	d := newDevice(t)
	asked := make(chan string, 16)
	hang := func(name string) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked <- name + r.URL.Path
			<-r.Context().Done()
		})
	}
	d.peer("system", hang("system"))
	d.peer("proxy", hang("proxy"))
	d.start()
	b := d.claimed()
	for len(asked) > 0 {
		<-asked
	}
	done := make(chan answer)
	go func() { done <- b.get("/") }()
	want := map[string]bool{"system/processes": true, "proxy/status": true}
	for len(want) > 0 {
		select {
		case name := <-asked:
			delete(want, name)
		case a := <-done:
			t.Fatalf("answered %d before %v were asked", a.status, want)
		}
	}
	if a := <-done; a.status != http.StatusOK {
		t.Errorf("home: %d", a.status)
	}
}

func TestEmptyHome(t *testing.T) {
	d := newDevice(t).start()
	b := d.claimed()
	if a := b.get("/"); !strings.Contains(a.body, "No camera yet.") || !strings.Contains(a.body, `href="/settings/cameras/new"`) {
		t.Errorf("nothing says how to begin:\n%s", a.body)
	}
}

func TestAddresses(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	stream := streamPassword(t, b)
	for _, host := range []string{"porthole.lan:8443", "192.168.1.5", "[fd00::5]:8443"} {
		b.host = host
		// The cookie belongs to the first host; the forwarded host is what counts.
		b.header = http.Header{"X-Forwarded-Host": {host}}
		b.host = "porthole.lan:8443"
		body := b.get("/").body
		if !strings.Contains(body, fmt.Sprintf(`data-whole="rtsps://porthole:%s@%s/demo"`, stream, host)) {
			t.Errorf("no address with host %s", host)
		}
		if !strings.Contains(body, ">rtsps://porthole:••••••@"+host+"/demo<") {
			t.Errorf("no masked address with host %s", host)
		}
	}
	b.header = http.Header{"X-Forwarded-Host": {`x"><script>alert(1)</script>`}}
	if body := b.get("/").body; strings.Contains(body, "<script>alert") {
		t.Error("a host name becomes markup")
	}
}

func TestRestartAndLog(t *testing.T) {
	d := newDevice(t)
	s := newSystem(t)
	d.peer("system", s)
	d.start()
	b := d.claimed()
	if a := b.post("/processes/signaling/restart"); a.status != http.StatusSeeOther || a.location != "/" {
		t.Fatalf("restart: %d to %q", a.status, a.location)
	}
	if a := b.get("/"); !strings.Contains(a.body, "signaling was restarted.") {
		t.Error("the page does not say that it was done")
	}
	if len(s.restarted) != 1 || s.restarted[0] != "signaling" {
		t.Errorf("restarted: %q", s.restarted)
	}
	for _, a := range []answer{b.post("/processes/nothing/restart"), b.get("/logs/nothing"), b.get("/logs/..%2f..%2fprovision")} {
		if a.status != http.StatusNotFound {
			t.Errorf("a process that is not there: %d", a.status)
		}
	}
	if a := b.get("/processes/signaling/restart"); a.status != http.StatusNotFound || len(s.restarted) != 1 {
		t.Errorf("GET restarts: %d", a.status)
	}
	d2 := newDevice(t).start()
	if a := d2.claimed().post("/processes/proxy/restart"); a.status != http.StatusSeeOther {
		t.Errorf("restart without system: %d", a.status)
	}
}

func TestAssets(t *testing.T) {
	d := newDevice(t).start()
	b := d.browser()
	for path, ctype := range map[string]string{"/assets/porthole.css": "text/css; charset=utf-8", "/assets/home.js": "text/javascript; charset=utf-8", "/assets/porthole.svg": "image/svg+xml"} {
		b.header = nil
		a := b.get(path)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != ctype || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %q", path, a.status, a.header.Get("Content-Type"))
		}
		b.header = http.Header{"If-None-Match": {a.header.Get("ETag")}}
		if a := b.get(path); a.status != http.StatusNotModified || a.body != "" {
			t.Errorf("%s again: %d", path, a.status)
		}
	}
	b.header = nil
	css := b.get("/assets/porthole.css").body
	for _, property := range []string{"--bg", "--fg", "--muted", "--card", "--line", "--accent", "--bad", "--good"} {
		if strings.Count(css, property+":") != 2 {
			t.Errorf("%s is not set once for light and once for dark", property)
		}
	}
	if found := regexp.MustCompile(`url\(|@import`).FindString(css); found != "" {
		t.Errorf("the style loads something: %s", found)
	}
	if a := b.get("/assets/none.js"); a.status != http.StatusNotFound {
		t.Errorf("an asset that is not there: %d", a.status)
	}
}

func TestHealth(t *testing.T) {
	type health struct {
		Status          string            `json:"status"`
		Version         string            `json:"version"`
		Product         string            `json:"product"`
		PortholeVersion string            `json:"porthole_version"`
		Processes       map[string]string `json:"processes"`
	}
	ask := func(d *device) (h health) {
		t.Helper()
		a := d.browser().get("/api/health")
		if err := json.Unmarshal([]byte(a.body), &h); err != nil || a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
			t.Fatalf("health: %d %v\n%s", a.status, err, a.body)
		}
		if h.Version != "2.0.0" || h.Product != "porthole" || h.PortholeVersion == "" {
			t.Errorf("health: %+v", h)
		}
		return h
	}
	d := newDevice(t).start()
	if h := ask(d); h.Status != "degraded" || h.Processes == nil {
		t.Errorf("without system: %+v", h)
	}
	s := newSystem(t)
	d.peer("system", s)
	eventually(t, "ok", func() bool {
		h := ask(d)
		return h.Status == "ok" && h.Processes["proxy"] == "running" && len(h.Processes) == 4
	})
	s.set("proxy", "stopped")
	eventually(t, "degraded", func() bool { h := ask(d); return h.Status == "degraded" && h.Processes["proxy"] == "stopped" })
}

func TestCertificate(t *testing.T) {
	d := newDevice(t).start()
	b := d.browser()
	if a := b.get("/api/certificate"); a.status != http.StatusInternalServerError || !strings.Contains(a.body, `"error"`) {
		t.Errorf("without system: %d %s", a.status, a.body)
	}
	if a := b.get("/ca.pem"); a.status != http.StatusServiceUnavailable {
		t.Errorf("ca.pem without system: %d", a.status)
	}
	s := newSystem(t)
	d.peer("system", s)
	var a answer
	eventually(t, "a certificate", func() bool { a = b.get("/api/certificate"); return a.status == http.StatusOK })
	var got struct {
		Certificate string            `json:"certificate"`
		Format      string            `json:"certificate_format"`
		Info        map[string]string `json:"certificate_info"`
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	// First the authority, then the roots under which public names will be served.
	if !strings.HasPrefix(got.Certificate, s.ca) || strings.Count(got.Certificate, "BEGIN CERTIFICATE") < 3 || got.Format != "PEM" {
		t.Errorf("not the authority's certificate: %s", a.body)
	}
	for _, key := range []string{"subject", "issuer", "valid_from", "valid_until"} {
		if got.Info[key] == "" {
			t.Errorf("certificate_info lacks %s: %v", key, got.Info)
		}
	}
	if !regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`).MatchString(got.Info["fingerprint"]) || got.Info["subject"] != "CN=Porthole CA" {
		t.Errorf("certificate_info: %v", got.Info)
	}
	a = b.get("/ca.pem")
	if block, _ := pem.Decode([]byte(a.body)); block == nil || a.header.Get("Content-Type") != "application/x-x509-ca-cert" {
		t.Errorf("ca.pem: %d %q\n%s", a.status, a.header.Get("Content-Type"), a.body)
	}
	// The fingerprint people compare is the one in the pages.
	if home := d.claimed().get("/").body; !strings.Contains(home, got.Info["fingerprint"]) || !strings.Contains(home, "Did your browser warn you?") {
		t.Error("the home page does not show the fingerprint")
	}
}

// TestGoneClient: who leaves while a page is made does no harm.
func TestGoneClient(t *testing.T) {
	d := newDevice(t)
	d.peer("system", deaf(d))
	d.start()
	b := d.claimed()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+b.host+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := b.client.Do(req); err == nil {
		res.Body.Close()
		t.Error("answered a request that was never sent")
	}
	if a := b.get("/"); a.status != http.StatusOK {
		t.Errorf("afterwards: %d", a.status)
	}
}
