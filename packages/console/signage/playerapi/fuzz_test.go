package playerapi_test

import (
	"path"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"porthole/packages/console/signage/playerapi"
)

// checkSaid fails unless everything that we keep is short and can be shown.
func checkSaid(t *testing.T, s playerapi.Said) {
	t.Helper()
	for what, v := range map[string]struct {
		text string
		most int
	}{"hostname": {s.Hostname, 253}, "message": {s.Message, 2000}, "status": {s.Status, 200}} {
		if utf8.RuneCountInString(v.text) > v.most || !utf8.ValidString(v.text) || strings.ContainsAny(v.text, "\x00\n\r\x1b") {
			t.Fatalf("%s %q", what, v.text)
		}
	}
}

// FuzzBody: bodies of all calls but the edit.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"hostname":"player1","quickconnect_code":"ABC123XYZ","status":"ok","message":"m","timestamp":"2026-11-21T19:30:36.123456","id":"7","version":3}`,
		`{"hostname":1,"password":true,"auth_code":null}`, `{"hostname":[]}`, `hostname=player1&quickconnect_code=ABC123XYZ`, `hostname=%zz`, `{"device_code":"x"}`, `[`, ``, "\xff\xfe{}",
	} {
		for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8", "", "image/png", ";;"} {
			f.Add(kind, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		said, status := playerapi.Read(kind, body)
		switch status {
		case 0, 400, 413, 415:
		default:
			t.Fatalf("status %d", status)
		}
		checkSaid(t, said)
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("hostname=player1&quickconnect_code=ABC123XYZ")
	f.Add("hostname=%00&hostname=b;c&message=%zz")
	f.Fuzz(func(t *testing.T, query string) { checkSaid(t, playerapi.ReadQuery(query)) })
}

// FuzzEdit: forms with a picture and what is said of it.
func FuzzEdit(f *testing.F) {
	form := func(metadata, file string) []byte {
		return []byte("--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n" + metadata +
			"\r\n--b\r\nContent-Disposition: form-data; name=\"image_file\"; filename=\"" + file + "\"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\r\n--b--\r\n")
	}
	const kind = "multipart/form-data; boundary=b"
	f.Add(kind, form(`{"original_name":"menu.jpg","new_name":"menu_v1.jpg","version":1}`, "x.jpg"))
	f.Add(kind, form(`{"original_name":"../../a","new_name":"..\\..\\b\u0000"}`, "../../etc/passwd"))
	f.Add(kind, form(`{"original_name":"."}`, ""))
	f.Add(kind, form(`[`, "x"))
	f.Add("multipart/form-data", form("{}", "x"))
	f.Add("application/json", []byte("{}"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		name, status := playerapi.ReadEdit(kind, body)
		switch status {
		case 0:
			if name == "" || utf8.RuneCountInString(name) > 200 || !utf8.ValidString(name) || path.Base(name) != name ||
				strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\:*?\"<>|\x00\n\r") {
				t.Fatalf("name %q", name)
			}
		case 400, 413, 415:
		default:
			t.Fatalf("status %d", status)
		}
	})
}

// FuzzToken: nobody makes an address without the key.
func FuzzToken(f *testing.F) {
	key, now := []byte("01234567890123456789012345678901"), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	good := playerapi.Token(key, 7, 9, now)
	if p, m, ok := playerapi.Open(key, good, now.Add(6*24*time.Hour)); !ok || p != 7 || m != 9 {
		f.Fatalf("%d %d %t", p, m, ok)
	}
	if _, _, ok := playerapi.Open(key, good, now.Add(15*24*time.Hour)); ok {
		f.Fatal("good for ever")
	}
	f.Add(good)
	f.Add(good[1:])
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if _, _, ok := playerapi.Open(key, token, now); ok != (token == good) {
			t.Fatalf("%q: %t", token, ok)
		}
	})
}

func FuzzFileName(f *testing.F) {
	f.Add("menu.jpg", uint64(0x0123456789abcdef))
	f.Add("../../etc/passwd", uint64(0))
	f.Add(".ht\x00access. .JPG/", uint64(1))
	f.Add(strings.Repeat("ä", 300)+".tar.gz", uint64(2))
	f.Fuzz(func(t *testing.T, name string, hash uint64) {
		got := playerapi.FileName(name, strings.Repeat("0123456789abcdef"[hash%16:hash%16+1], 64))
		if len(got) > 143 || path.Base(got) != got || strings.HasPrefix(got, ".") || strings.ContainsAny(got, "/\\:*?\"<>| \x00\n") || !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q", name, got)
		}
	})
}

func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2026-11-21T19:30:36.123456", "2026-11-21T19:30:36Z", "1763753436.5", "-1", "NaN", "1e400", "2026-11-21 19:30:36", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at := playerapi.Timestamp(s); !at.IsZero() && (at.Year() < 1970 || at.Year() > 3000 || at.Location() != time.UTC) {
			t.Fatalf("%q is %s", s, at)
		}
	})
}

func FuzzDisposition(f *testing.F) {
	f.Add("menu.jpg")
	f.Add("a\"; filename=evil.html\r\nX: y")
	f.Add("Ä€.jpg")
	f.Fuzz(func(t *testing.T, name string) {
		if d := playerapi.Disposition(name); !strings.HasPrefix(d, "inline") || strings.ContainsAny(d, "\r\n\x00") {
			t.Fatalf("%q", d)
		}
	})
}
