package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/integration/stack"
	"porthole/media/rtsp/rtsptest"
)

// fortress is a whole Porthole under attack: with a camera, with somebody of every role, and with secrets of each.
type fortress struct {
	*stack.Stack
	t    *testing.T
	http *http.Client
	// cookies are the sessions by role: "anonymous" has none, "editor" and "another editor" are two of the same.
	cookies map[string]string
	// secrets are in no answer to anybody but an administrator, hidden in no answer at all.
	secrets, hidden []string
}

// guests are those who are not administrators, from the least on.
var guests = []string{"anonymous", "viewer", "editor"}

// TestSecurity makes the requests that the OWASP top ten (2021) are about, over the network, at every address of the whole.
func TestSecurity(t *testing.T) {
	cam := rtsptest.New(t, "cam", "camera-hunter2")
	cam.Publish(t)
	f := &fortress{t: t, cookies: map[string]string{"anonymous": ""}, secrets: []string{"camera-hunter2", "plain-hunter2"}, hidden: []string{password, "$argon2id$"}}
	f.Stack = start(t, fmt.Sprintf(strings.ReplaceAll(frontDoor, "camera secret", "camera-hunter2"), cam.URL()))
	f.populate()
	for _, attack := range []struct {
		name string
		try  func(*testing.T)
	}{
		{"pages of others", f.pagesOfOthers}, {"things of others", f.thingsOfOthers}, {"cameras of others", f.camerasOfOthers}, {"forged identity", f.forgedIdentity},
		{"other sites", f.otherSites}, {"fixed session", f.fixedSession}, {"paths", f.paths}, {"plain port", f.plainPort},
		{"methods", f.methods}, {"hosts", f.hosts}, {"smuggling", f.smuggling}, {"bodies", f.bodies},
		{"injection", f.injection}, {"requests to others", f.requestsToOthers},
	} {
		t.Run(attack.name, func(t *testing.T) {
			f.t = t
			attack.try(t)
		})
	}
	f.t = t
	f.logs()
}

// populate makes the accounts and things of theirs.
func (f *fortress) populate() {
	f.t.Helper()
	u := admin(f.t, f.Stack)
	pem, err := os.ReadFile(f.CAFile())
	if err != nil {
		f.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	f.http = &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.t.Cleanup(f.http.CloseIdleConnections)
	f.cookies["admin"] = cookieOf(u.Cookies())
	for name, role := range map[string]string{"viewer": "viewer", "editor": "editor", "another editor": "editor"} {
		form := url.Values{"name": {name}, "role": {role}, "password": {password}}
		if a := f.form("admin", "/settings/people", form); a.status != http.StatusSeeOther {
			f.t.Fatalf("add %s: %d\n%s", name, a.status, a.body)
		}
		f.cookies[name] = f.logIn(name, "")
	}
	at, err := u.StreamURL(f.t.Context(), "door")
	if err != nil {
		f.t.Fatal(err)
	}
	stream, _ := at.User.Password()
	f.secrets = append(f.secrets, stream)
	for _, c := range f.cookies {
		if c != "" {
			f.hidden = append(f.hidden, strings.TrimPrefix(c, "__Host-porthole="))
		}
	}
}

func cookieOf(list []*http.Cookie) string {
	for _, c := range list {
		if c.Name == "__Host-porthole" {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// logIn returns a new session; before is the cookie the browser has already.
func (f *fortress) logIn(user, before string) string {
	f.t.Helper()
	a := f.ask(http.MethodPost, "/login", url.Values{"user": {user}, "password": {password}}.Encode(), http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "Cookie": {before}})
	if a.status != http.StatusSeeOther {
		f.t.Fatalf("log in as %s: %d\n%s", user, a.status, a.body)
	}
	cookie := cookieOf((&http.Response{Header: a.header}).Cookies())
	if cookie == "" {
		f.t.Fatalf("logged in as %s without a session: %v", user, a.header)
	}
	return cookie
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// as is the header of a browser's own request with the session of a role.
func (f *fortress) as(role string) http.Header {
	h := http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {f.URL("")}, "Accept": {"text/html,*/*;q=0.5"}}
	if c := f.cookies[role]; c != "" {
		h.Set("Cookie", c)
	}
	return h
}

func (f *fortress) form(role, path string, form url.Values) reply {
	f.t.Helper()
	h := f.as(role)
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.ask(http.MethodPost, path, form.Encode(), h)
}

func (f *fortress) get(role, path string) reply {
	f.t.Helper()
	return f.ask(http.MethodGet, path, "", f.as(role))
}

// ask sends a request to the shared port and looks at the answer as checkReply does.
func (f *fortress) ask(method, path, body string, header http.Header) reply {
	f.t.Helper()
	return f.askAt(f.URL(path), method, body, header)
}

func (f *fortress) askAt(at, method, body string, header http.Header) reply {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, at, err)
	}
	if req.Header = header; header == nil {
		req.Header = http.Header{}
	}
	if body == "" {
		req.Body = http.NoBody
	}
	res, err := f.http.Do(req)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, at, err)
	}
	defer res.Body.Close()
	// Some answers go on for ever.
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		f.t.Errorf("%s %s: %v", method, at, err)
	}
	a := reply{res.StatusCode, res.Header, string(b)}
	f.checkReply(method+" "+at, a, strings.Contains(header.Get("Cookie"), f.cookies["admin"]) && f.cookies["admin"] != "")
	return a
}

// internals are what an answer tells only by mistake: stacks, places in the source, folders, the database's words, keys.
var internals = regexp.MustCompile(`goroutine \d+ \[|\.go:\d+|/perm/|sqlite|SQL logic|\bdial unix\b|\.sock\b|panic:|PRIVATE KEY|root:x:0|SQLite format`)

// checkReply: whatever is asked, the answer has the headers that guard a browser, and tells nothing of our inside.
func (f *fortress) checkReply(what string, a reply, toAdmin bool) {
	f.t.Helper()
	h := a.header
	if a.status >= 500 && a.status != http.StatusServiceUnavailable && a.status != http.StatusBadGateway && a.status != http.StatusNotImplemented {
		f.t.Errorf("%s: %d %.300s", what, a.status, a.body)
	}
	if found := internals.FindString(a.body); found != "" {
		f.t.Errorf("%s tells of our inside (%q): %.300s", what, found, a.body)
	}
	for _, s := range f.hidden {
		if strings.Contains(a.body, s) {
			f.t.Errorf("%s has a secret that nobody may see (%.6s…)", what, s)
		}
	}
	for _, s := range f.secrets {
		if !toAdmin && strings.Contains(a.body, s) && !strings.Contains(what, "/api/") {
			f.t.Errorf("%s has a secret of administrators (%.6s…)", what, s)
		}
	}
	if h.Get("Server") != "" || h.Get("X-Powered-By") != "" || h.Get("Via") != "" {
		f.t.Errorf("%s says what we are made of: %v", what, h)
	}
	if strings.Contains(h.Get("Access-Control-Allow-Credentials"), "true") {
		f.t.Errorf("%s lets other sites use somebody's session", what)
	}
	f.checkCookies(what, h)
	// net/http's own words to who does not speak HTTP have nothing in them that a browser could take for something else.
	own := h.Get("Content-Type") == "text/plain; charset=utf-8" && h.Get("Date") == ""
	if len(a.body) > 0 && !own && h.Get("X-Content-Type-Options") != "nosniff" {
		f.t.Errorf("%s: %d without nosniff: %v", what, a.status, h)
	}
	if strings.HasPrefix(h.Get("Content-Type"), "text/html") && len(a.body) > 0 {
		policy := h.Get("Content-Security-Policy")
		if a.status >= 300 && a.status < 400 && policy == "" && len(a.body) < 500 {
			return // a redirect's word or two
		}
		if !strings.Contains(policy, "default-src") || !strings.Contains(policy, "base-uri 'none'") || !strings.Contains(policy, "frame-ancestors") || strings.Contains(policy, "unsafe") {
			f.t.Errorf("%s: policy %q", what, policy)
		}
		if !strings.Contains(h.Get("Cache-Control"), "no-store") {
			f.t.Errorf("%s: a page that is kept: %q", what, h.Get("Cache-Control"))
		}
	}
}

func (f *fortress) checkCookies(what string, h http.Header) {
	f.t.Helper()
	for _, line := range h["Set-Cookie"] {
		for _, want := range []string{"__Host-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
			if !strings.Contains(line, want) && (want != "; SameSite=Lax" || !strings.Contains(line, "; SameSite=Strict")) {
				f.t.Errorf("%s sets a cookie without %q", what, want)
			}
		}
		if strings.Contains(line, "Domain=") {
			f.t.Errorf("%s sets a cookie for a domain", what)
		}
	}
}

// page is an address of the console and who may open it: "anyone", "user", "editor" or "admin".
type consolePage struct{ method, path, who string }

// routeLine is how console's source lists its pages.
var routeLine = regexp.MustCompile(`\{"(?:([A-Z]+) )?(/[^"]*)", (anyone|user|editor|admin), `)

// consolePages reads all pages out of console's source: one that is new is attacked without anybody thinking of it.
func consolePages(t *testing.T) []consolePage {
	t.Helper()
	files, err := filepath.Glob("../packages/console/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var pages []consolePage
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range routeLine.FindAllStringSubmatch(string(b), -1) {
			p := consolePage{m[1], m[2], m[3]}
			if p.method == "" {
				p.method = http.MethodGet
			}
			pages = append(pages, p)
		}
	}
	if len(pages) < 100 {
		t.Fatalf("found only %d pages: has their notation changed?", len(pages))
	}
	return pages
}

// placeholder is a part of a path that names something.
var placeholder = regexp.MustCompile(`\{[a-z_]+(?:\.\.\.)?\}`)

// at fills the page's path with things that are there.
func (p consolePage) at() string {
	path := strings.TrimSuffix(p.path, "{$}")
	return placeholder.ReplaceAllStringFunc(path, func(name string) string {
		switch {
		case name == "{user}":
			return "porthole"
		case name == "{name}":
			return "admin"
		case strings.Contains(path, "camera"):
			return "door"
		}
		return "1"
	})
}

// allowed reports whether a role may open the page.
func (p consolePage) allowed(role string) bool {
	rank := []string{"anonymous", "viewer", "editor", "admin"}
	return slices.Index(rank, role) >= slices.Index([]string{"anyone", "user", "editor", "admin"}, p.who)
}
