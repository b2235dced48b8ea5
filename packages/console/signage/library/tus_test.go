package library_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"porthole/packages/console/signage/library"
)

// request is one call of a tus client.
func (s *shelf) request(method, path string, body io.Reader, headers ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// words is the sentence of an answer.
func words(t testing.TB, res *http.Response) string {
	t.Helper()
	var v struct{ Error string }
	if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return v.Error
}

func metadata(name string) string {
	return "filename " + base64.StdEncoding.EncodeToString([]byte(name))
}

// begin makes an upload and returns its path.
func (s *shelf) begin(name string, length int, headers ...string) string {
	s.t.Helper()
	res := s.request("POST", "/uploads/", nil, append([]string{"Upload-Length", strconv.Itoa(length), "Upload-Metadata", metadata(name)}, headers...)...)
	if res.StatusCode != http.StatusCreated {
		s.t.Fatalf("create: %s: %s", res.Status, words(s.t, res))
	}
	return res.Header.Get("Location")
}

func (s *shelf) patch(path string, offset int, body []byte, headers ...string) *http.Response {
	s.t.Helper()
	return s.request("PATCH", path, bytes.NewReader(body),
		append([]string{"Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset)}, headers...)...)
}

func (s *shelf) offset(path string) int {
	s.t.Helper()
	res := s.request("HEAD", path, nil)
	n, err := strconv.Atoi(res.Header.Get("Upload-Offset"))
	if res.StatusCode != http.StatusOK || err != nil {
		s.t.Fatalf("HEAD: %s, offset %q", res.Status, res.Header.Get("Upload-Offset"))
	}
	return n
}

// outcome waits until the upload has been looked at.
func (s *shelf) outcome(path string) library.Status {
	s.t.Helper()
	var v library.Status
	eventually(s.t, "the upload has been looked at", func() bool {
		v = library.Status{}
		res := s.request("GET", "/media/status?upload="+filepath.Base(path), nil)
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&v); err != nil {
			s.t.Fatal(err)
		}
		return v.State == library.Ready || v.State == library.Refused || res.StatusCode != http.StatusOK
	})
	return v
}

// padded is a picture of the wanted size: what follows its end belongs to nobody.
func padded(t testing.TB, size int) []byte {
	t.Helper()
	b := jpegOf(t, picture(64, 48))
	tail := make([]byte, size-len(b))
	rand.Read(tail)
	return append(b, tail...)
}

// TestUpload in three parts, over HTTP.
func TestUpload(t *testing.T) {
	s := newShelf(t)
	b := padded(t, 3_000_000)
	path := s.begin("Menü card.png", len(b))
	for at := 0; at < len(b); at += 1_000_000 {
		if got := s.offset(path); got != at {
			t.Errorf("offset %d, want %d", got, at)
		}
		res := s.patch(path, at, b[at:at+1_000_000])
		if res.StatusCode != http.StatusNoContent || res.Header.Get("Upload-Offset") != strconv.Itoa(at+1_000_000) || res.Header.Get("Upload-Expires") == "" {
			t.Fatalf("%s, %v", res.Status, res.Header)
		}
	}
	v := s.outcome(path)
	if v.State != library.Ready || v.Media == nil || v.Media.Name != "Menü card.jpg" || v.Media.Width != 64 || len(v.Media.Boards) != 4 || v.Offset != int64(len(b)) {
		t.Fatalf("%+v", v)
	}
	all := s.index.all()
	sum := sha256.Sum256(b)
	if len(all) != 1 || all[0].SHA256 != hex.EncodeToString(sum[:]) || !bytes.Equal(s.content(all[0].SHA256), b) {
		t.Errorf("%+v", all)
	}
	if left := s.files("uploads"); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if res := s.patch(path, len(b), nil); res.StatusCode/100 == 5 {
		t.Errorf("one PATCH too many: %s", res.Status)
	}
}

// TestRefusedUpload: what is complete and no good is gone, with a sentence.
func TestRefusedUpload(t *testing.T) {
	s := newShelf(t)
	path := s.begin("holiday.jpg", 6)
	s.patch(path, 0, []byte("<html>"))
	v := s.outcome(path)
	if v.State != library.Refused || !strings.Contains(v.Reason, "web page") || v.Media != nil || len(s.files("uploads")) != 0 {
		t.Errorf("%+v", v)
	}
	if res := s.request("GET", "/media/status?upload="+filepath.Base(path), nil, "Test-Account", "bert"); res.StatusCode != http.StatusNotFound {
		t.Errorf("another account sees it: %s", res.Status)
	}
}

// TestInterrupted: a connection that is cut in the middle of a part, a restart, a connection that hangs: all that was
// acknowledged is there, and the upload goes on.
func TestInterrupted(t *testing.T) {
	s := newShelf(t)
	b := padded(t, 20<<20)
	path := s.begin("a.jpg", len(b))

	// A client that dies 9 MB into a part.
	c := s.send(path, 0, len(b), b[:9<<20])
	c.Close()
	at := 9 << 20
	eventually(t, "the cut was noticed", func() bool {
		st, err := os.Stat(filepath.Join(s.dir, path))
		return err == nil && st.Size() == int64(at) && s.Writing("anna") == 0
	})
	if got := s.offset(path); got != at {
		t.Fatalf("offset %d, want %d", got, at)
	}
	// One whose connection is reset: what the kernel had not handed over yet is lost, the rest counts.
	c = s.send(path, at, len(b)-at, b[at:10<<20])
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	eventually(t, "the reset was noticed", func() bool { return s.Writing("anna") == 0 })
	if at = s.offset(path); at < 9<<20 || at > 10<<20 {
		t.Fatalf("offset %d", at)
	}
	// The next one hangs without a word; the client comes again on another connection, and the old one lets go.
	c = s.send(path, at, len(b)-at, b[at:at+1<<20])
	defer c.Close()
	eventually(t, "the hanging connection has written", func() bool {
		st, err := os.Stat(filepath.Join(s.dir, path))
		return err == nil && st.Size() == int64(at+1<<20)
	})
	if got := s.offset(path); got != at+1<<20 {
		t.Fatalf("offset %d, want %d", got, at+1<<20)
	}
	at += 1 << 20
	if res := s.patch(path, at-1, b[at-1:at]); res.StatusCode != http.StatusConflict {
		t.Errorf("a wrong offset: %s", res.Status)
	}
	// A restart; then what is behind the acknowledged offset is taken as it is on the disk.
	s.stop()
	s.open()
	if got := s.offset(path); got != at {
		t.Fatalf("offset after a restart %d, want %d", got, at)
	}
	if res := s.patch(path, at, b[at:]); res.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", res.Status, words(t, res))
	}
	if v := s.outcome(path); v.State != library.Ready {
		t.Fatalf("%+v", v)
	}
	if m := s.index.all(); len(m) != 1 || !bytes.Equal(s.content(m[0].SHA256), b) {
		t.Error("the content differs")
	}
}

// send begins a PATCH of length bytes on a connection of its own and sends only some.
func (s *shelf) send(path string, offset, length int, some []byte) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(c, "PATCH %s HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: %d\r\nContent-Length: %d\r\n\r\n", path, offset, length)
	if _, err := c.Write(some); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// TestRestartAtTheEnd: the power goes after the last byte, and after the file was moved to its place.
func TestRestartAtTheEnd(t *testing.T) {
	s := newShelf(t)
	s.index.fail = fmt.Errorf("database is away")
	b := padded(t, 100_000)
	path := s.begin("a.jpg", len(b))
	s.patch(path, 0, b)
	eventually(t, "the file is in its place", func() bool { return len(s.files("media")) == 1 })
	s.stop()
	if len(s.index.all()) != 0 {
		t.Fatal("it is in the index")
	}
	s.index.fail = nil
	s.open()
	eventually(t, "the upload is a medium", func() bool { return len(s.index.all()) == 1 })
	if v := s.outcome(path); v.State != library.Ready || len(s.files("media")) != 1 || len(s.files("uploads")) != 0 {
		t.Errorf("%+v, %v, %v", v, s.files("media"), s.files("uploads"))
	}
	// The power goes after the index has it, before the upload was forgotten: it does not come twice.
	m := s.index.all()[0]
	s.stop()
	info := fmt.Sprintf(`{"by":"anna","name":"a.jpg","length":%d,"sha256":%q}`, len(b), m.SHA256)
	if err := os.WriteFile(filepath.Join(s.dir, path+".json"), []byte(info), 0o600); err != nil {
		t.Fatal(err)
	}
	s.open()
	eventually(t, "the upload is forgotten", func() bool { return len(s.files("uploads")) == 0 })
	if n := len(s.index.all()); n != 1 {
		t.Errorf("%d media", n)
	}
}

// TestLeftovers: what no upload owns is removed at start, and uploads that rest for too long go.
func TestLeftovers(t *testing.T) {
	s := newShelf(t)
	old, fresh := s.begin("old.jpg", 1000), s.begin("fresh.jpg", 1000)
	s.patch(old, 0, make([]byte, 10))
	s.stop()
	for _, name := range []string{"add-XYZ", ".new-1", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "nonsense.json", "ABCDEFGHIJKLMNOPQRSTUVWXY2.json"} {
		if err := os.WriteFile(filepath.Join(s.dir, "uploads", name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Longer than any test takes, shorter than since the year in which this was written.
	long := time.Now().Add(-12 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, old), long, long); err != nil {
		t.Fatal(err)
	}
	s.open(func(o *library.Options) { o.Expire = 6 * time.Hour })
	want := []string{filepath.Base(fresh), filepath.Base(fresh) + ".json"}
	eventually(t, "what nobody needs is gone", func() bool { return slices.Equal(s.files("uploads"), want) })
	if res := s.request("HEAD", old, nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("the expired one: %s", res.Status)
	}
	if s.offset(fresh) != 0 {
		t.Error("the fresh one has gone")
	}
}

// TestProtocol goes through what tus 1.0 says of headers and status codes.
func TestProtocol(t *testing.T) {
	s := newShelf(t)
	path := s.begin("a.jpg", 1000)
	res := s.request("OPTIONS", "/uploads/", nil, "Tus-Resumable", "")
	h := res.Header
	if res.StatusCode != http.StatusNoContent || h.Get("Tus-Version") != "1.0.0" || h.Get("Tus-Resumable") != "1.0.0" || h.Get("Tus-Max-Size") == "" ||
		!strings.Contains(h.Get("Tus-Extension"), "creation") || !strings.Contains(h.Get("Tus-Extension"), "termination") {
		t.Errorf("OPTIONS: %s %v", res.Status, h)
	}
	head := s.request("HEAD", path, nil)
	if head.Header.Get("Upload-Length") != "1000" || head.Header.Get("Upload-Metadata") != metadata("a.jpg") || head.Header.Get("Cache-Control") != "no-store" || head.Header.Get("Upload-Expires") == "" {
		t.Errorf("HEAD: %v", head.Header)
	}
	body := bytes.Repeat([]byte("x"), 100)
	sum := sha256.Sum256(body)
	good := "sha256 " + base64.StdEncoding.EncodeToString(sum[:])
	for _, c := range []struct {
		name   string
		res    *http.Response
		status int
	}{
		{"without a version", s.request("POST", "/uploads/", nil, "Tus-Resumable", ""), 412},
		{"another version", s.request("HEAD", path, nil, "Tus-Resumable", "0.2.2"), 412},
		{"without a length", s.request("POST", "/uploads/", nil), 400},
		{"a deferred length", s.request("POST", "/uploads/", nil, "Upload-Defer-Length", "1"), 400},
		{"a negative length", s.request("POST", "/uploads/", nil, "Upload-Length", "-1"), 400},
		{"an empty file", s.request("POST", "/uploads/", nil, "Upload-Length", "0"), 422},
		{"a huge file", s.request("POST", "/uploads/", nil, "Upload-Length", strconv.Itoa(1<<40)), 413},
		{"metadata that is none", s.request("POST", "/uploads/", nil, "Upload-Length", "5", "Upload-Metadata", "filename %%%"), 400},
		{"no such upload", s.request("HEAD", "/uploads/ABCDEFGHIJKLMNOPQRSTUVWXYZ", nil), 404},
		{"a path", s.request("HEAD", "/uploads/..%2f..%2fporthole.db", nil), 404},
		{"another account", s.request("HEAD", path, nil, "Test-Account", "bert"), 404},
		{"GET", s.request("GET", path, nil), 405},
		{"PATCH of the folder", s.request("PATCH", "/uploads/", nil), 405},
		{"another type", s.request("PATCH", path, bytes.NewReader(body), "Upload-Offset", "0"), 415},
		{"no offset", s.request("PATCH", path, bytes.NewReader(body), "Content-Type", "application/offset+octet-stream"), 400},
		{"a wrong offset", s.patch(path, 5, body), 409},
		{"too much", s.patch(path, 0, make([]byte, 1001)), 413},
		{"an unknown checksum", s.patch(path, 0, body, "Upload-Checksum", "crc32 AAAA"), 400},
		{"a wrong checksum", s.patch(path, 0, body[1:], "Upload-Checksum", good), 460},
		{"after a wrong checksum", s.patch(path, 0, body, "Upload-Checksum", good), 204},
		{"by another method's name", s.request("POST", path, bytes.NewReader(body), "X-HTTP-Method-Override", "PATCH", "Upload-Offset", "100", "Content-Type", "application/offset+octet-stream"), 204},
		{"end", s.request("DELETE", path, nil), 204},
		{"after the end", s.request("HEAD", path, nil), 404},
	} {
		if c.res.StatusCode != c.status || c.res.Header.Get("Tus-Resumable") != "1.0.0" {
			t.Errorf("%s: %s, want %d", c.name, c.res.Status, c.status)
		}
	}
	if left := s.files("uploads"); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}
