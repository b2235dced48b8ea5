package stack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// User is a person with a browser: cookies, and the device's authority among the trusted ones.
type User struct {
	stack *Stack
	http  *http.Client
}

// CAFile is where the device's own authority lies, as a PEM file.
func (s *Stack) CAFile() string { return filepath.Join(s.State, "ca.pem") }

// NewUser returns somebody who trusts the device's authority (fetched as a person would, from the page) and is not
// logged in.
func (s *Stack) NewUser(ctx context.Context) (*User, error) {
	// First contact: nothing to trust yet.
	first := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} //nolint:gosec // what is fetched here is the anchor
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL("/ca.pem"), nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the authority: %w", err)
	}
	res, err := first.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the authority: %w", err)
	}
	defer res.Body.Close()
	pem, err := io.ReadAll(io.LimitReader(res.Body, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pool := x509.NewCertPool()
	if res.StatusCode != http.StatusOK || !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("/ca.pem answers %s and no certificate: %.200s", res.Status, pem)
	}
	if err := os.WriteFile(s.CAFile(), pem, 0o644); err != nil {
		return nil, fmt.Errorf("keep the authority: %w", err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make a cookie jar: %w", err)
	}
	return &User{stack: s, http: &http.Client{
		Jar:       jar,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true},
	}}, nil
}

// Get opens a page and returns status and body; redirects are followed.
func (u *User) Get(ctx context.Context, path string) (int, string, error) {
	return u.do(ctx, http.MethodGet, path, nil)
}

// Post sends a form.
func (u *User) Post(ctx context.Context, path string, form url.Values) (int, string, error) {
	return u.do(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
}

// Send posts a body of any type, as a form with files is.
func (u *User) Send(ctx context.Context, path, contentType string, body io.Reader) (int, string, error) {
	return u.send(ctx, http.MethodPost, path, contentType, body)
}

func (u *User) do(ctx context.Context, method, path string, body io.Reader) (int, string, error) {
	return u.send(ctx, method, path, "application/x-www-form-urlencoded", body)
}

func (u *User) send(ctx context.Context, method, path, contentType string, body io.Reader) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.stack.URL(path), body)
	if err != nil {
		return 0, "", fmt.Errorf("make request for %s: %w", path, err)
	}
	req.Header.Set("Accept", "text/html,application/json;q=0.5")
	if body != nil {
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("Origin", u.stack.URL(""))
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := u.http.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("open %s: %w", path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		return res.StatusCode, "", fmt.Errorf("read %s: %w", path, err)
	}
	return res.StatusCode, string(b), nil
}

// Cookies returns the cookies the device has set.
func (u *User) Cookies() []*http.Cookie {
	at, err := url.Parse(u.stack.URL("/"))
	if err != nil {
		return nil
	}
	return u.http.Jar.Cookies(at)
}

// SetCookies gives the person cookies of somebody else.
func (u *User) SetCookies(list []*http.Cookie) {
	if at, err := url.Parse(u.stack.URL("/")); err == nil {
		u.http.Jar.SetCookies(at, list)
	}
}

// Close drops connections.
func (u *User) Close() { u.http.CloseIdleConnections() }

var streamURL = regexp.MustCompile(`rtsps://[^:@/\s"<]+:[^@/\s"<]+@[^\s"'<]+`)

// StreamURL reads a camera's RTSP address from the console's home page, as a person would copy it.
func (u *User) StreamURL(ctx context.Context, camera string) (*url.URL, error) {
	_, page, err := u.Get(ctx, "/")
	if err != nil {
		return nil, err
	}
	for _, found := range streamURL.FindAllString(html.UnescapeString(page), -1) {
		if at, err := url.Parse(found); err == nil && at.Path == "/"+camera {
			return at, nil
		}
	}
	return nil, errors.New("the home page shows no RTSP address of camera " + camera)
}
