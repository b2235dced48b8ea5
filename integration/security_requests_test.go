package integration_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// raw sends bytes as they are and returns all answers until the other side closes, or nothing comes for a while.
func (f *fortress) raw(t *testing.T, secure bool, request string) []reply {
	t.Helper()
	var c net.Conn
	var err error
	if d := (&net.Dialer{Timeout: 30 * time.Second}); secure {
		c, err = tls.DialWithDialer(d, "tcp", f.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}) //nolint:gosec // it is the attacker
	} else {
		c, err = d.Dial("tcp", net.JoinHostPort("localhost", strconv.Itoa(f.HTTP)))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var all []reply
	for in := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Errorf("no answer within 30 s to %.100q", request)
			}
			return all
		}
		b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		res.Body.Close()
		if err != nil {
			return all
		}
		a := reply{res.StatusCode, res.Header, string(b)}
		f.checkReply(fmt.Sprintf("%.100q", request), a, false)
		all = append(all, a)
	}
}

// rawGet asks for a path as it is written, with somebody's session.
func (f *fortress) rawGet(t *testing.T, secure bool, role, target string) reply {
	t.Helper()
	host := f.Addr()
	all := f.raw(t, secure, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\nCookie: "+f.cookies[role]+"\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
	if len(all) != 1 {
		t.Errorf("%q as %s: %d answers", target, role, len(all))
		return reply{}
	}
	return all[0]
}

// away reports whether a redirect leads to another host.
func away(location string) bool {
	u, err := url.Parse(location)
	return err != nil || location != "" && (strings.HasPrefix(location, "//") || strings.HasPrefix(location, `/\`) || u.Host != "" && u.Hostname() != "localhost")
}

// paths (A01, A03, path traversal): however a path is written, it leads to no file and past no guard.
func (f *fortress) paths(t *testing.T) {
	var targets []string
	for _, in := range []string{"/", "/assets/", "/livestream/", "/livestream/v/", "/cameras/", "/cameras/door/", "/api/", "/api/media/", "/media/", "/logs/", "/uploads/", "/fragments/"} {
		for _, up := range []string{"..", "%2e%2e", ".%2e", "..%2f..", `..\..`, "..%5c..", "..%00", "..;", "%252e%252e", "%c0%ae%c0%ae"} {
			for _, file := range []string{"/settings", "/etc/passwd", "%2fetc%2fpasswd", "/console/porthole.db"} {
				targets = append(targets, in+up+file)
			}
		}
	}
	targets = append(targets, "//settings", "///settings", "/./settings", "/%2e/settings", "/settings/", "/SETTINGS", "/settings%2f", "/settings;x=1", "/%73ettings", "/settings%00",
		"/settings%20", "/settings/.", "/settings/%2e", "//evil.example/settings", "//evil.example/%2e%2e", `/\evil.example`, "/%5cevil.example/..", "/login?next=//evil.example", "/login?next=https:evil.example",
		"/login?next=/%5cevil.example", "/login?next=%09//evil.example", "/login?next=/x%0d%0aSet-Cookie:%20a=b", "/assets/porthole.css%00.html", "/assets//etc/passwd", "/uploads/%2e%2e%2fporthole.db",
		"/metrics/", "//metrics", "/api/../metrics", "/livestream/../metrics", "/cameras/../settings/people", "/api/%2e%2e/settings/people")
	for _, target := range targets {
		for _, role := range []string{"anonymous", "viewer"} {
			if role == "viewer" && !strings.Contains(target, "settings") {
				continue
			}
			a := f.rawGet(t, true, role, target)
			if a.status == http.StatusOK && strings.Contains(a.body, `href="/settings/people"`) || strings.Contains(a.body, "porthole_build_info") && role == "anonymous" {
				t.Errorf("%q as %s opens what it must not: %d", target, role, a.status)
			}
			if away(a.header.Get("Location")) {
				t.Errorf("%q as %s leads away, to %q", target, role, a.header.Get("Location"))
			}
			if len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("%q as %s sets a cookie: %q", target, role, a.header["Set-Cookie"])
			}
		}
	}
	// In the form of proxies, and not at all as a path.
	for _, target := range []string{"http://127.0.0.1:22/", "https://evil.example/settings", "*", "settings", "http:///settings", "/ \tsettings", ""} {
		for _, a := range f.raw(t, true, "GET "+target+" HTTP/1.1\r\nHost: "+f.Addr()+"\r\nConnection: close\r\n\r\n") {
			if a.status == http.StatusOK || away(a.header.Get("Location")) && !strings.HasPrefix(a.header.Get("Location"), "https://localhost") {
				t.Errorf("%q: %d to %q", target, a.status, a.header.Get("Location"))
			}
		}
	}
}

// plainPort (A02): without TLS there are no pages and no sessions, only what docs/architecture.md lists.
func (f *fortress) plainPort(t *testing.T) {
	for _, target := range []string{"/", "/settings", "/login", "/api/../settings", "/api/%2e%2e/settings", "/api/..%2fsettings", "/api//../settings", "/api/;/../settings", "/.well-known/acme-challenge/../../settings",
		"/.well-known/acme-challenge/..%2f..%2fsettings", "/live", "/cameras/door/snapshot.jpg", "/metrics", "/ws"} {
		a := f.rawGet(t, false, "admin", target)
		if a.status == http.StatusOK || strings.Contains(a.body, "/logout") || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%q without TLS: %d %.200s", target, a.status, a.body)
		}
	}
	if all := f.raw(t, false, "POST /login HTTP/1.1\r\nHost: "+f.Addr()+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); len(all) != 1 || all[0].status < 300 {
		t.Errorf("log in without TLS: %v", all)
	}
}

// methods (A05): a page has the methods that it is for, and no header makes another one of them.
func (f *fortress) methods(t *testing.T) {
	for _, p := range consolePages(t) {
		if p.path == "/" || strings.HasPrefix(p.path, "/uploads/") {
			continue
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodTrace, "FOO"} {
			if a := f.ask(method, p.at(), "", f.as("admin")); a.status < 400 || strings.Contains(a.body, f.cookies["admin"]) {
				t.Errorf("%s %s: %d %.200s", method, p.at(), a.status, a.body)
			}
		}
	}
	h := f.as("admin")
	h.Set("X-Http-Method-Override", "POST")
	h.Set("X-Method-Override", "POST")
	for _, path := range []string{"/settings/people/viewer/delete", "/settings/people/viewer/delete?_method=POST", "/settings/cameras/door/delete", "/processes/player/restart"} {
		f.ask(http.MethodGet, path, "", h)
	}
	if a := f.get("admin", "/settings/people"); !strings.Contains(a.body, ">viewer") {
		t.Error("a GET has deleted somebody")
	}
	if a := f.get("admin", "/settings/cameras/door"); a.status != http.StatusOK {
		t.Errorf("a GET has deleted a camera: %d", a.status)
	}
	for _, a := range f.raw(t, true, "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n") {
		if a.status < 400 {
			t.Errorf("CONNECT: %d", a.status)
		}
	}
}

// hosts (A05, A10): what stands in Host or in the headers of proxies reaches no page as markup and makes nobody else of the client.
func (f *fortress) hosts(t *testing.T) {
	for _, host := range []string{"", "a b", "evil.example/x", `"><script>alert(1)</script>`, "evil.example:99999", "evil.example:80:80", "[::1", "user@evil.example", "-evil", strings.Repeat("a", 300) + ".example"} {
		for _, secure := range []bool{true, false} {
			for _, a := range f.raw(t, secure, "GET /login HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n") {
				if a.status != http.StatusBadRequest {
					t.Errorf("Host %q: %d to %q", host, a.status, a.header.Get("Location"))
				}
			}
		}
	}
	for _, a := range f.raw(t, true, "GET /login HTTP/1.1\r\nHost: one.example\r\nHost: two.example\r\nConnection: close\r\n\r\n") {
		if a.status != http.StatusBadRequest {
			t.Errorf("two hosts: %d", a.status)
		}
	}
	h := f.as("admin")
	h.Set("X-Forwarded-Host", `evil.example"><script>alert(1)</script>`)
	h.Set("Forwarded", `for=1.2.3.4;host="evil.example"`)
	h.Set("X-Original-URL", "/logs/proxy")
	h.Set("X-Rewrite-URL", "/logs/proxy")
	if a := f.ask(http.MethodGet, "/", "", h); a.status != http.StatusOK || strings.Contains(a.body, "evil.example") || strings.Contains(a.body, "last lines") {
		t.Errorf("what a client says in a proxy's headers counts: %d", a.status)
	}
}

// smuggling (A05): a request that two servers could read in two ways is refused, or read in one, and does nothing to who comes next.
func (f *fortress) smuggling(t *testing.T) {
	host := "Host: " + f.Addr() + "\r\n"
	inner := "GET /smuggled HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
	for name, request := range map[string]string{
		"length and chunks":    "POST /login HTTP/1.1\r\n" + host + "Content-Length: " + strconv.Itoa(len(inner)+5) + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"two lengths":          "POST /login HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: " + strconv.Itoa(len(inner)) + "\r\n\r\n" + inner,
		"two codings":          "POST /login HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"an odd coding":        "POST /login HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + inner,
		"a space":              "POST /login HTTP/1.1\r\n" + host + "Content-Length : 5\r\n\r\nhello" + inner,
		"a folded line":        "POST /login HTTP/1.1\r\n" + host + "X: a\r\n Content-Length: 5\r\n\r\n" + inner,
		"a sign":               "POST /login HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\nhello" + inner,
		"a chunk's long size":  "POST /login HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n100000000000000000\r\n\r\n" + inner,
		"a null in a header":   "GET /nowhere HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n",
		"a newline in a name":  "GET /nowhere HTTP/1.1\r\n" + host + "X\nY: a\r\n\r\n",
		"version from nowhere": "GET /nowhere HTTP/9.9\r\n" + host + "\r\n",
	} {
		all := f.raw(t, true, request)
		for i, a := range all {
			if a.status < 400 {
				t.Errorf("%s: answer %d is %d", name, i, a.status)
			}
		}
		if a := f.get("viewer", "/certificate"); a.status != http.StatusOK {
			t.Errorf("%s: who comes next gets %d", name, a.status)
		}
	}
}

// bodies (A05): what is too large is refused before it is read, and before anybody asks for a password.
func (f *fortress) bodies(t *testing.T) {
	large := strings.Repeat("a", 1<<20)
	many := strings.Repeat("a=1&", 1<<14)
	for _, path := range []string{"/login", "/claim"} {
		for _, body := range []string{"user=" + large, many, "user=%zz", "user=" + strings.Repeat("%41", 1<<16)} {
			h := f.as("anonymous")
			h.Set("Content-Type", "application/x-www-form-urlencoded")
			if a := f.ask(http.MethodPost, path, body, h); a.status == http.StatusOK || a.status >= 500 {
				t.Errorf("%s with %d bytes: %d", path, len(body), a.status)
			}
		}
	}
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: " + f.Addr() + "\r\nX: " + strings.Repeat("a", 80<<10) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + f.Addr() + "\r\n" + strings.Repeat("X: a\r\n", 20000) + "\r\n",
	} {
		for _, a := range f.raw(t, true, request) {
			if a.status != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("headers of %d bytes: %d", len(request), a.status)
			}
		}
	}
	for _, c := range []struct{ path, body string }{
		{"/api/player-feedback", strings.Repeat("[", 1<<20)}, {"/api/auth/quickconnect", `{"hostname":"` + large + `"}`}, {"/api/auth/verify", strings.Repeat(`{"a":`, 1<<16)},
	} {
		if a := f.ask(http.MethodPost, c.path, c.body, http.Header{"Content-Type": {"application/json"}}); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d %.200s", c.path, a.status, a.body)
		}
	}
	// Half a request holds nobody up.
	c, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	if a := f.get("viewer", "/certificate"); a.status != http.StatusOK {
		t.Errorf("beside half a handshake: %d", a.status)
	}
}

// injection (A03): whatever people type is text: in pages, in the database, in headers and in logs.
func (f *fortress) injection(t *testing.T) {
	const script = `<script>alert("injected")</script><img src=x onerror=alert(1)>`
	sql := `x'); DROP TABLE accounts; --`
	for _, v := range []string{script, sql, "{{.}}", "a\r\nSet-Cookie: x=y", "\x1b[31mred", "javascript:alert(1)", "\u202eevil"} {
		if a := f.form("editor", "/playlists", url.Values{"name": {v}}); a.status >= 500 {
			t.Errorf("a playlist named %q: %d", v, a.status)
		}
		if a := f.form("admin", "/settings/cameras/new", url.Values{"name": {v}, "url": {"rtsp://127.0.0.1:9/" + strconv.Itoa(len(v))}, "untried": {"1"}}); a.status >= 500 {
			t.Errorf("a camera named %q: %d", v, a.status)
		}
		if a := f.form("admin", "/groups", url.Values{"name": {v}}); a.status >= 500 {
			t.Errorf("a group named %q: %d", v, a.status)
		}
		if a := f.form("admin", "/settings/people", url.Values{"name": {v}, "role": {"viewer"}, "password": {password}}); a.status >= 500 {
			t.Errorf("somebody named %q: %d", v, a.status)
		}
		h := f.as("anonymous")
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("User-Agent", strings.NewReplacer("\r", "", "\n", "", "\x1b", "").Replace(v))
		if a := f.ask(http.MethodPost, "/login", url.Values{"user": {v}, "password": {v}, "next": {v}}.Encode(), h); a.status == http.StatusSeeOther || a.status >= 500 {
			t.Errorf("log in as %q: %d", v, a.status)
		}
	}
	// Nobody is let in by what means something to a database.
	for _, user := range []string{`admin'--`, `' OR '1'='1`, `admin" OR ""="`, "admin\x00"} {
		h := f.as("anonymous")
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		if a := f.ask(http.MethodPost, "/login", url.Values{"user": {user}, "password": {`' OR '1'='1`}}.Encode(), h); a.status == http.StatusSeeOther {
			t.Errorf("logged in as %q", user)
		}
	}
	for _, p := range consolePages(t) {
		if p.method != http.MethodGet || p.path == "/" {
			continue
		}
		a := f.get("admin", p.at())
		if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, bad := range []string{`<script>alert`, `<img src=x`, `href="javascript:`} {
			if strings.Contains(a.body, bad) {
				t.Errorf("%s has %q as it was typed", p.at(), bad)
			}
		}
	}
	for _, page := range []string{"/live", "/livestream/viewer?camera=%3Cscript%3Ealert(1)%3C/script%3E", "/livestream/viewer?camera=door&stream=%22%3E%3Cscript%3Ealert(1)"} {
		if a := f.get("viewer", page); strings.Contains(a.body, "<script>alert") || strings.Contains(a.body, "<img src=x") {
			t.Errorf("%s has a script", page)
		}
	}
	if a := f.get("admin", "/settings/people"); a.status != http.StatusOK || !strings.Contains(a.body, ">viewer") {
		t.Errorf("the accounts are gone: %d", a.status)
	}
}

// logs (A09): what was logged meanwhile holds no secret, and no line that somebody made up.
func (f *fortress) logs() {
	f.t.Helper()
	var files strings.Builder
	for _, name := range []string{"system", "proxy", "signaling", "console", "player"} {
		b, err := os.ReadFile(f.State + "/log/" + name + ".log")
		if err != nil {
			f.t.Fatal(err)
		}
		files.Write(b)
	}
	log := f.Output() + files.String()
	for _, s := range append(f.hidden, f.secrets...) {
		if strings.Contains(log, s) {
			f.t.Errorf("a secret is in the log (%.6s…)", s)
		}
	}
	for _, made := range []string{"\nSet-Cookie: x=y", "\x1b[31mred"} {
		if strings.Contains(log, made) {
			f.t.Errorf("the log has %q as it was sent", made)
		}
	}
	if !strings.Contains(log, "login refused") && !strings.Contains(log, "request from another site refused") {
		f.t.Error("attacks leave no trace in the log")
	}
}
