package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"porthole/packages/internal/update"
)

const (
	// connectWithin bounds the beginning of a connection, answerWithin the wait for an answer that needs no work, workWithin
	// one for which the device reads or writes its card.
	connectWithin = 20 * time.Second
	answerWithin  = 20 * time.Second
	workWithin    = 15 * time.Minute
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 4 << 20
)

// refusedError is why the device does not do something: its own sentence.
type refusedError struct {
	status     int
	text, code string
}

func (e *refusedError) Error() string { return e.text }

// device is a Porthole that is spoken to by its REST API (docs/updates.md).
type device struct {
	base  string // https://HOST[:PORT]
	http  *http.Client
	token string // empty with a session
}

// deviceStatus is the answer to GET /api/v1/update.
type deviceStatus struct {
	update.Status
	Fetch *struct {
		URL     string `json:"url"`
		Running bool   `json:"running"`
		Bytes   int64  `json:"bytes"`
		Size    int64  `json:"size"`
		Error   string `json:"error"`
	} `json:"fetch"`
	Sending     bool   `json:"sending"`
	SupportEnds string `json:"support_ends"`
}

// newDevice returns the device at host, or host:port, that t vouches for.
func newDevice(address string, t *trust) (*device, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a place for cookies: %w", err)
	}
	return &device{base: "https://" + address, http: &http.Client{
		Jar: jar,
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: connectWithin}).DialContext, TLSClientConfig: t.config(), TLSHandshakeTimeout: connectWithin,
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// logIn begins a session.
func (d *device) logIn(ctx context.Context, user, password string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	form := url.Values{"user": {user}, "password": {password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := d.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusSeeOther && res.Header.Get("Location") == "/claim":
		return errors.New("this device belongs to nobody yet: open its page and claim it first")
	case res.StatusCode == http.StatusSeeOther:
		return nil
	case res.StatusCode == http.StatusTooManyRequests:
		return errors.New("too many wrong passwords: wait a moment, then try again")
	case res.StatusCode == http.StatusForbidden:
		return errors.New("user name or password is wrong")
	}
	return fmt.Errorf("the device does not let you log in: it answered %s", res.Status)
}

// logOut ends the session, if there is one: a token needs none.
func (d *device) logOut(ctx context.Context) {
	if d.token != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/logout", nil)
	if err != nil {
		return
	}
	if res, err := d.http.Do(req); err == nil {
		res.Body.Close()
	}
}

// unreachable says that nobody answered.
func unreachable(err error) error {
	var t *trustError
	if errors.As(err, &t) {
		return t
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &unreachableError{err}
}

// unreachableError means that the device did not answer: it may be restarting.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string {
	return fmt.Sprintf("the device does not answer (%v): check its address and that it is switched on", e.err)
}

// call sends in as JSON, or nothing, and decodes the answer into out if that is not nil.
func (d *device) call(ctx context.Context, within time.Duration, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+"/api/v1/update"+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return d.do(req, out)
}

func (d *device) do(req *http.Request, out any) error {
	if d.token != "" {
		req.Header.Set("Authorization", "Bearer "+d.token)
	}
	res, err := d.http.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return unreachable(err)
	}
	if res.StatusCode >= 300 {
		return answered(res, b)
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the device's answer cannot be understood: is it a Porthole of this time? (%w)", err)
	}
	return nil
}

// answered makes an error of an answer that says no.
func answered(res *http.Response, body []byte) error {
	var says struct{ Error, Code string }
	if json.Unmarshal(body, &says) != nil || says.Error == "" {
		says.Error = "the device answered " + res.Status
	}
	if res.StatusCode >= 500 && says.Code == "" {
		// What stands between, or a process that is starting.
		return &unreachableError{errors.New(says.Error)}
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		says.Error = "the device does not know this token, or the session has ended: make a token for updates on your account's page, and put it into PORTHOLE_TOKEN"
	case http.StatusNotFound:
		says.Error = "the device knows of no such thing: it may run a version from before updates. Write a new image to its card"
	}
	return &refusedError{res.StatusCode, says.Error, says.Code}
}

func (d *device) status(ctx context.Context) (deviceStatus, error) {
	var s deviceStatus
	err := d.call(ctx, answerWithin, http.MethodGet, "", nil, &s)
	return s, err
}

// send sends a part as it is stored in the file.
func (d *device) send(ctx context.Context, name string, size int64, r io.Reader) (deviceStatus, error) {
	var s deviceStatus
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.base+"/api/v1/update/parts/"+url.PathEscape(name), io.NopCloser(r))
	if err != nil {
		return s, fmt.Errorf("make request: %w", err)
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	return s, d.do(req, &s)
}
