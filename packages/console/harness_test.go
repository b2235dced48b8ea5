package main_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/media/decode"
	console "porthole/packages/console"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

const password = "correct horse battery"

// device is a console with its folders, as hostrun or the image would run it.
type device struct {
	t       *testing.T
	options console.Options
	log     *testkit.Log
	stop    func()
}

// newDevice returns a device that was never started.
func newDevice(t *testing.T) *device {
	t.Helper()
	// Not t.TempDir: a socket's path may have 107 bytes, and a test's name may be long.
	dir, err := os.MkdirTemp("", "console")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	log := &testkit.Log{}
	d := &device{t: t, log: log, options: console.Options{
		Env: daemon.Env{
			Log: slog.New(slog.NewTextHandler(log, nil)), SingleUser: true,
			RunDir: filepath.Join(dir, "run"), PermDir: filepath.Join(dir, "perm"),
		},
	}}
	t.Cleanup(func() {
		if d.stop != nil {
			d.stop()
		}
		if t.Failed() {
			t.Logf("console logged:\n%s", log)
		}
		for _, secret := range []string{password, "hunter2"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%q is in the log", secret)
			}
		}
	})
	return d
}

// start runs console until stop, and waits until it answers.
func (d *device) start() *device {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- console.Run(ctx, d.options) }()
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Errorf("console ended with: %v", err)
		}
	})
	eventually(d.t, "console answers", func() bool {
		for _, s := range []string{"console", "console-internal"} {
			c, err := unixsock.Dial(ctx, d.options.Env.Socket(s))
			if err != nil {
				return false
			}
			c.Close()
		}
		return true
	})
	return d
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not after 30 s: %s", what)
		}
		<-tick.C
	}
}

// internal is another process that talks to console.
func (d *device) internal() *unixsock.Client {
	c := unixsock.NewClient(d.options.Env.Socket("console-internal"))
	d.t.Cleanup(c.Close)
	return c
}

func (d *device) claimCode() string {
	d.t.Helper()
	var claim struct{ Code string }
	if _, err := d.internal().Call(d.t.Context(), http.MethodGet, "/claim", nil, &claim); err != nil {
		d.t.Fatal(err)
	}
	return claim.Code
}

// browser is a person's browser, seen through proxy.
type browser struct {
	t      *testing.T
	client *http.Client
	host   string
	remote string
	header http.Header
}

// answer is a page, or what came instead.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (d *device) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	// proxy ends TLS: to the browser it is https, on the socket it is not.
	tr := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return unixsock.Dial(ctx, d.options.Env.Socket("console"))
	}}
	d.t.Cleanup(tr.CloseIdleConnections)
	return &browser{
		t: d.t, host: "porthole.lan:8443", remote: "192.168.1.7", header: http.Header{},
		client: &http.Client{
			Transport: tr, Jar: jar,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (b *browser) do(method, target string, form url.Values) answer {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	ctype := ""
	if form != nil {
		ctype = "application/x-www-form-urlencoded"
	}
	return b.raw(method, target, ctype, body)
}

// raw makes a request with a body of a type; both may be empty.
func (b *browser) raw(method, target, ctype string, body io.Reader) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+b.host+target, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	req.Header.Set("X-Forwarded-For", b.remote)
	req.Header.Set("X-Forwarded-Proto", "https")
	req.Header.Set("X-Forwarded-Host", b.host)
	for k, v := range b.header {
		req.Header[k] = v
	}
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header.Get("Location"), res.Header, string(text)}
}

func (b *browser) get(target string) answer { b.t.Helper(); return b.do(http.MethodGet, target, nil) }

// post sends a form; pairs are names and values.
func (b *browser) post(target string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do(http.MethodPost, target, form)
}

// cookie returns the browser's cookie of that name for this device.
func (b *browser) cookie(name string) *http.Cookie {
	b.t.Helper()
	for _, c := range b.client.Jar.Cookies(&url.URL{Scheme: "https", Host: b.host}) {
		if c.Name == name {
			return c
		}
	}
	b.t.Fatalf("the browser has no cookie %s", name)
	return nil
}

// session is the browser's session, as it stands in a Cookie header.
func (b *browser) session() string { b.t.Helper(); return b.cookie("__Host-porthole").String() }

// claimed returns a browser whose owner has just claimed the device.
func (d *device) claimed() *browser {
	d.t.Helper()
	b := d.browser()
	if a := b.post("/claim", "code", d.claimCode(), "password", password, "confirm", password); a.status != http.StatusSeeOther {
		d.t.Fatalf("claim: %d\n%s", a.status, a.body)
	}
	return b
}

func (d *device) addCamera(b *browser, pairs ...string) {
	d.t.Helper()
	if a := b.post("/settings/cameras/new", pairs...); a.status != http.StatusSeeOther {
		d.t.Fatalf("add a camera: %d\n%s", a.status, a.body)
	}
}

// peer serves h where another process would.
func (d *device) peer(name string, h http.Handler) {
	d.t.Helper()
	l, err := unixsock.Listen(d.options.Env.Socket(name), unixsock.Allow(true, "console"))
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := unixsock.Serve(ctx, l, h); err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

func jsonHandler(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
}

func demoCamera() settings.Camera {
	return settings.Camera{ID: "demo", Name: "Demo camera", URL: "rtsp://127.0.0.1:8554/demo", Transport: settings.Auto}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
