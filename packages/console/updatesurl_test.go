package main_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"porthole/packages/internal/update"
)

// shelf is a web server that has an update file.
type shelf struct {
	content []byte
	// ranges says that it knows ranges; breaks, how often a connection breaks after a quarter of the file.
	ranges bool
	breaks atomic.Int32
	sent   atomic.Int64
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	counted := &countedWriter{ResponseWriter: w, sent: &s.sent}
	if s.breaks.Add(-1) >= 0 {
		counted.left = int64(len(s.content) / 4)
		counted.breaks = true
	}
	if s.ranges {
		w.Header().Set("ETag", `"one"`)
		http.ServeContent(counted, r, "x.update", updateBuilt, bytes.NewReader(s.content))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.content)))
	counted.Write(s.content)
}

// countedWriter counts, and breaks the connection after left bytes.
type countedWriter struct {
	http.ResponseWriter
	sent   *atomic.Int64
	left   int64
	breaks bool
}

func (c *countedWriter) Write(p []byte) (int, error) {
	if c.breaks && int64(len(p)) > c.left {
		n, _ := c.ResponseWriter.Write(p[:c.left])
		c.sent.Add(int64(n))
		http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= int64(len(p))
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// fetched waits for the end of a fetch.
func (u *updating) fetched() updateState {
	u.t.Helper()
	var s updateState
	eventually(u.t, "it has been fetched, or not", func() bool {
		_, s = u.api(http.MethodGet, "", nil)
		return s.Fetch != nil && !s.Fetch.Running
	})
	return s
}

func serveUpdate(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/porthole.update"
}

// TestUpdateFromAddress has updates fetched from servers of many kinds.
func TestUpdateFromAddress(t *testing.T) {
	u := newUpdating(t)
	n := 0
	for name, c := range map[string]struct {
		ranges bool
		breaks int32
		says   string // empty: it comes in
	}{
		"with ranges":                  {ranges: true},
		"without ranges":               {},
		"with ranges, and it breaks":   {ranges: true, breaks: 3},
		"without ranges, it breaks":    {breaks: 1, says: "broke off"},
		"with ranges, it breaks often": {ranges: true, breaks: 100},
	} {
		t.Run(name, func(t *testing.T) {
			n++
			f := u.next("v1.5." + strconv.Itoa(n)) // what is in the slot already is not fetched again
			s := &shelf{content: f.Bundle, ranges: c.ranges}
			s.breaks.Store(c.breaks)
			u.must(http.StatusAccepted, http.MethodPost, "/url", map[string]any{"url": serveUpdate(t, s)})
			state := u.fetched()
			if c.says == "" && state.Fetch.Error != "" || !strings.Contains(state.Fetch.Error, c.says) {
				t.Errorf("it says %q", state.Fetch.Error)
			}
			if c.says == "" {
				u.until(update.Ready)
				if c.ranges && c.breaks == 0 && s.sent.Load() > int64(len(f.Bundle)) {
					t.Errorf("%d bytes for a file of %d", s.sent.Load(), len(f.Bundle))
				}
			}
			u.must(http.StatusNoContent, http.MethodDelete, "", nil)
		})
	}
}

// TestUpdateFetchesWhatItNeeds: a large part that the device has is not fetched, where the server knows ranges.
func TestUpdateFetchesWhatItNeeds(t *testing.T) {
	u := newUpdating(t)
	u.must(http.StatusOK, http.MethodPost, "?install=1", u.key.make(t, release{Version: "v1.4.1", Kernel: "6.12", Programs: "large", RootSize: 24 << 20}).Bundle)
	u.until(update.Kept)
	f := u.key.make(t, release{Version: "v1.4.2", Kernel: "6.99", Programs: "large", RootSize: 24 << 20}) // the same programs, another kernel
	s := &shelf{content: f.Bundle, ranges: true}
	u.must(http.StatusAccepted, http.MethodPost, "/url", map[string]any{"url": serveUpdate(t, s), "install": true})
	eventually(t, "it runs", func() bool { s := u.card.status(); return s.Version == "v1.4.2" && s.Phase == update.Kept })
	if got, most := s.sent.Load(), int64(len(f.Stored["boot"]))+4<<20; got > most {
		t.Errorf("%d bytes were sent, of which %d are needed", got, len(f.Stored["boot"]))
	}
}

// TestUpdateFromStrangeServers: whatever a server does, it ends with a sentence, and nothing restarts.
func TestUpdateFromStrangeServers(t *testing.T) {
	u := newUpdating(t)
	f := u.next("v1.5.0").Bundle
	hold := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(hold) }) }
	t.Cleanup(release)
	partial := func(header string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", header)
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body)
		}
	}
	size := strconv.Itoa(len(f))
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		says string
	}{
		"no such file":   {http.NotFound, "no file at that address"},
		"it is broken":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "answered 503"},
		"asks who":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "wants to know who asks"},
		"nothing":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "answered 204"},
		"a page":         {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>INTERNAL-HTTP!")) }, "cut short|not an update|damaged"},
		"too short":      {func(w http.ResponseWriter, _ *http.Request) { w.Write(f[:len(f)/2]) }, "cut short"},
		"other range":    {partial("bytes 100-200/"+size, f), "another part"},
		"no range":       {partial("", f), "cannot be understood"},
		"nonsense range": {partial("bytes 0-99999999999999999999/1", f), "cannot be understood"},
		"range of a lie": {partial("bytes 0-10/5", f), "another part"},
		"says more": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(f)*3))
			w.Write(f[:len(f)/2])
		}, "broke off"},
		"round and round": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }, "more than 5 times"},
		"to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, "not an address that can be fetched"},
		"to the link": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		}, "No update can be fetched from 169.254.169.254"},
	} {
		t.Run(name, func(t *testing.T) {
			u.must(http.StatusAccepted, http.MethodPost, "/url", map[string]any{"url": serveUpdate(t, c.h), "install": true})
			s := u.fetched()
			ok := false
			for _, want := range strings.Split(c.says, "|") {
				ok = ok || strings.Contains(s.Fetch.Error, want)
			}
			if !ok {
				t.Errorf("it says %q", s.Fetch.Error)
			}
			for _, page := range []string{u.admin.get("/settings/updates").body, u.log.String()} {
				if strings.Contains(page, "INTERNAL-HTTP!") {
					t.Error("what another server says is shown")
				}
			}
			if s.Phase != update.Idle {
				u.must(http.StatusNoContent, http.MethodDelete, "", nil)
			}
		})
	}
	t.Run("a redirect that leads there", func(t *testing.T) {
		to := serveUpdate(t, &shelf{content: f, ranges: true})
		u.must(http.StatusAccepted, http.MethodPost, "/url", map[string]any{"url": serveUpdate(t, http.RedirectHandler(to, http.StatusFound))})
		if s := u.fetched(); s.Fetch.Error != "" {
			t.Errorf("it says %q", s.Fetch.Error)
		}
		u.until(update.Ready)
		u.must(http.StatusNoContent, http.MethodDelete, "", nil)
	})
	t.Run("called off while it hangs", func(t *testing.T) {
		slow := u.next("v1.9.0").Bundle
		at := serveUpdate(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Write(slow[:len(slow)/2])
			http.NewResponseController(w).Flush()
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}))
		u.must(http.StatusAccepted, http.MethodPost, "/url", map[string]any{"url": at})
		u.until(update.Receiving)
		if a, _ := u.api(http.MethodPost, "", slow); a.status != http.StatusConflict {
			t.Errorf("another one meanwhile: %d %s", a.status, a.body)
		}
		u.must(http.StatusNoContent, http.MethodDelete, "", nil)
		eventually(t, "it is over", func() bool {
			_, s := u.api(http.MethodGet, "", nil)
			return s.Phase == update.Idle && s.Fetch == nil && !s.Sending
		})
		release()
	})
	if u.card.boots() != 1 {
		t.Error("it restarted")
	}
}

// TestUpdateAddresses: what is no address of an update is refused before anybody is asked.
func TestUpdateAddresses(t *testing.T) {
	u := newUpdating(t)
	for _, at := range []string{
		"", " ", "porthole.update", "//example.org/x", "file:///etc/passwd", "ftp://example.org/x", "gopher://example.org/_x", "http://", "https:///x", "http:example.org",
		"unix:///run/porthole/system.sock", "http://a b/", "http://user:secret@example.org/x.update", "http://[fe80::1]/x", "http://169.254.169.254/", "http://0.0.0.0/", "http://224.0.0.1/",
		"http://example.org:0/x", "http://example.org:99999/x", "http://" + strings.Repeat("a", 3000),
	} {
		if a, _ := u.api(http.MethodPost, "/url", map[string]any{"url": at}); a.status != http.StatusUnprocessableEntity {
			t.Errorf("%.60q: %d %s", at, a.status, a.body)
		}
		a := u.admin.post("/settings/updates/url", "url", at)
		checkPage(t, at, a)
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="url-error"`) || strings.Contains(u.log.String(), "secret") {
			t.Errorf("%.60q on the page: %d", at, a.status)
		}
	}
	for _, body := range []string{"", "{", `"x"`, `{"url":5}`, `{"url":"http://a/"}{}`} {
		if a := u.admin.raw(http.MethodPost, "/api/v1/update/url", "application/json", strings.NewReader(body)); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
	if s := u.card.status(); s.Phase != update.Idle {
		t.Errorf("%+v", s)
	}
}
