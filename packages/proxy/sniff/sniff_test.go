package sniff_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/proxy/sniff"
)

// hello returns the bytes a real client starts with.
func hello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	var w wire
	cfg.InsecureSkipVerify = true
	if err := tls.Client(&w, cfg).Handshake(); !errors.Is(err, errWire) {
		t.Fatalf("handshake: %v", err)
	}
	return w.Bytes()
}

var errWire = errors.New("nobody answers")

type wire struct {
	bytes.Buffer
	net.Conn
}

func (w *wire) Read([]byte) (int, error)    { return 0, errWire }
func (w *wire) Write(p []byte) (int, error) { return w.Buffer.Write(p) }
func (w *wire) Close() error                { return nil }

// records cuts a ClientHello that lies in one record into records of at most n bytes.
func records(hello []byte, n int) []byte {
	var out []byte
	for body := hello[5:]; len(body) > 0; body = body[min(n, len(body)):] {
		part := body[:min(n, len(body))]
		out = append(out, 0x16, 0x03, 0x01)
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

// check is a STUN binding request with attributes of n bytes, framed for TCP.
func check(n int) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(20+n))
	b = append(b, 0x00, 0x01)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, 0x21, 0x12, 0xA4, 0x42)
	return append(b, make([]byte, 12+n)...)
}

func TestClassify(t *testing.T) {
	chrome := hello(t, &tls.Config{ServerName: "porthole.local", NextProtos: []string{"h2", "http/1.1"}})
	for _, c := range []struct {
		name  string
		in    []byte
		want  sniff.Kind
		hello sniff.Hello
	}{
		{"browser", chrome, sniff.TLS, sniff.Hello{ServerName: "porthole.local", Protocols: []string{"h2", "http/1.1"}}},
		{"browser, many records", records(chrome, 100), sniff.TLS, sniff.Hello{ServerName: "porthole.local", Protocols: []string{"h2", "http/1.1"}}},
		{"browser, records of one byte", records(chrome, 1), sniff.TLS, sniff.Hello{ServerName: "porthole.local", Protocols: []string{"h2", "http/1.1"}}},
		{"Echo: no ALPN, no SNI, TLS 1.2", hello(t, &tls.Config{ServerName: "192.0.2.1", MaxVersion: tls.VersionTLS12}), sniff.TLS, sniff.Hello{}},
		{"ACME", hello(t, &tls.Config{ServerName: "cam.example.org", NextProtos: []string{"acme-tls/1"}}), sniff.ACME, sniff.Hello{ServerName: "cam.example.org", Protocols: []string{"acme-tls/1"}}},
		{"ICE check", check(80), sniff.STUN, sniff.Hello{}},
		{"STUN without attributes", check(0), sniff.STUN, sniff.Hello{}},
		{"STUN but for its last byte", check(80)[:101], sniff.More, sniff.Hello{}},
		{"STUN not padded", check(3), sniff.Garbage, sniff.Hello{}},
		{"STUN with another cookie", bytes.Replace(check(8), []byte{0x21, 0x12, 0xA4, 0x42}, []byte{0x21, 0x12, 0xA4, 0x43}, 1), sniff.Garbage, sniff.Hello{}},
		{"framed RTP", append([]byte{0, 40, 0x80, 96}, make([]byte, 40)...), sniff.Garbage, sniff.Hello{}},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), sniff.HTTP, sniff.Hello{}},
		{"RTSP", []byte("OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"), sniff.RTSP, sniff.Hello{}},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2p1\r\n"), sniff.Garbage, sniff.Hello{}},
		{"RDP", []byte{3, 0, 0, 19, 14, 224, 0, 0}, sniff.Garbage, sniff.Hello{}},
		{"SSLv2", []byte{0x80, 0x2E, 1, 0, 2}, sniff.Garbage, sniff.Hello{}},
		{"TLS alert", []byte{0x15, 3, 1, 0, 2, 2, 40}, sniff.Garbage, sniff.Hello{}},
		{"TLS record that is no ClientHello", []byte{0x16, 3, 1, 0, 4, 2, 0, 0, 0}, sniff.Garbage, sniff.Hello{}},
		{"ClientHello with nonsense", []byte{0x16, 3, 1, 0, 8, 1, 0, 0, 4, 9, 9, 9, 9}, sniff.Garbage, sniff.Hello{}},
		{"ClientHello of 40 KiB", records(append(make([]byte, 5), append([]byte{1, 0, 0xA0, 0}, make([]byte, 0xA000)...)...), 16000), sniff.Garbage, sniff.Hello{}},
		{"nothing", nil, sniff.More, sniff.Hello{}},
		{"zeros", make([]byte, 100), sniff.Garbage, sniff.Hello{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, h := sniff.Classify(c.in)
			if kind != c.want {
				t.Fatalf("got %s, want %s", kind, c.want)
			}
			if d := cmp.Diff(c.hello, h); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestClassifyPrefixes feeds real starts byte by byte: until the answer comes it is "more".
func TestClassifyPrefixes(t *testing.T) {
	for want, b := range map[sniff.Kind][]byte{
		sniff.TLS:  hello(t, &tls.Config{ServerName: "porthole.local", NextProtos: []string{"h2"}}),
		sniff.ACME: records(hello(t, &tls.Config{ServerName: "porthole.local", NextProtos: []string{"acme-tls/1"}}), 37),
		sniff.STUN: check(40),
		sniff.HTTP: []byte("OPTIONS * HTTP/1.1\r\n"),
		sniff.RTSP: []byte("OPTIONS * RTSP/1.0\r\n"),
	} {
		n := 0
		for ; n <= len(b); n++ {
			kind, _ := sniff.Classify(b[:n])
			if kind == want {
				break
			}
			if kind != sniff.More {
				t.Fatalf("%s: %s after %d bytes", want, kind, n)
			}
		}
		if n > len(b) {
			t.Errorf("%s: never recognised", want)
		}
	}
}

func TestFirstLine(t *testing.T) {
	for in, want := range map[string]sniff.Kind{
		"OPTIONS * HTTP/1.1\r\n":                            sniff.HTTP,
		"OPTIONS * RTSP/1.0\r\n":                            sniff.RTSP,
		"DESCRIBE rtsp://h:443/cam RTSP/1.0\r\nCSeq: 1\r\n": sniff.RTSP,
		"GET_PARAMETER rtsp://h/ RTSP/2.0\r\n":              sniff.RTSP,
		"GET / HTTP/1.0\n":                                  sniff.HTTP,
		"GET /a b HTTP/1.1\r\n":                             sniff.HTTP,
		"GET /caf\xc3\xa9 HTTP/1.1\r\n":                     sniff.HTTP,
		"GET /RTSP/1.0 HTTP/1.1\r\n":                        sniff.HTTP,
		"PRI * HTTP/2.0\r\n":                                sniff.Garbage,
		"GET /\r\n":                                         sniff.Garbage,
		"GET HTTP/1.1\r\n":                                  sniff.Garbage,
		"GET  HTTP/1.1\r\n":                                 sniff.Garbage,
		" / HTTP/1.1\r\n":                                   sniff.Garbage,
		"get / HTTP/1.1\r\n":                                sniff.Garbage,
		"GET / HTTP/1.1\r\r\n":                              sniff.Garbage,
		"GET /\x00 HTTP/1.1\r\n":                            sniff.Garbage,
		"\r\n":                                              sniff.Garbage,
		"\x16\x03\x01":                                      sniff.Garbage,
		"$\x00\x00\x04":                                     sniff.Garbage,
		strings.Repeat("A", 33):                             sniff.Garbage,
		"GET / HTTP/1.1":                                    sniff.More,
		"GET / HTTP/1.1\r":                                  sniff.More,
		"":                                                  sniff.More,
		"GET /" + strings.Repeat("a", 8000) + " HTTP/1.1\r\n": sniff.HTTP,
		"GET /" + strings.Repeat("a", 8192):                   sniff.Garbage,
		"GET /" + strings.Repeat("a", 8192) + " HTTP/1.1\r\n": sniff.Garbage,
	} {
		if got := sniff.FirstLine([]byte(in)); got != want {
			t.Errorf("%.40q: got %s, want %s", in, got, want)
		}
	}
}

// captured returns the ClientHellos that real programs sent to this machine, by program.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/hello/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no captures", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if all[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestCaptured: real programs are taken for what they are, and nothing is guessed from less than their whole hello.
func TestCaptured(t *testing.T) {
	for name, b := range captured(t) {
		kind, hello := sniff.Classify(b)
		if kind != sniff.TLS {
			t.Errorf("%s: %s", name, kind)
		}
		if alpn := slices.Contains(hello.Protocols, "h2"); alpn != (name == "curl" || name == "chromium") {
			t.Errorf("%s offers %q", name, hello.Protocols)
		}
		for n := range b {
			if kind, _ := sniff.Classify(b[:n]); kind != sniff.More {
				t.Fatalf("%s: %s after %d bytes", name, kind, n)
			}
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, b := range captured(f) {
		f.Add(b, uint16(len(b)/2))
	}
	h := hello(f, &tls.Config{ServerName: "porthole.local", NextProtos: []string{"h2", "acme-tls/1"}})
	for _, b := range [][]byte{h, h[:50], records(h, 64), check(12), []byte("OPTIONS * RTSP/1.0\r\n"), []byte("GET / HTTP/1.1\r\n\r\n"), {0x16, 3, 1}, {0, 20}, nil} {
		f.Add(b, uint16(len(b)/2))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole, hello := sniff.Classify(b)
		if whole == sniff.More && len(b) >= sniff.MaxBytes {
			t.Fatal("wants more than it may have")
		}
		if whole != sniff.TLS && whole != sniff.ACME && (hello.ServerName != "" || hello.Protocols != nil) {
			t.Fatalf("%s with a hello", whole)
		}
		// What a prefix already told stands.
		if part, _ := sniff.Classify(b[:min(int(cut), len(b))]); part != sniff.More && part != whole {
			t.Fatalf("first %s, then %s", part, whole)
		}
	})
}

func FuzzFirstLine(f *testing.F) {
	for _, s := range []string{
		"OPTIONS * RTSP/1.0\r\n", "OPTIONS * HTTP/1.1\r\n", "GET /", "DESCRIBE rtsp://cams.example.org:443/door RTSP/1.0\r\nAccept: application/sdp\r\nUser-Agent: Fire OS/6.0 stagefright/1.2 (Linux;Android 7.1.2)\r\nCSeq: 1\r\n\r\n",
		"OPTIONS rtsp://cams.example.org/t/k3jq5zv2m7xw4hb6yt3rd5nc2f RTSP/1.0\r\nCSeq: 2\r\nUser-Agent: LibVLC/3.0.6 (LIVE555 Streaming Media v2016.11.28)\r\n\r\n",
		"PRI * HTTP/2.0\r\n", "\r\n", "",
	} {
		f.Add([]byte(s), uint16(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		whole := sniff.FirstLine(b)
		switch whole {
		case sniff.More:
			if bytes.ContainsRune(b, '\n') || len(b) >= sniff.MaxLine {
				t.Fatal("wants more than it may have")
			}
		case sniff.HTTP, sniff.RTSP:
			line, _, _ := bytes.Cut(b, []byte("\n"))
			if !bytes.Contains(line, []byte(strings.ToUpper(whole.String())+"/")) {
				t.Fatalf("%q is %s", line, whole)
			}
		case sniff.Garbage:
		default:
			t.Fatalf("answered %s", whole)
		}
		if part := sniff.FirstLine(b[:min(int(cut), len(b))]); part != sniff.More && part != whole {
			t.Fatalf("first %s, then %s", part, whole)
		}
	})
}
