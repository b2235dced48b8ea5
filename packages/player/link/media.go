package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"porthole/packages/player/cache"
)

// maxRedirects bounds how often a medium may be somewhere else.
const maxRedirects = 4

// medium is what is wanted: what lies at url, from offset in bytes on, if it still has the tag.
type medium struct {
	url    string
	offset int64
	tag    string
}

// Get opens a medium of a program for the cache (cache.Source).
func (l *Link) Get(ctx context.Context, address string, offset int64, tag string) (*cache.Part, error) {
	l.mu.Lock()
	at := l.at
	l.mu.Unlock()
	if at == nil {
		return nil, errNotConnected
	}
	if tag == "" {
		offset = 0 // nothing says that it is still the same
	}
	ctx, cancel := context.WithCancelCause(ctx)
	// The beginning may take as long as every part after it.
	watch := time.AfterFunc(l.stall, func() { cancel(errStalled) })
	res, err := at.get(ctx, medium{address, offset, tag})
	if err == nil {
		var p *cache.Part
		if p, err = newPart(res, offset); err == nil {
			watch.Stop()
			p.Body = &watched{body: res.Body, watch: watch, stall: l.stall, why: func() error { return context.Cause(ctx) }, cancel: cancel}
			return p, nil
		}
		res.Body.Close()
	}
	watch.Stop()
	if context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	return nil, unwrapURL(err)
}

// errStalled is why a medium ends of which nothing comes.
var errStalled = errors.New("the server sends nothing more")

// watched is a body that ends with an error when nothing comes.
type watched struct {
	body   io.ReadCloser
	watch  *time.Timer
	stall  time.Duration
	why    func() error // why the request was given up, nil if it was not
	cancel context.CancelCauseFunc
}

func (w *watched) Read(p []byte) (int, error) {
	// Who reads slowly is not the server's fault: only the time in Read counts.
	w.watch.Reset(w.stall)
	n, err := w.body.Read(p)
	w.watch.Stop()
	if err != nil && w.why() != nil {
		// A server that hears in the middle that nobody listens any more may end its answer well.
		err = w.why()
	}
	return n, err
}

func (w *watched) Close() error {
	w.watch.Stop()
	w.cancel(nil)
	return w.body.Close()
}

// newPart reads what an answer says of itself.
func newPart(res *http.Response, offset int64) (*cache.Part, error) {
	h := res.Header
	p := &cache.Part{Size: res.ContentLength, Tag: h.Get("ETag")}
	if p.Tag == "" || strings.HasPrefix(p.Tag, "W/") {
		// A weak tag cannot vouch for bytes (RFC 9110 section 13.1.5).
		p.Tag = h.Get("Last-Modified")
	}
	switch res.StatusCode {
	case http.StatusOK:
		return p, nil
	case http.StatusPartialContent:
		from, size, err := contentRange(h.Get("Content-Range"))
		if err != nil || from != offset {
			return nil, fmt.Errorf("%w: it answers with another part of the medium than the one that was asked for (%.60q)", cache.ErrServer, h.Get("Content-Range"))
		}
		p.From, p.Size = from, size
		return p, nil
	}
	return nil, fmt.Errorf("%w: it answers with %d %s", cache.ErrServer, res.StatusCode, http.StatusText(res.StatusCode))
}

// contentRange reads "bytes FROM-TO/SIZE" (RFC 9110 section 14.4); size is -1 for "*".
func contentRange(v string) (from, size int64, err error) {
	bad := fmt.Errorf("%.60q is no range of bytes", v)
	unit, rest, _ := strings.Cut(v, " ")
	span, total, ok := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(span, "-")
	if !ok || !ok2 || !strings.EqualFold(unit, "bytes") {
		return 0, 0, bad
	}
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	size = -1
	var err3 error
	if total != "*" {
		size, err3 = strconv.ParseInt(total, 10, 64)
	}
	if errors.Join(err1, err2, err3) != nil || from < 0 || to < from || (size >= 0 && to >= size) || size < -1 {
		return 0, 0, bad
	}
	return from, size, nil
}

// fetch asks for the medium at an address. Redirects are the caller's; cache.ErrGone.
func (m medium) fetch(ctx context.Context, c *http.Client, address, agent, bearer string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for a medium: %w", unwrapURL(err))
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept-Encoding", "identity")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if m.offset > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(m.offset, 10)+"-")
		req.Header.Set("If-Range", m.tag)
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for a medium: %w", unwrapURL(err))
	}
	switch {
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && m.offset > 0:
		// It is another one by now, and shorter.
		res.Body.Close()
		return medium{url: m.url}.fetch(ctx, c, address, agent, bearer)
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		res.Body.Close()
		return nil, cache.ErrGone
	case res.StatusCode == http.StatusOK && strings.HasPrefix(strings.ToLower(res.Header.Get("Content-Type")), "text/html"):
		// A page that says that there is no such file, or where to log in.
		res.Body.Close()
		return nil, fmt.Errorf("%w: a web page comes in its place", cache.ErrGone)
	case res.StatusCode/100 == 2 || res.StatusCode/100 == 3:
		return res, nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return nil, fmt.Errorf("ask for a medium: %w", err)
	}
	return nil, fmt.Errorf("%w: %w", cache.ErrServer, newStatusError(res, body, time.Now()))
}

// get opens a medium at its address: at the server itself if it may be there, as servers write names into addresses that only
// they know; else where it says, by public CAs.
func (r *remote) get(ctx context.Context, m medium) (*http.Response, error) {
	s := r.session.Load()
	if s == nil {
		return nil, errNotConnected
	}
	u, err := s.base.Parse(m.url)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil {
		return nil, fmt.Errorf("%w: its address is none of a web server", cache.ErrServer)
	}
	here := *u
	here.Scheme, here.Host = s.base.Scheme, s.base.Host
	res, err := r.chase(ctx, m, s, &here)
	if hostPort(u) == hostPort(s.base) || !errors.Is(err, cache.ErrGone) {
		return res, err
	}
	return r.chase(ctx, m, s, u)
}

// chase follows redirects: with TLS never to an address without.
func (r *remote) chase(ctx context.Context, m medium, s *session, u *url.URL) (*http.Response, error) {
	for range maxRedirects {
		client, bearer := r.others, ""
		switch {
		case u.Scheme == s.base.Scheme && hostPort(u) == hostPort(s.base):
			client = s.call.http
			if s.what == DigiServer {
				bearer = s.bearer // some want it for files, too
			}
		case u.Scheme != "https" && s.base.Scheme == "https":
			return nil, fmt.Errorf("%w: it lies at %s, which is without TLS, and the server is not", cache.ErrServer, u.Host)
		}
		res, err := m.fetch(ctx, client, u.String(), r.l.cfg.Agent, bearer)
		if err != nil || res.StatusCode/100 != 3 {
			return res, err
		}
		res.Body.Close()
		next, err := u.Parse(res.Header.Get("Location"))
		if err != nil || (next.Scheme != "https" && next.Scheme != "http") || next.User != nil {
			return nil, fmt.Errorf("%w: it is sent on to an address that is none of a web server", cache.ErrServer)
		}
		u = next
	}
	return nil, fmt.Errorf("%w: it is sent on from address to address", cache.ErrServer)
}
