package library_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"porthole/packages/console/signage/library"
	"porthole/packages/internal/testkit"
)

// TestDiskFull has a file system of 24 MB and 64 files.
func TestDiskFull(t *testing.T) {
	dir, inside := testkit.SmallDisk(t, "size=24m,nr_inodes=64")
	if !inside {
		return
	}
	s := &shelf{t: t, dir: filepath.Join(dir, "console"), index: &index{}, log: newLog()}
	s.open(func(o *library.Options) { o.Reserve = 4 << 20 })
	free, total := s.Space()
	if total != 24<<20 || free > 20<<20 || free < 19<<20 {
		t.Errorf("%d of %d free", free, total)
	}

	// What cannot fit is refused before a byte is sent, and so is what would not fit beside what is on its way.
	res := s.request("POST", "/uploads/", nil, "Upload-Length", strconv.Itoa(40<<20))
	if text := words(t, res); res.StatusCode != http.StatusInsufficientStorage || !strings.Contains(text, "21 MB are missing") && !strings.Contains(text, "22 MB are missing") || !strings.Contains(text, "Delete media") {
		t.Errorf("%s: %s", res.Status, text)
	}
	b := padded(t, 12<<20)
	path := s.begin("a.jpg", len(b))
	if res := s.request("POST", "/uploads/", nil, "Upload-Length", strconv.Itoa(12<<20)); res.StatusCode != http.StatusInsufficientStorage {
		t.Errorf("two of 12 MB: %s", res.Status)
	}

	// Something else fills the disk while the upload runs.
	filler := filepath.Join(dir, "filler")
	fill(t, filler, int(free)-5<<20)
	res = s.patch(path, 0, b)
	if text := words(t, res); res.StatusCode != http.StatusInsufficientStorage || !strings.Contains(text, "not enough space") {
		t.Errorf("%s: %s", res.Status, text)
	}
	at := s.offset(path)
	if at < 4<<20 || at > 5<<20 {
		t.Errorf("%d bytes were kept", at)
	}
	// The reserve is there for the database, and so is everything else.
	fill(t, filepath.Join(dir, "database"), 3<<20)
	if _, err := s.add("b.png", pngOf(t, picture(9, 9))); err == nil || !strings.Contains(refusal(t, err), "not enough space") {
		t.Errorf("Add: %v", err)
	}
	if m, u := len(s.files("media")), len(s.files("uploads")); m != 0 || u != 2 {
		t.Errorf("%d media, %d files of uploads", m, u)
	}
	// There is space again: it goes on where it stopped.
	os.Remove(filler)
	if res := s.patch(path, at, b[at:]); res.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", res.Status, words(t, res))
	}
	if v := s.outcome(path); v.State != library.Ready || !bytes.Equal(s.content(s.index.all()[0].SHA256), b) {
		t.Errorf("%+v", v)
	}

	// The kernel's own word for it (ENOSPC), when there is no room for another file.
	var more []string
	for i := 0; ; i++ {
		name := filepath.Join(dir, fmt.Sprint("more", i))
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			break
		}
		more = append(more, name)
	}
	res = s.request("POST", "/uploads/", nil, "Upload-Length", "1000")
	if text := words(t, res); res.StatusCode != http.StatusInsufficientStorage || !strings.Contains(text, "not enough space") {
		t.Errorf("%s: %s", res.Status, text)
	}
	if u := s.files("uploads"); len(u) != 0 {
		t.Errorf("left over: %v", u)
	}
	for _, name := range more {
		os.Remove(name)
	}
	// And SQLite's (SQLITE_FULL).
	s.index.fail = fmt.Errorf("add medium: database or disk is full (13)")
	path = s.begin("c.jpg", 3000)
	s.patch(path, 0, padded(t, 3000))
	if v := s.outcome(path); v.State != library.Refused || !strings.Contains(v.Reason, "not enough space") {
		t.Errorf("%+v", v)
	}
}

func fill(t *testing.T, name string, size int) {
	t.Helper()
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
}
