package link

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// maxProgram bounds a program or a playlist, maxAnswer everything else that a server says, in bytes.
	maxProgram = 16 << 20
	maxAnswer  = 1 << 20
	// maxSaid bounds what is shown of a server's own words, in characters.
	maxSaid = 200
)

// question is a call to a server.
type question struct {
	method, path string
	// body is sent as JSON, or as it is if it is a []byte, of the type contentType.
	body        any
	contentType string
	bearer      string
	etag        string
	// waits is how long the server may wait with its answer, beside the settings' timeout.
	waits time.Duration
	most  int64 // bytes of the answer; 0 means maxAnswer
}

// answer is a success, or 304.
type answer struct {
	status int
	header http.Header
	body   []byte
	// took is the time from the question to the beginning of the answer.
	took time.Duration
	// chain is what the server showed; nil without TLS.
	chain []*x509.Certificate
}

// caller asks one server.
type caller struct {
	http    *http.Client
	base    string // scheme and host
	agent   string
	timeout time.Duration
	now     func() time.Time
}

// newTransport returns a transport for one server. It follows no proxy of the environment, and goes without HTTP/2: one
// connection that hangs must not hold up all.
func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: timeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
}

// newHTTP returns a client that does not follow redirects: each is looked at.
func newHTTP(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask puts a question. Outside 2xx and 304 the error is a *statusError.
func (c *caller) ask(ctx context.Context, q question) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+q.waits)
	defer cancel()
	req, err := c.request(ctx, q)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", q.method, pathOnly(q.path), unwrapURL(err))
	}
	defer res.Body.Close()
	a := &answer{status: res.StatusCode, header: res.Header, took: time.Since(start)}
	if res.TLS != nil {
		a.chain = res.TLS.PeerCertificates
	}
	most := q.most
	if most == 0 {
		most = maxAnswer
	}
	a.body, err = io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: read answer: %w", q.method, pathOnly(q.path), err)
	case int64(len(a.body)) > most:
		return nil, &formatError{"its answer is too long"}
	case res.StatusCode/100 != 2 && res.StatusCode != http.StatusNotModified:
		return nil, newStatusError(res, a.body, c.now())
	}
	return a, nil
}

func (c *caller) request(ctx context.Context, q question) (*http.Request, error) {
	var body io.Reader
	kind := q.contentType
	switch b := q.body.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(b)
	default:
		j, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("encode question: %w", err)
		}
		body, kind = bytes.NewReader(j), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, q.method, c.base+q.path, body)
	if err != nil {
		return nil, fmt.Errorf("make question: %w", unwrapURL(err))
	}
	req.Header.Set("User-Agent", c.agent)
	req.Header.Set("Accept", "application/json")
	for k, v := range map[string]string{"Content-Type": kind, "If-None-Match": q.etag} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	if q.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+q.bearer)
	}
	return req, nil
}

// into decodes an answer.
func (a *answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return &formatError{"it answers with something else than the JSON that belongs there"}
	}
	return nil
}

// pathOnly is a path without the query, which may hold a code.
func pathOnly(p string) string {
	p, _, _ = strings.Cut(p, "?")
	return p
}

func newStatusError(res *http.Response, body []byte, now time.Time) *statusError {
	e := &statusError{status: res.StatusCode, retryAfter: retryAfter(res.Header.Get("Retry-After"), now), elsewhere: res.Header.Get("Location")}
	var said struct {
		Error       any    `json:"error"`
		Description string `json:"error_description"`
		Message     any    `json:"message"`
		HTTPSURL    string `json:"https_url"`
	}
	if json.Unmarshal(body, &said) == nil {
		for _, v := range []any{said.Error, said.Message} {
			if s, ok := v.(string); ok && e.text == "" {
				e.text = oneLine(s)
			}
		}
		if said.HTTPSURL != "" {
			e.elsewhere = said.HTTPSURL
		}
	}
	return e
}

// oneLine is a server's text made fit to be shown.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if utf8.RuneCountInString(s) > maxSaid {
		s = string([]rune(s)[:maxSaid-1]) + "…"
	}
	return s
}

// retryAfter reads the header (RFC 9110 section 10.2.3): seconds or a date; 0 for none, at most maxRetryAfter.
func retryAfter(v string, now time.Time) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// isStatus reports whether err is an answer with one of these statuses.
func isStatus(err error, statuses ...int) bool {
	var e *statusError
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range statuses {
		if e.status == s {
			return true
		}
	}
	return false
}

// says reports whether err is an answer with just this word.
func says(err error, word string) bool {
	var e *statusError
	return errors.As(err, &e) && e.text == word
}
