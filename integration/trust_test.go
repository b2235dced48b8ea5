package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"porthole/integration/acmetest"
	"porthole/integration/chromiumtest"
	"porthole/integration/stack"
)

// trustClients are clients that trust what the certificate call gave once, and nothing else.
type trustClients struct {
	stack   *stack.Stack
	file    string
	browser *chromiumtest.Browser
}

// trustedOf asks for the certificate as a player does at first: without TLS.
func trustedOf(t *testing.T, s *stack.Stack) (anchors string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+strconv.Itoa(s.HTTP)+"/api/certificate", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct{ Certificate string }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Certificate == "" {
		t.Fatalf("%s, %v", res.Status, err)
	}
	return got.Certificate
}

// newTrustClients starts a Chromium whose own store has the anchors, as somebody would have imported them.
func newTrustClients(t *testing.T, s *stack.Stack, anchors string) *trustClients {
	t.Helper()
	home := t.TempDir()
	c := &trustClients{stack: s, file: filepath.Join(home, "anchors.pem")}
	if err := os.WriteFile(c.file, []byte(anchors), 0o644); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(db, 0o700); err != nil {
		t.Fatal(err)
	}
	certutil := func(stdin string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "certutil", append([]string{"-d", "sql:" + db}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("certutil %v (Debian: libnss3-tools): %v\n%s", args, err, out)
		}
	}
	certutil("", "-N", "--empty-password")
	n := 0
	for block, rest := pem.Decode([]byte(anchors)); block != nil; block, rest = pem.Decode(rest) {
		n++
		certutil(string(pem.EncodeToMemory(block)), "-A", "-n", fmt.Sprintf("anchor %d", n), "-t", "C,,", "-a")
	}
	c.browser = chromiumtest.Start(t, chromiumtest.Options{
		StepsWithin: 90 * time.Second, EvalWithin: 90 * time.Second,
		Flags: []chromedp.ExecAllocatorOption{
			chromedp.Env("HOME=" + home), chromedp.Flag("ignore-certificate-errors", false),
			chromedp.Flag("host-resolver-rules", "MAP * 127.0.0.1, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE "+ownAddress),
		},
	})
	return c
}

// ownAddress comes to the device later.
const ownAddress = "10.20.30.40"

// trusts has requests, Kivy's kind, curl and Chromium open the hosts.
func (c *trustClients) trusts(t *testing.T, what string, hosts ...string) {
	t.Helper()
	port := strconv.Itoa(c.stack.HTTPS)
	var urls []string
	for _, h := range hosts {
		urls = append(urls, "https://"+h+":"+port+"/api/health")
	}
	eventually(t, what+": Python", func() error {
		args := append([]string{"-B", "testdata/trust/ask.py", c.file, "127.0.0.1"}, urls...)
		out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return err
	})
	for i, u := range urls {
		out, err := exec.CommandContext(t.Context(), "curl", "-sS", "--noproxy", "*", "--cacert", c.file, "--connect-to", "cam."+acmetest.Zone+":"+port+":127.0.0.1:"+port,
			"--connect-to", "own.example.org:"+port+":127.0.0.1:"+port, u).CombinedOutput()
		if err != nil {
			t.Errorf("%s: curl %s: %v\n%s", what, hosts[i], err, out)
		}
		c.browser.Do(t, chromedp.Navigate(u))
		if text := chromiumtest.Eval[string](t, c.browser, "document.body.innerText"); !strings.Contains(text, `"porthole"`) {
			t.Errorf("%s: Chromium at %s shows %.300q", what, u, text)
		}
	}
}

// leafAt is the SHA-256 of what the device shows who asks for localhost.
func leafAt(ctx context.Context, s *stack.Stack) (sum [32]byte, err error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 20 * time.Second}, Config: &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+strconv.Itoa(s.HTTPS))
	if err != nil {
		return sum, err
	}
	defer conn.Close()
	tc, ok := conn.(*tls.Conn)
	if !ok {
		return sum, errors.New("no TLS")
	}
	return sha256.Sum256(tc.ConnectionState().PeerCertificates[0].Raw), nil
}

// renewed ends system, which looks after its certificates when it is started again, and waits for another one.
func renewed(t *testing.T, s *stack.Stack, change func()) {
	t.Helper()
	before, err := leafAt(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	change()
	pids, err := s.PIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pids["system"], syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another certificate is served", func() error {
		now, err := leafAt(t.Context(), s)
		if err == nil && now == before {
			err = errors.New("still the same")
		}
		return err
	})
}

// TestTrust: what /api/certificate gave once is enough for Python's requests, Kivy's players, curl and Chromium from then on: over
// a renewal, a change of the device's addresses, and the move to certificates of another authority. Their checks are real.
func TestTrust(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	here := network{t, 0}
	here.prepare()
	s := start(t, "", "-bind", "0.0.0.0")
	a := admin(t, s)
	bind := acmetest.StartBIND(t)
	p := acmetest.StartPebble(t, acmetest.PebbleOptions{HTTPPort: s.HTTP, TLSPort: s.HTTPS, DNS: bind.Address})
	cam := "cam." + acmetest.Zone
	// The move is prepared: the authority is known, and does not answer yet.
	form := url.Values{
		"names": {cam}, "proof": {"automatic"}, "ca": {"other"}, "directory": {"https://127.0.0.1:1/dir"}, "root_pem": {p.RootPEM + p.Issuer(t)}, "rsa": {"1"}, "agreed": {"1"},
	}
	if status, page, err := a.Post(t.Context(), "/settings/certificate", form); err != nil || status != http.StatusOK || !strings.Contains(page, "comes by itself") {
		t.Fatalf("prepare the move: %d, %v\n%s", status, err, page)
	}
	anchors := trustedOf(t, s)
	c := newTrustClients(t, s, anchors)
	c.trusts(t, "at first", "localhost", "127.0.0.1")

	renewed(t, s, func() {
		for _, name := range []string{"device", "device-rsa"} {
			if err := os.RemoveAll(filepath.Join(s.State, "perm", "tls", name)); err != nil {
				t.Fatal(err)
			}
		}
	})
	c.trusts(t, "after a renewal", "localhost", "127.0.0.1")

	renewed(t, s, func() { here.run("ip", "address", "add", ownAddress+"/24", "dev", "lo") })
	c.trusts(t, "after a change of addresses", "localhost", ownAddress)

	form.Set("directory", p.Directory)
	if status, page, err := a.Post(t.Context(), "/settings/certificate", form); err != nil || status != http.StatusOK || !strings.Contains(page, "comes by itself") {
		t.Fatalf("move: %d, %v\n%s", status, err, page)
	}
	eventually(t, "the public name is served by its own certificate", func() error {
		_, err := shown(s, p.Issuer(t), cam, &tls.Config{})
		return err
	})
	c.trusts(t, "after the move", cam, "localhost", ownAddress)

	// A certificate of the owner's: its root came with it, and is given out from then on.
	own := ownCertificate(t)
	if status, page, err := a.Send(t.Context(), "/settings/certificate/own", own.contentType, own.form); err != nil || status != http.StatusOK || !strings.Contains(page, "in service now") {
		t.Fatalf("upload: %d, %v\n%s", status, err, page)
	}
	// Who has the old file does not know that authority: the checks above are real.
	stranger := "https://own.example.org:" + strconv.Itoa(s.HTTPS) + "/api/health"
	eventually(t, "an unknown authority is refused by Python", func() error {
		out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-B", "testdata/trust/ask.py", c.file, "127.0.0.1", stranger).CombinedOutput()
		if err == nil || strings.Count(string(out), "CERTIFICATE_VERIFY_FAILED") != 2 {
			return fmt.Errorf("%w\n%s", errors.Join(err, errors.New("not refused")), out)
		}
		return nil
	})
	if got := chromiumtest.Eval[string](t, c.browser, "fetch('"+stranger+"', {mode: 'no-cors'}).then(() => 'taken', () => 'refused')"); got != "refused" {
		t.Errorf("Chromium: a certificate of an unknown authority is %s", got)
	}
	again := trustedOf(t, s)
	if !strings.HasPrefix(again, anchors) {
		t.Error("what was given before is not given any more")
	}
	newTrustClients(t, s, again).trusts(t, "with an own certificate", "own.example.org", cam, "localhost", ownAddress)
}

// ownForm is the form that uploads a certificate.
type ownForm struct {
	contentType string
	form        io.Reader
}

// ownCertificate makes a certificate as people do with openssl, below an authority of their own, and the form with it.
func ownCertificate(t *testing.T) ownForm {
	t.Helper()
	dir := t.TempDir()
	openssl := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	openssl("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=House CA", "-addext", "keyUsage=keyCertSign")
	openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=own.example.org",
		"-addext", "subjectAltName=DNS:own.example.org")
	openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "20", "-copy_extensions", "copy", "-out", "leaf.pem")
	openssl("pkcs12", "-export", "-inkey", "leaf.key", "-in", "leaf.pem", "-certfile", "ca.pem", "-out", "own.pfx", "-passout", "pass:of the file")
	pfx, err := os.ReadFile(filepath.Join(dir, "own.pfx"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	part, err := m.CreateFormFile("file", "own.pfx")
	if err == nil {
		_, err = part.Write(pfx)
	}
	if err = errors.Join(err, m.WriteField("password", "of the file"), m.Close()); err != nil {
		t.Fatal(err)
	}
	return ownForm{m.FormDataContentType(), &b}
}
