package vm_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"porthole/integration/vm"
)

// visitor is somebody with cookies, who clicks the certificate warning away.
func visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // the first contact with a device
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// askOnce bounds one request to the console: a guest that is not up yet may swallow it.
const askOnce = time.Minute

// open returns a page.
func open(ctx context.Context, c *http.Client, method, at string, form url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askOnce)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", res.Status, b)
	}
	return string(b), nil
}

// console is the guest's console with the admin of porthole.toml logged in.
type console struct {
	c  *http.Client
	at string
}

func logIn(t *testing.T, m *vm.Machine) console {
	t.Helper()
	u := console{visitor(t), "https://" + m.Addr(443)}
	eventually(t, "log in to the console", func(ctx context.Context) error {
		page, err := open(ctx, u.c, http.MethodPost, u.at+"/login", url.Values{"user": {"admin"}, "password": {password}})
		if err == nil && !strings.Contains(page, "/logout") {
			err = fmt.Errorf("the console did not let the admin of porthole.toml in:\n%s", page)
		}
		return err
	})
	return u
}

// again returns a client of its own that is logged in to another machine by the same session.
func (u console) again(t *testing.T, m *vm.Machine) *http.Client {
	t.Helper()
	from, err := url.Parse(u.at)
	if err != nil {
		t.Fatal(err)
	}
	to := &url.URL{Scheme: from.Scheme, Host: m.Addr(443), Path: "/"}
	c := visitor(t)
	c.Jar.SetCookies(to, u.c.Jar.Cookies(from))
	return c
}

// showsProcesses waits until the home page has everything that runs.
func (u console) showsProcesses(t *testing.T) {
	t.Helper()
	eventually(t, "see all processes in the console", func(ctx context.Context) error {
		page, err := open(ctx, u.c, http.MethodGet, u.at+"/", nil)
		for _, name := range processNames(t) {
			if err == nil && !strings.Contains(page, "process/"+name+"/state") {
				err = fmt.Errorf("the home page does not show %s:\n%s", name, page)
			}
		}
		return err
	})
}

// putOnScreen chooses what the screen shows.
func (u console) putOnScreen(t *testing.T, choice string) {
	t.Helper()
	eventually(t, "choose what the screen shows", func(ctx context.Context) error {
		_, err := open(ctx, u.c, http.MethodPost, u.at+"/screen", url.Values{"show": {choice}})
		return err
	})
}
