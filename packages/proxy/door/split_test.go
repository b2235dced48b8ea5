package door_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestOptions: both protocols know OPTIONS, the version tells.
func TestOptions(t *testing.T) {
	b := open(t, nil)
	for _, c := range []struct {
		name, want string
		pieces     []string
	}{
		{"RTSP", "RTSP/1.0 200 OK\r\nX-Saw: OPTIONS * RTSP/1.0\r\n", []string{"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"}},
		{"RTSP 2.0", "RTSP/1.0 200 OK\r\nX-Saw: OPTIONS * RTSP/2.0\r\n", []string{"OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n"}},
		{"HTTP", "HTTP/1.1 200 OK\r\n", []string{"OPTIONS /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"}},
		{"split RTSP", "RTSP/1.0 200 OK\r\nX-Saw: OPTIONS rtsp://h/a RTSP/1.0\r\n", []string{"OPT", "IONS rtsp://h/a RT", "SP/1.0", "\r", "\nCSeq: 1\r\n\r\n"}},
		{"split HTTP", "HTTP/1.1 200 OK\r\n", []string{"O", "PTIONS /x HTTP/1.", "1\r\nHost: h\r\nConnection: close\r\n", "\r\n"}},
		{"long line", "HTTP/1.1 200 OK\r\n", []string{"GET /", strings.Repeat("a", 8000), " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := b.ask(t, b.dial(t), c.pieces...); !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q", got)
			}
		})
	}
	if s := b.Status(); s.Served["rtsp"] != 3 || s.Served["http"] != 3 {
		t.Errorf("counted %v", s.Served)
	}
}

// TestSlowHello: a ClientHello may arrive byte by byte.
func TestSlowHello(t *testing.T) {
	b := open(t, nil)
	got := b.ask(t, bytewise{b.dial(t)}, "DESCRIBE rtsp://h/cam RTSP/1.0\r\n\r\n")
	if !strings.HasPrefix(got, "RTSP/1.0 200 OK") {
		t.Errorf("got %q", got)
	}
}

// bytewise sends every byte as its own segment.
type bytewise struct{ *net.TCPConn }

func (b bytewise) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := b.TCPConn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestProtocols: with and without ALPN, TLS 1.2 and 1.3.
func TestProtocols(t *testing.T) {
	b := open(t, nil)
	for _, c := range []struct {
		alpn    []string
		version uint16
		want    string
	}{
		{[]string{"h2", "http/1.1"}, tls.VersionTLS13, "GET /p over HTTP/2.0"},
		{[]string{"h2", "http/1.1"}, tls.VersionTLS12, "GET /p over HTTP/2.0"},
		{[]string{"http/1.1"}, tls.VersionTLS13, "GET /p over HTTP/1.1"},
		{nil, tls.VersionTLS12, "GET /p over HTTP/1.1"},
	} {
		t.Run(fmt.Sprint(c.alpn, tls.VersionName(c.version)), func(t *testing.T) {
			var p http.Protocols
			p.SetHTTP1(true)
			p.SetHTTP2(len(c.alpn) > 1)
			tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: c.alpn, MaxVersion: c.version}, Protocols: &p}
			defer tr.CloseIdleConnections()
			res, err := (&http.Client{Transport: tr}).Get("https://" + b.addr + "/p")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != c.want {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// TestWithoutTLS: who forgets TLS is told.
func TestWithoutTLS(t *testing.T) {
	b := open(t, nil)
	for _, c := range []struct{ name, in, want string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
		{"RTSP", "DESCRIBE rtsp://h:443/cam RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: x\r\n\r\n", "RTSP/1.0 403 Use rtsps instead of rtsp\r\nCSeq: 7\r\n"},
		{"RTSP without number", "DESCRIBE rtsp://h:443/cam RTSP/1.0\r\nCSeq: x\r\n\r\n", "RTSP/1.0 403 Use rtsps instead of rtsp\r\nCSeq: 0\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := b.dial(t)
			io.WriteString(conn, c.in)
			got, err := closed(conn)
			if err != nil || !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	b.untilRefused(t, "plain_rtsp", 2)
	if n := b.Status().Served["plain_http"]; n != 1 {
		t.Errorf("plain_http counted %d times", n)
	}
}
