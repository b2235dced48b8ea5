package library_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/library"
)

// lose removes a file behind the library's back.
func (s *shelf) lose(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}

func refusal(t *testing.T, err error) string {
	t.Helper()
	reason, ok := library.AsRefusal(err)
	if !ok {
		t.Fatalf("no refusal: %v", err)
	}
	return reason
}

// withoutBox is an MP4 file without one of its parts.
func withoutBox(b []byte, kind string) []byte {
	for at := 0; at+8 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if string(b[at+4:at+8]) == kind {
			return slices.Concat(b[:at], b[at+n:])
		}
		at += n
	}
	return nil
}

// TestOneContentOnce: the same file twice is two media and one file, and stays until the last of them has gone.
func TestOneContentOnce(t *testing.T) {
	s := newShelf(t)
	a := s.mustAdd("a.png", pngOf(t, picture(20, 20)))
	b := s.mustAdd("b.png", pngOf(t, picture(20, 20)))
	if a.SHA256 != b.SHA256 || len(s.files("media")) != 1 || len(s.index.all()) != 2 {
		t.Errorf("%v", s.files("media"))
	}
	st, err := os.Stat(filepath.Join(s.dir, "media", a.SHA256))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := s.Forget(t.Context(), a.SHA256); err != nil || len(s.files("media")) != 1 {
		t.Errorf("forgotten while in use: %v", err)
	}
	s.index.forget()
	if err := s.Forget(t.Context(), a.SHA256); err != nil || len(s.files("media"))+len(s.files("thumbs")) != 0 {
		t.Errorf("not forgotten: %v", err)
	}
	if _, err := s.Open(a.SHA256); !errors.Is(err, signage.ErrNotFound) {
		t.Error(err)
	}
	for _, bad := range []string{"", "../porthole.db", strings.Repeat("A", 64), strings.Repeat("a", 63) + "/"} {
		if _, err := s.Open(bad); !errors.Is(err, signage.ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestCollect removes what no medium has, and nothing that is about to become one.
func TestCollect(t *testing.T) {
	s := newShelf(t)
	kept := s.mustAdd("kept.png", pngOf(t, picture(20, 20)))
	for _, name := range []string{"media/" + strings.Repeat("0", 64), "thumbs/" + strings.Repeat("0", 64) + ".jpg", "media/stray"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sha, _, release, err := s.Store(t.Context(), strings.NewReader("about to be imported"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Collect(t.Context())
	want := []string{kept.SHA256, sha}
	slices.Sort(want)
	if got := s.files("media"); err != nil || n != 2 || !slices.Equal(got, want) || len(s.files("thumbs")) != 1 {
		t.Errorf("%d removed, %v left, %v", n, got, err)
	}
	release()
	if n, err := s.Collect(t.Context()); err != nil || n != 1 {
		t.Errorf("%d removed, %v", n, err)
	}
	// What comes while the index is being read stays, though the index has not got it yet.
	late := &lateIndex{index: s.index, add: func() {
		_, _, release, err := s.Store(context.Background(), strings.NewReader("late"))
		if err != nil {
			t.Error(err)
			return
		}
		release()
	}}
	s.stop()
	s.open(func(o *library.Options) { o.Index = late })
	late.armed.Store(true)
	if n, err := s.Collect(t.Context()); err != nil || n != 0 || len(s.files("media")) != 2 {
		t.Errorf("%d removed, %v", n, err)
	}
}

// lateIndex lets something happen while it is being read.
type lateIndex struct {
	*index
	add   func()
	armed atomic.Bool
}

func (x *lateIndex) HashesInUse(ctx context.Context) (map[string]bool, error) {
	m, err := x.index.HashesInUse(ctx)
	if x.armed.Load() {
		x.add()
	}
	return m, err
}

// TestDamagedFiles: a file that is not what its name says is reported, not served, and replaced when it comes again.
func TestDamagedFiles(t *testing.T) {
	s := newShelf(t)
	content := pngOf(t, picture(20, 20))
	m := s.mustAdd("a.png", content)
	path := filepath.Join(s.dir, "media", m.SHA256)
	if err := s.Verify(t.Context(), m.SHA256); err != nil || len(s.Problems()) != 0 {
		t.Errorf("%v, %v", err, s.Problems())
	}
	damaged := bytes.Clone(content)
	damaged[40] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), m.SHA256); err != nil || len(s.Problems()) != 1 {
		t.Errorf("%v, %v", err, s.Problems())
	}
	if _, err := s.Open(m.SHA256); !errors.Is(err, library.ErrDamaged) {
		t.Errorf("served: %v", err)
	}
	s.mustAdd("again.png", content)
	if !bytes.Equal(s.content(m.SHA256), content) || len(s.Problems()) != 0 {
		t.Errorf("not mended: %v", s.Problems())
	}
	// Cut off, as by a damaged file system; noticed by the next run too, which knows the size from the index.
	s.stop()
	s.open()
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(m.SHA256); !errors.Is(err, library.ErrDamaged) || len(s.Problems()) != 1 {
		t.Errorf("served: %v", err)
	}
}

func TestCleanName(t *testing.T) {
	for in, want := range map[string]string{
		"photo.jpg":                         "photo.jpg",
		"../../etc/passwd":                  "passwd",
		`C:\Users\x\menu card.png`:          "menu card.png",
		"a\x00b\r\nc.jpg":                   "ab c.jpg",
		"\u202egnp.exe":                     "gnp.exe",
		"Fru\u0308hstu\u0308ck.jpg":         "Frühstück.jpg",
		"🎄👩\u200d🍳❤\ufe0f.mp4":              "🎄👩\u200d🍳❤\ufe0f.mp4",
		".htaccess":                         "htaccess",
		"...":                               "file",
		"":                                  "file",
		"-rf.jpg":                           "rf.jpg",
		"CON.jpg":                           "file.jpg",
		"com1":                              "file",
		"a<b>:\"|?*.jpg":                    "ab.jpg",
		"x. . ":                             "x",
		"\xff\xfe.png":                      "png",
		strings.Repeat("ü", 150) + ".jpeg":  strings.Repeat("ü", 97) + ".jpeg",
		"a.b/":                              "file",
		"  two   spaces\t.jpg":              "two spaces .jpg",
		strings.Repeat("x", 300) + ".a b c": strings.Repeat("x", 200),
	} {
		if got := library.CleanName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
