package updates_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"porthole/packages/console/updates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// device is how a device looks at addresses.
func device() updates.FetchOptions { return updates.FetchOptions{Ports: []uint16{80, 443, 8443}} }

// TestCheckURL: what may be fetched on a device, and what may not.
func TestCheckURL(t *testing.T) {
	for at, want := range map[string]string{
		"https://example.org/x.update":         "",
		" http://example.org:8443/x?y=z#here ": "",
		"http://192.168.1.9/x.update":          "",
		"http://[fd00::9]/x.update":            "",
		"https://example.org:9000/x":           "ports 80, 443, 8443 only, not from 9000",
		"http://example.org:22/":               "ports 80, 443, 8443 only",
		"http://127.0.0.1/x":                   "this device itself",
		"http://[::1]/x":                       "this device itself",
		"http://[::ffff:127.0.0.1]/x":          "this device itself",
		"http://169.254.169.254/latest":        "No update can be fetched from",
		"http://[fe80::1%25eth0]/x":            "No update can be fetched from",
		"http://0.0.0.0/":                      "No update can be fetched from",
		"http://u:p@example.org/":              "Leave user name and password out",
		"ftp://example.org/x":                  "https:// or http://",
	} {
		u, err := device().CheckURL(at)
		if want == "" && (err != nil || u.Fragment != "") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, %v", at, u, err)
		}
	}
}

// TestNamesOfThisDevice: a name that leads to the device itself leads nowhere, also behind a redirect.
func TestNamesOfThisDevice(t *testing.T) {
	asked := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = updates.ReadAddress(t.Context(), updates.FetchOptions{}, "http://localhost:"+u.Port()+"/x.update")
	var p *updates.Problem
	if !errors.As(err, &p) || !strings.Contains(p.Text, "this device itself") || asked {
		t.Errorf("it says %v, was asked: %t", err, asked)
	}
}

// FuzzCheckURL: whatever is taken is http or https, to a port that may be asked, and says no name.
func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"https://example.org/x.update", "http://[::1]:80/", "http://a:99999", "//x", "http://a@b", "https://ex ample/", "http://\x00/", "HTTP://EXAMPLE.ORG", "http://127.1/", "http://0x7f.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		u, err := device().CheckURL(typed)
		if err != nil {
			var p *updates.Problem
			if !errors.As(err, &p) || p.Text == "" {
				t.Fatalf("%q: %v", typed, err)
			}
			return
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || !slices.Contains([]string{"", "80", "443", "8443"}, u.Port()) {
			t.Fatalf("%q is taken: %+v", typed, u)
		}
	})
}

// FuzzAnswers: a server that answers whatever it likes is read to an end, and never into what it was not asked for.
func FuzzAnswers(f *testing.F) {
	f.Add(206, "bytes 0-9/20", "etag", []byte("0123456789"), int64(3))
	f.Add(200, "", "", []byte("whole"), int64(0))
	f.Add(206, "bytes 5-9/20", "W/x", []byte("x"), int64(1))
	f.Add(206, "bytes 0-9223372036854775807/9223372036854775807", "", []byte("x"), int64(1))
	f.Add(416, "bytes */3", "", []byte(""), int64(9))
	f.Fuzz(func(t *testing.T, status int, contentRange, etag string, body []byte, skip int64) {
		if status < 200 || status > 599 {
			return
		}
		n := 0
		get := updates.AnswerFunc(func(*http.Request) (*http.Response, error) {
			if n++; n > 200 {
				t.Fatal("it asks for ever")
			}
			h := http.Header{}
			h.Set("Content-Range", contentRange)
			h.Set("ETag", etag)
			return &http.Response{StatusCode: status, Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(string(body)))}, nil
		})
		got, err := updates.ReadAnswers(context.Background(), get, skip)
		if err == nil && len(got) > n*len(body) {
			t.Fatalf("%d bytes of %d answers of %d", len(got), n, len(body))
		}
	})
}
