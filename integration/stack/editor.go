package stack

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Editor is somebody who looks after screens, in a browser: the console's forms, and uploads by tus 1.0.
type Editor struct {
	// HTTP keeps cookies, Base is the console's address: https://HOST:PORT.
	HTTP *http.Client
	Base string
}

// Editor is the person as one who looks after screens.
func (u *User) Editor() *Editor { return &Editor{HTTP: u.http, Base: u.stack.URL("")} }

// statusError is an answer that says no.
type statusError struct {
	what, body string
	code       int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: %d %s", e.what, e.code, e.body) }

// StatusOf is the answer's status in err, 0 if err is none of an answer.
func StatusOf(err error) int {
	if said := (*statusError)(nil); errors.As(err, &said) {
		return said.code
	}
	return 0
}

// do sends a request as the console's own pages would; redirects of forms are followed. It returns where that led.
func (e *Editor) do(ctx context.Context, method, path string, header http.Header, body io.Reader) (at *url.URL, h http.Header, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, e.Base+path, body)
	if err != nil {
		return nil, nil, "", fmt.Errorf("make request for %s: %w", path, err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := e.HTTP.Do(req)
	if err != nil {
		return nil, nil, "", fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, nil, "", fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	if res.StatusCode > 299 {
		return nil, nil, "", &statusError{method + " " + path, string(b[:min(len(b), 2000)]), res.StatusCode}
	}
	if strings.HasPrefix(res.Request.URL.Path, "/login") {
		return nil, nil, "", &statusError{method + " " + path, "leads to the login", http.StatusUnauthorized}
	}
	return res.Request.URL, res.Header, string(b), nil
}

// Post sends a form and returns where it led.
func (e *Editor) Post(ctx context.Context, path string, form url.Values) (at *url.URL, page string, err error) {
	at, _, page, err = e.do(ctx, http.MethodPost, path, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader(form.Encode()))
	return at, page, err
}

// Get opens a page.
func (e *Editor) Get(ctx context.Context, path string) (page string, err error) {
	_, _, page, err = e.do(ctx, http.MethodGet, path, nil, nil)
	return page, err
}

// numberAfter reads the number behind a path, as in /playlists/7.
func numberAfter(at *url.URL, prefix string) (int64, error) {
	text, ok := strings.CutPrefix(at.Path, prefix)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return 0, fmt.Errorf("the form led to %s and not to %sNUMBER", at.Path, prefix)
	}
	return n, nil
}

// NewPlaylist makes a playlist.
func (e *Editor) NewPlaylist(ctx context.Context, name string) (id int64, err error) {
	at, _, err := e.Post(ctx, "/playlists", url.Values{"name": {name}})
	if err != nil {
		return 0, err
	}
	return numberAfter(at, "/playlists/")
}

// AddText puts a text at the end of a playlist's draft.
func (e *Editor) AddText(ctx context.Context, playlist int64, text string) error {
	_, _, err := e.Post(ctx, fmt.Sprintf("/playlists/%d/items", playlist), url.Values{"kind": {"text"}, "text": {text}, "seconds": {"5"}})
	return err
}

// AddMedium puts a medium at the end of a playlist's draft.
func (e *Editor) AddMedium(ctx context.Context, playlist, medium int64) error {
	_, _, err := e.Post(ctx, fmt.Sprintf("/playlists/%d/items", playlist), url.Values{"kind": {"media"}, "media": {strconv.FormatInt(medium, 10)}})
	return err
}

// revision is the field by which a form knows what the person has seen.
var revision = regexp.MustCompile(`name="rev" value="([^"]*)"`)

// Publish shows the draft on the screens.
func (e *Editor) Publish(ctx context.Context, playlist int64) error {
	path := fmt.Sprintf("/playlists/%d", playlist)
	page, err := e.Get(ctx, path)
	if err != nil {
		return err
	}
	_, form, ok := strings.Cut(page, `action="`+path+`/publish"`)
	found := revision.FindStringSubmatch(form)
	if !ok || found == nil {
		return fmt.Errorf("the page of playlist %d cannot publish", playlist)
	}
	_, _, err = e.Post(ctx, path+"/publish", url.Values{"rev": {html.UnescapeString(found[1])}})
	return err
}

// NewScreen adds a screen and returns its number.
func (e *Editor) NewScreen(ctx context.Context, name, hostname, code string, playlist int64) (id int64, err error) {
	_, page, err := e.Post(ctx, "/screens/new", screenForm(name, hostname, playlist, "code", code))
	if err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`/screens/(\d+)/`).FindStringSubmatch(page)
	if found == nil {
		return 0, fmt.Errorf("after a screen was added the page names none: %.500s", page)
	}
	return strconv.ParseInt(found[1], 10, 64)
}

// LetInWithoutTLS allows a screen of NewScreen to come without TLS.
func (e *Editor) LetInWithoutTLS(ctx context.Context, id int64, name, hostname string, playlist int64) error {
	_, _, err := e.Post(ctx, fmt.Sprintf("/screens/%d", id), screenForm(name, hostname, playlist, "plain_http", "1"))
	return err
}

func screenForm(name, hostname string, playlist int64, more ...string) url.Values {
	form := url.Values{
		"name": {name}, "hostname": {hostname}, "orientation": {"landscape"}, "group": {"0"}, "playlist": {strconv.FormatInt(playlist, 10)},
		"may_edit": {"1"}, "enabled": {"1"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

var tus = http.Header{"Tus-Resumable": {"1.0.0"}}

// Create begins an upload of size bytes and returns its path.
func (e *Editor) Create(ctx context.Context, name string, size int) (path string, err error) {
	h := tus.Clone()
	h.Set("Upload-Length", strconv.Itoa(size))
	h.Set("Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte(name)))
	_, got, _, err := e.do(ctx, http.MethodPost, "/uploads/", h, nil)
	if err != nil {
		return "", err
	}
	return got.Get("Location"), nil
}

// Send sends a part of an upload and returns how much of it is kept.
func (e *Editor) Send(ctx context.Context, path string, offset int, part []byte) (kept int, err error) {
	h := tus.Clone()
	h.Set("Upload-Offset", strconv.Itoa(offset))
	h.Set("Content-Type", "application/offset+octet-stream")
	_, got, _, err := e.do(ctx, http.MethodPatch, path, h, bytes.NewReader(part))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(got.Get("Upload-Offset"))
}

// Offset asks how much of an upload is kept.
func (e *Editor) Offset(ctx context.Context, path string) (kept int, err error) {
	_, got, _, err := e.do(ctx, http.MethodHead, path, tus.Clone(), nil)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(got.Get("Upload-Offset"))
}

// Finished waits until a complete upload has been looked into and returns the medium that it became.
func (e *Editor) Finished(ctx context.Context, path string) (medium int64, err error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, _, body, err := e.do(ctx, http.MethodGet, "/media/status?upload="+url.QueryEscape(strings.TrimPrefix(path, "/uploads/")), nil, nil)
		if err != nil {
			return 0, err
		}
		var s struct {
			State, Reason string
			Media         *struct{ ID int64 }
		}
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return 0, fmt.Errorf("read the state of an upload: %w: %.200s", err, body)
		}
		switch {
		case s.Media != nil:
			return s.Media.ID, nil
		case s.Reason != "":
			return 0, fmt.Errorf("the upload was refused: %s", s.Reason)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for an upload that is %s: %w", s.State, ctx.Err())
		}
	}
}

// Upload uploads a file in parts and returns the medium that it becomes.
func (e *Editor) Upload(ctx context.Context, name string, content []byte, part int) (medium int64, err error) {
	path, err := e.Create(ctx, name, len(content))
	if err != nil {
		return 0, err
	}
	for at := 0; at < len(content); {
		if at, err = e.Send(ctx, path, at, content[at:min(len(content), at+part)]); err != nil {
			return 0, err
		}
	}
	return e.Finished(ctx, path)
}

// File fetches a medium's content.
func (e *Editor) File(ctx context.Context, medium int64) ([]byte, error) {
	_, _, text, err := e.do(ctx, http.MethodGet, fmt.Sprintf("/media/%d/file", medium), nil, nil)
	return []byte(text), err
}
