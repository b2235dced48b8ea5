package integration_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// requestsToOthers (A10, server-side request forgery): addresses that people type lead to cameras and servers of signage, by
// their protocols, and to nothing else.
func (f *fortress) requestsToOthers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	came := make(chan []byte, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				b := make([]byte, 4096)
				n, _ := c.Read(b)
				came <- bytes.Clone(b[:n])
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nINTERNAL-HTTP!")
			}()
		}
	}()
	to := l.Addr().String()
	for _, at := range []string{
		"http://" + to + "/", "https://" + to + "/", "file:///etc/passwd", "file:///var/lib/porthole.db", "gopher://" + to + "/_x", "ftp://" + to + "/", "unix:///run/porthole/system",
		"http+unix://%2Frun%2Fporthole%2Fsystem/certificate", "concat:" + to, "tcp://" + to, "udp://" + to, "rtsp+unix:///x", "pipe:0", "data:text/plain,x", "-i " + to, "rtsp:///etc/passwd",
		"rtsp://" + to + "/a\r\nGET / HTTP/1.1", "//" + to, to, "rtsp://", "rtsp://a b/", "subfile,,start,0,end,0,,:/etc/passwd",
	} {
		for what, a := range map[string]reply{
			"a camera":        f.form("admin", "/settings/cameras/new", url.Values{"name": {"ssrf"}, "url": {at}}),
			"another stream":  f.form("admin", "/settings/cameras/door", url.Values{"name": {"door"}, "url": {"rtsp://127.0.0.1:9/s"}, "url2": {at}}),
			"an item":         f.form("editor", "/playlists/1/items", url.Values{"kind": {"stream"}, "url": {at}, "seconds": {"10"}}),
			"a STUN server":   f.form("admin", "/settings/live", url.Values{"stun": {at}}),
			"a server's name": f.form("admin", "/screen/server", url.Values{"server": {at}, "trust": {"public"}}),
		} {
			if strings.Contains(a.body, "INTERNAL-HTTP!") {
				t.Errorf("%s %q shows what another server says", what, at)
			}
			if a.status == http.StatusSeeOther && what != "a server's name" && what != "a STUN server" {
				t.Errorf("%s %q is taken: to %s", what, at, a.header.Get("Location"))
			}
		}
	}
	f.acmeServerLeads(t, "http://"+to+"/")
	// The player's server is one that was named, and it is asked in TLS.
	for len(came) > 0 {
		if b := <-came; !bytes.HasPrefix(b, []byte{0x16, 3}) {
			t.Errorf("somebody was asked: %.200q", b)
		}
	}
}

// acmeServerLeads: an ACME server says in its answers where to go on, and may say anything.
func (f *fortress) acmeServerLeads(t *testing.T, to string) {
	t.Helper()
	asked := make(chan struct{}, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		if r.URL.Path != "/directory" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"newNonce":%q,"newAccount":%q,"newOrder":%q,"revokeCert":%q,"keyChange":%q}`, to, to, to, to, to)
	}))
	defer server.Close()
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for i, path := range []string{"/directory", "/redirects"} {
		a := f.form("admin", "/settings/certificate", url.Values{"names": {"cam.example.org"}, "ca": {"other"}, "directory": {server.URL + path},
			"root_pem": {string(root)}, "proof": {"automatic"}, "agreed": {"1"}})
		if a.status != http.StatusSeeOther {
			t.Fatalf("ask for a certificate: %d %s", a.status, a.body)
		}
		<-asked
		eventually(t, "it does not go there", func() error {
			if n := strings.Count(f.Output(), "leads away from https"); n <= i {
				return fmt.Errorf("%d times", n)
			}
			return nil
		})
		f.form("admin", "/settings/certificate/remove", nil)
	}
}
