package library_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"porthole/packages/console/signage/library"
)

// FuzzCleanName: whatever it is called, the name is safe in folders, headers and pages, and cleaning is done once.
func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"", "a.jpg", "../..", "C:\\x", "\x00", "\u202e", "🎄.mp4", strings.Repeat("ü", 300), "CON", "a\u0308", ". .", "\u200d", "e\u0301\u200d."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name := library.CleanName(s)
		if name == "" || len(name) > 200 || !utf8.ValidString(name) || strings.ContainsAny(name, "/\\<>:\"|?*\x7f") || strings.ContainsFunc(name, unicode.IsControl) {
			t.Errorf("%q → %q", s, name)
		}
		if strings.Trim(name, ". ") != name || strings.ContainsAny(name, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f") {
			t.Errorf("%q → %q", s, name)
		}
		if again := library.CleanName(name); again != name {
			t.Errorf("%q → %q → %q", s, name, again)
		}
	})
}

// FuzzMetadata: an Upload-Metadata header is read or refused.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{"", "filename YS5qcGc=", "filename YS5qcGc=,lastmodified MTIz", "is_confidential", "a ,b", ",", "a YQ==,a YQ==", "ü YQ=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := library.ParseMetadata(s)
		if err != nil && m != nil {
			t.Errorf("%q: both %v and %v", s, m, err)
		}
		for k := range m {
			if k == "" || strings.ContainsAny(k, " ,\r\n") {
				t.Errorf("key %q", k)
			}
		}
	})
}

// FuzzExamine: all that is read of a file in this process, without decoding its picture.
func FuzzExamine(f *testing.F) {
	mp4 := clip(f, "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=5:d=0.4", "-c:v", "libx264")
	mkv := clip(f, "a.mkv", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=5:d=0.4", "-c:v", "libx264")
	ts := clip(f, "a.ts", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=5:d=0.4", "-c:v", "libx264")
	for _, b := range [][]byte{
		nil, mp4, mkv, ts, jpegOf(f, picture(8, 8)), withExif(jpegOf(f, picture(8, 8)), 6), pngOf(f, picture(8, 8)), gifOf(f, 2), nested(20),
		[]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02"), []byte("BM"), []byte("PK\x03\x04"), []byte("%PDF"), []byte("\x00\x00\x00\x08ftyp"),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		mime, err := library.Examine(bytes.NewReader(b), int64(len(b)))
		if (mime == "") == (err == nil) {
			t.Errorf("type %q, error %v", mime, err)
		}
		if err == nil {
			return
		}
		if reason, ok := library.AsRefusal(err); !ok || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) || len(reason) > 600 {
			t.Errorf("%v", err)
		}
	})
}

// FuzzRequest: whatever a client's headers say, it is answered, and never as our fault.
func FuzzRequest(f *testing.F) {
	s := newShelf(f)
	f.Add("POST", "", "10", "", "filename YQ==", "", "", []byte(nil))
	f.Add("PATCH", "x", "", "0", "", "", "application/offset+octet-stream", []byte("abc"))
	f.Add("PATCH", "x", "", "0", "", "sha256 AAAA", "application/offset+octet-stream", []byte("abc"))
	f.Add("POST", "x", "9223372036854775807", "-1", ",", "sha1 ", "", []byte("abc"))
	f.Add("HEAD", "../x", "", "", "", "", "", []byte(nil))
	f.Add("DELETE", "x", "", "", "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, id, length, offset, meta, sum, kind string, body []byte) {
		path := ""
		if id == "x" {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/uploads/", nil)
			r.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Length": {"100"}}
			s.ServeUploads(w, r, "fuzz")
			path = w.Header().Get("Location")
		}
		r := httptest.NewRequest("POST", "/uploads/", bytes.NewReader(body))
		r.Method, r.URL.Path = method, "/uploads/"+id
		if path != "" {
			r.URL.Path = path
		}
		r.Header = http.Header{"Tus-Resumable": {"1.0.0"}, "Upload-Length": {length}, "Upload-Offset": {offset}, "Upload-Metadata": {meta}, "Upload-Checksum": {sum}, "Content-Type": {kind}}
		w := httptest.NewRecorder()
		s.ServeUploads(w, r, "fuzz")
		if w.Code >= 500 && w.Code != http.StatusInsufficientStorage {
			t.Errorf("%s %s: %d %s", method, r.URL.Path, w.Code, w.Body)
		}
		for _, p := range []string{path, w.Header().Get("Location")} {
			if p != "" {
				r := httptest.NewRequest("DELETE", p, nil)
				r.Header = http.Header{"Tus-Resumable": {"1.0.0"}}
				s.ServeUploads(httptest.NewRecorder(), r, "fuzz")
			}
		}
	})
}
