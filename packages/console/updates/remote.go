package updates

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/retry"
)

// maxBreaks in a row, without a byte between them, end a fetch; pauseAfterBreak is between them.
const (
	maxBreaks       = 5
	pauseAfterBreak = 2 * time.Second
)

// How much is asked for at a time, in bytes: what is needed of a file is known part by part, and what a server has sent cannot
// be called back.
const (
	firstWindow = 64 << 10
	window      = 2 << 20
)

// remote reads a file at an address, as far as it is read. What is skipped with Seek is not fetched, and a connection that
// breaks is made anew where it broke, if the server knows ranges (RFC 9110 section 14).
type remote struct {
	get      func(offset int64, validator string) (*http.Response, error)
	pause    func()
	progress func(bytes, size int64)
	host     string
	stall    time.Duration

	body   io.ReadCloser
	timer  *time.Timer
	cancel context.CancelFunc
	begun  bool
	// at is the next byte to read, open where body is, until where it ends, size that of the file; -1 if the server does not
	// say.
	at, open, until, size int64
	ranges                bool
	validator             string
	got                   int64
	breaks                int
}

// open returns a reader of the file at the address; it asks with the first Read.
func (o FetchOptions) open(ctx context.Context, client *http.Client, address string, progress func(bytes, size int64)) *remote {
	host := address
	if u, err := url.Parse(address); err == nil {
		host = u.Hostname()
	}
	r := &remote{host: host, stall: cmp.Or(o.Stall, usualStall), size: -1, progress: progress, pause: func() { retry.Pause(ctx, pauseAfterBreak) }}
	r.get = func(offset int64, validator string) (*http.Response, error) {
		ctx, cancel := context.WithCancel(ctx)
		r.cancel = cancel
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
		req.Header.Set("User-Agent", o.Agent)
		most := int64(window)
		if offset == 0 {
			most = firstWindow
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+most-1))
		if validator != "" {
			req.Header.Set("If-Range", validator)
		}
		return client.Do(req)
	}
	return r
}

// Close ends the connection.
func (r *remote) Close() {
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.cancel != nil {
		r.cancel()
	}
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Seek skips forward from where the next byte would be read, if the server can do that too.
func (r *remote) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 || !r.ranges {
		return 0, errors.ErrUnsupported
	}
	r.at += offset
	return r.at, nil
}

// smallSkip is read rather than asked anew, in bytes.
const smallSkip = 64 << 10

func (r *remote) Read(p []byte) (int, error) {
	for {
		if r.size >= 0 && r.at >= r.size {
			return 0, io.EOF
		}
		if err := r.reach(); err != nil {
			if !r.again(err) {
				return 0, err
			}
			continue
		}
		// Only a server that has been asked can be slow: whoever reads may take his time.
		r.timer.Reset(r.stall)
		n, err := r.body.Read(r.within(p))
		r.timer.Stop()
		r.at += int64(n)
		r.open += int64(n)
		r.got += int64(n)
		if n > 0 {
			r.breaks = 0
			r.progress(r.got, r.size)
			return n, nil
		}
		if errors.Is(err, io.EOF) && r.size < 0 {
			return 0, io.EOF
		}
		if err == nil {
			continue
		}
		r.Close()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err := r.broken(err); !r.again(err) {
			return 0, err
		}
	}
}

// within is as much of p as belongs to what was asked for: a server may send more than it says.
func (r *remote) within(p []byte) []byte {
	if r.ranges && r.until-r.open < int64(len(p)) {
		return p[:r.until-r.open]
	}
	return p
}

// reach has body open at r.at.
func (r *remote) reach() error {
	if r.body != nil && r.at > r.open && r.at-r.open <= smallSkip && (!r.ranges || r.at <= r.until) {
		n, err := io.CopyN(io.Discard, r.body, r.at-r.open)
		r.open += n
		r.got += n
		if err != nil {
			r.Close()
			return r.broken(err)
		}
	}
	if r.body != nil && r.at == r.open && (!r.ranges || r.open < r.until) {
		return nil
	}
	r.Close()
	res, err := r.get(r.at, r.validator)
	if err != nil {
		return r.broken(err)
	}
	if err := r.accept(res); err != nil {
		res.Body.Close()
		r.cancel()
		return err
	}
	r.body, r.open = res.Body, r.at
	r.timer = time.AfterFunc(r.stall, r.cancel)
	return nil
}

// contentRange is that of RFC 9110 section 14.4.
var contentRange = regexp.MustCompile(`^bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)$`)

// accept looks at a server's first words.
func (r *remote) accept(res *http.Response) error {
	first := !r.begun
	switch {
	case res.StatusCode == http.StatusOK && first:
		r.begun, r.size = true, res.ContentLength
		return nil
	case res.StatusCode == http.StatusOK:
		return bad("The connection to %s broke off, and the server does not go on where it did, or has another file now. Fetch it again.", r.host)
	case res.StatusCode == http.StatusPartialContent:
		return r.acceptRange(res, first)
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return &brokenError{bad("%s answered %d: it has a problem of its own. Try again later.", r.host, res.StatusCode)}
	case res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusGone:
		return bad("%s has no file at that address. Check it.", r.host)
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		return bad("%s wants to know who asks for the file. Fetch it with your browser and choose it here instead.", r.host)
	}
	return bad("%s answered %d, which is not the file. Check the address.", r.host, res.StatusCode)
}

func (r *remote) acceptRange(res *http.Response, first bool) error {
	m := contentRange.FindStringSubmatch(res.Header.Get("Content-Range"))
	if m == nil {
		return bad("%s answers in a way that cannot be understood: it does not say which part of the file it sends.", r.host)
	}
	from, _ := strconv.ParseInt(m[1], 10, 64)
	to, _ := strconv.ParseInt(m[2], 10, 64)
	total := int64(-1)
	if m[3] != "*" {
		total, _ = strconv.ParseInt(m[3], 10, 64)
	}
	if from != r.at || to < from || total >= 0 && to >= total {
		return bad("%s sends another part of the file than it was asked for.", r.host)
	}
	if first {
		if total < 0 {
			return bad("%s does not say how large the file is. Fetch it with your browser and choose it here instead.", r.host)
		}
		r.begun, r.size, r.ranges, r.until = true, total, true, to+1
		r.validator = res.Header.Get("ETag")
		if strings.HasPrefix(r.validator, "W/") || r.validator == "" {
			r.validator = res.Header.Get("Last-Modified")
		}
		return nil
	}
	r.until = to + 1
	if total != r.size {
		return bad("The file on %s changed while it was fetched. Fetch it again.", r.host)
	}
	return nil
}

// brokenError is a Problem that may be over at the next try.
type brokenError struct{ *Problem }

func (e *brokenError) Unwrap() error { return e.Problem }

// broken says why a connection did not come about, or ended.
func (r *remote) broken(err error) error {
	var p *Problem
	if errors.As(err, &p) {
		return err
	}
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return &brokenError{bad("The name %s has no address. Check it, and this device’s connection to the internet.", r.host)}
	case errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid):
		return bad("The certificate of %s is not one that this device trusts. Check the address; in your own network http:// does as well, as updates are signed.", r.host)
	case errors.As(err, &record):
		return bad("%s does not speak TLS at that port. Try http:// in front of the address.", r.host)
	case r.begun:
		return &brokenError{bad("The connection to %s broke off, or nothing came for %d s. Try again.", r.host, int(r.stall.Seconds()))}
	}
	return &brokenError{bad("%s does not answer. Check the address, and whether this device can reach it.", r.host)}
}

// again reports whether another try is worth it, after a pause.
func (r *remote) again(err error) bool {
	var b *brokenError
	if !errors.As(err, &b) || !r.begun || !r.ranges || r.breaks >= maxBreaks {
		return false
	}
	r.breaks++
	r.pause()
	return true
}
