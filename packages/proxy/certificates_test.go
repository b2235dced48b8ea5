package main_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
)

// everybody is whom this machine trusts, as far as these tests are concerned.
var everybody *testkit.Authority

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "proxy")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if everybody, err = testkit.TrustedAuthority(dir); err != nil {
		return 1, err
	}
	if code = m.Run(); code == 0 {
		err = goleak.Find()
	}
	return code, err
}

const hsts = "Strict-Transport-Security"

// named is a browser that finds every host at proxy's TLS port.
func named(t *testing.T, r *rig, protocol string) *http.Client {
	t.Helper()
	c := browser(t, protocol)
	tr, ok := c.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("%T", c.Transport)
	}
	tr.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(10)
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, r.https)
	}
	return c
}

// issue puts a certificate for a name where system does.
func (r *rig) issue(t *testing.T, by *testkit.Authority, folder, name string) {
	t.Helper()
	by.Issue(t, testkit.Leaf{CommonName: folder, Names: []string{name}}).Publish(t, r.env.TLSDir(""), folder)
}

// TestStrictTransport: browsers are told to insist on TLS by every answer that comes with a certificate which everybody trusts
// for the name that they asked for, and by no other: whoever trusts the device only because he was told to could not
// come back.
func TestStrictTransport(t *testing.T) {
	r := newRig(t)
	private := testkit.NewAuthority(t, "of a company")
	r.publish(t, "device")
	r.issue(t, everybody, "acme", "cam.example.org")
	r.issue(t, private, "own", "own.example.org")
	r.serve(t, "console", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set(hsts, "max-age=1")
		io.WriteString(w, q.Host)
	}))
	r.serve(t, "console-internal", internal(settings.Proxy{Revision: 1, PlainHTTP: true}))
	r.start(t)
	for _, protocol := range []string{"h2", "http/1.1"} {
		c := named(t, r, protocol)
		for _, q := range []struct {
			url    string
			status int
			want   string
		}{
			{"https://cam.example.org/", 200, "max-age=15768000"},
			{"https://cam.example.org/metrics", 401, "max-age=15768000"},
			{"https://cam.example.org/live", 502, "max-age=15768000"},
			{"https://localhost/", 200, ""},
			{"https://localhost/metrics", 401, ""},
			{"https://own.example.org/", 200, ""},
			{"https://else.example.org/", 200, ""},
			{"https://192.0.2.7/", 200, ""},
			{"http://" + r.http + "/api/health", 200, ""},
			{"http://" + r.http + "/", 302, ""},
		} {
			if protocol == "h2" && strings.HasPrefix(q.url, "http:") {
				continue
			}
			client := c
			if strings.HasPrefix(q.url, "http:") {
				client = browser(t, protocol)
			}
			// Again on a resumed session, which shows no certificate.
			for _, resumed := range []bool{false, true} {
				client.CloseIdleConnections()
				res, _ := fetch(t, client, request(t, "GET", q.url, nil))
				if got := strings.Join(res.Header.Values(hsts), "|"); res.StatusCode != q.status || got != q.want {
					t.Errorf("%s over %s: %d, %q instead of %q", q.url, protocol, res.StatusCode, got, q.want)
				}
				if resumed && res.TLS != nil && !res.TLS.DidResume {
					t.Errorf("%s over %s: not resumed", q.url, protocol)
				}
			}
		}
	}
	// An Echo's way to ask, without a name, ALPN and TLS 1.3, gets the public certificate, and is not told.
	c := browser(t, "http/1.1")
	c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = tls.VersionTLS12
	res, _ := fetch(t, c, request(t, "GET", "https://"+r.https+"/", nil))
	if got := res.TLS.PeerCertificates[0].Subject.CommonName; got != "acme" || res.Header.Get(hsts) != "" {
		t.Errorf("as an Echo: %s, %q", got, res.Header.Get(hsts))
	}
	// When it goes, so does the promise.
	if err := os.RemoveAll(r.env.TLSDir("acme")); err != nil {
		t.Fatal(err)
	}
	h2 := named(t, r, "h2")
	until(t, "no promise any more", func() bool {
		h2.CloseIdleConnections()
		res, _ := fetch(t, h2, request(t, "GET", "https://cam.example.org/", nil))
		return res.StatusCode == http.StatusOK && res.Header.Get(hsts) == ""
	})
}

// TestChallenges: an authority's questions reach console, by either way, and with nobody's name; everything else goes where it
// went.
func TestChallenges(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprintf(w, "%s %s %s for %s of %q %q", q.Header.Get("X-Forwarded-Proto"), q.Method, q.URL.Path, q.Host, q.Header.Get("Cookie"), q.Header.Get("Authorization"))
	}))
	pair := everybody.Issue(t, testkit.Leaf{CommonName: "the answer", Names: []string{"cam.example.org"}})
	cert, err := tls.X509KeyPair(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := unixsock.Listen(r.env.Socket("acme"), unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"acme-tls/1"}})
			if s.Handshake() == nil {
				s.Close()
			}
			c.Close()
		}
	}()
	r.start(t)
	c := browser(t, "http/1.1")
	req := request(t, "GET", "http://"+r.http+"/.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", nil)
	req.Host = "cam.example.org"
	req.Header.Set("Cookie", "session=anna")
	req.Header.Set("Authorization", "Bearer x")
	if res, body := fetch(t, c, req); res.StatusCode != http.StatusOK ||
		body != `http GET /.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0 for cam.example.org of "" ""` {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	conn, err := tls.Dial("tcp", r.https, &tls.Config{ServerName: "cam.example.org", RootCAs: everybody.Pool(), NextProtos: []string{"acme-tls/1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if s := conn.ConnectionState(); s.NegotiatedProtocol != "acme-tls/1" || s.PeerCertificates[0].Subject.CommonName != "the answer" {
		t.Errorf("%+v", s)
	}
	if s := r.status(t).HTTPS; s.Served["acme"] != 1 {
		t.Errorf("served %v", s.Served)
	}
}

// TestCertificateMetrics: when the certificates in service end.
func TestCertificateMetrics(t *testing.T) {
	r := newRig(t)
	r.serve(t, "console-internal", newOffice(settings.Proxy{Revision: 1}))
	end := time.Now().AddDate(0, 0, 30).Truncate(time.Second)
	everybody.Issue(t, testkit.Leaf{NotAfter: end, Names: []string{"cam.example.org", "example.org"}, IPs: []net.IP{net.IPv4(192, 0, 2, 7)}, RSA: true}).Publish(t, r.env.TLSDir(""), "acme-rsa")
	r.publish(t, "device")
	r.start(t)
	c := browser(t, "http/1.1")
	req := request(t, "GET", "https://"+r.https+"/metrics", nil)
	req.Header.Set("Authorization", "Bearer scraper")
	want := fmt.Sprintf(`porthole_certificate_not_after_seconds{algorithm="RSA 2048",certificate="acme-rsa",names="cam.example.org,example.org,192.0.2.7"} %g`, float64(end.Unix()))
	if _, body := fetch(t, c, req); !strings.Contains(body, want+"\n") || !strings.Contains(body, `porthole_certificate_not_after_seconds{algorithm="ECDSA P-256",certificate="device",`) {
		t.Errorf("no %s in\n%s", want, body)
	}
	// One that goes is gone.
	if err := os.RemoveAll(r.env.TLSDir("acme-rsa")); err != nil {
		t.Fatal(err)
	}
	until(t, "only the device's", func() bool {
		_, body := fetch(t, c, req)
		return !strings.Contains(body, "acme-rsa") && strings.Contains(body, `certificate="device"`)
	})
}

// TestScan: what the port offers, as strangers find out.
func TestScan(t *testing.T) {
	r := newRig(t)
	a := testkit.NewAuthority(t, "of the device")
	for _, rsa := range []string{"", "-rsa"} {
		a.Issue(t, testkit.Leaf{Names: []string{"localhost"}, RSA: rsa != ""}).Publish(t, r.env.TLSDir(""), "device"+rsa)
	}
	r.start(t)
	testkit.ScanTLS(t, r.https, a.File(t))
}
