package main

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
)

//go:embed templates/*.html
var templateFiles embed.FS

// page is what every page shows around its own part, Body.
type page struct {
	Title    string
	Hostname string
	Version  string
	// User is who is logged in; empty on pages for everybody.
	User identity.Identity
	// Admin says that the user may see the pages of administrators, Editor those of editors; an administrator may both.
	Admin, Editor bool
	// Nav are the links to the parts of the site, SubNav those to the settings.
	Nav, SubNav []navItem
	// Running are the interruptions of the screens, which editors see on every page.
	Running []runningInterrupt
	// Flash says what the last form did.
	Flash string
	Body  any
}

// parsePages returns the pages by name; each stands in the same frame. The name "home" is home.html. What begins with
// part- is for every page.
func parsePages() (map[string]*template.Template, error) {
	frame, err := template.New("frame").ParseFS(templateFiles, "templates/layout.html", "templates/part-*.html")
	if err != nil {
		return nil, fmt.Errorf("parse page frame: %w", err)
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || strings.HasPrefix(name, "part-") {
			continue
		}
		t, err := frame.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("parse page %s: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// render writes a whole page.
func (c *console) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	if p.Hostname == "" {
		// Without the database there is still a page.
		p.Hostname = defaultHostname
		if h, err := setting(r.Context(), c.store.r, "hostname"); err == nil && h != "" {
			p.Hostname = h
		}
	}
	p.Version, p.Admin, p.Editor = daemon.Version(), isAdmin(p.User), isEditor(p.User)
	p.Nav, p.SubNav = navigation(p.User, r.URL.Path)
	if p.Editor {
		// A page that cannot say what runs is still a page.
		p.Running, _ = c.running(r.Context(), time.Now())
	}
	if p.User.User != "" && r.Method == http.MethodGet {
		p.Flash = c.sessions.PopString(r.Context(), sessionFlash)
	}
	c.execute(w, r, status, name, "layout", p)
}

// fragmentHeader is what a page's script sends to get its changed part instead of the whole page.
const fragmentHeader = "Porthole-Fragment"

func isFragment(r *http.Request) bool {
	return r.Header.Get(fragmentHeader) != "" || strings.HasPrefix(r.URL.Path, "/fragments/")
}

// renderPart writes one part of a page, without its frame, for a page that refreshes itself.
func (c *console) renderPart(w http.ResponseWriter, r *http.Request, name, part string, body any) {
	c.execute(w, r, http.StatusOK, name, part, body)
}

func (c *console) execute(w http.ResponseWriter, r *http.Request, status int, name, part string, data any) {
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, part, data); err != nil {
		c.log.Error("page has a bug", "page", name, "path", r.URL.Path, "err", err)
		http.Error(w, "This page has a bug; it was written to console's log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// sorry says what went wrong: a page to people, JSON to programs.
func (c *console) sorry(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, status, map[string]string{"error": text})
		return
	}
	c.render(w, r, status, "sorry", page{Title: title, Body: text})
}

// busy answers one try too many: 429 with the time to wait (RFC 6585 section 4).
func busy(w http.ResponseWriter, wait time.Duration) (text string) {
	seconds := int(wait.Seconds()) + 1
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return "Too many wrong tries. Wait " + durationText(time.Duration(seconds)*time.Second) + ", then try again."
}

// back goes to a page after a form, with a word on what was done.
func (c *console) back(w http.ResponseWriter, r *http.Request, to, flash string) {
	c.sessions.Put(r.Context(), sessionFlash, flash)
	http.Redirect(w, r, to, http.StatusSeeOther)
}
