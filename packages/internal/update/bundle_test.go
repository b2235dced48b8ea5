package update_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"porthole/packages/internal/update"
	"porthole/packages/internal/update/updatetest"
)

// atRandom reads a whole bundle by OpenBundle.
func atRandom(file []byte) (parts map[string][]byte, err error) {
	b, err := update.OpenBundle(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, err
	}
	m, err := update.ParseManifest(b.Manifest)
	if err != nil {
		return nil, err
	}
	parts = map[string][]byte{}
	for _, p := range m.Parts {
		r, err := b.Part(p)
		if err != nil {
			return nil, err
		}
		parts[p.Name], err = io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// inOrder reads a whole bundle by ReadBundle.
func inOrder(r io.Reader) (parts map[string][]byte, err error) {
	s, err := update.ReadBundle(r)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	m, err := update.ParseManifest(s.Manifest)
	if err != nil {
		return nil, err
	}
	parts = map[string][]byte{}
	for {
		p, r, err := s.Next(m)
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		if parts[p.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

func TestBundle(t *testing.T) {
	key := updatetest.NewKey(t)
	u := example(t)
	file := u.Bundle(t, key)
	if !bytes.Equal(file, u.Bundle(t, key)) {
		t.Error("writing it twice gives different bytes")
	}
	random, err := atRandom(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(file), "byte by byte": iotest.OneByteReader(bytes.NewReader(file)), "pipe": io.MultiReader(bytes.NewReader(file)),
	} {
		stream, err := inOrder(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range []string{update.PartBoot, update.PartRoot} {
			if !bytes.Equal(stream[p], u.Content[p]) || !bytes.Equal(random[p], u.Content[p]) {
				t.Errorf("%s: %s is not what was put in", name, p)
			}
		}
	}
	// A caller who does not want a part goes on to the next one.
	s, err := update.ReadBundle(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for {
		p, _, err := s.Next(u.Manifest)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		names = append(names, p.Name)
	}
	if want := []string{"boot", "root"}; !slices.Equal(names, want) {
		t.Errorf("parts %v, want %v", names, want)
	}
	// Debian's tar reads it too: people look into files.
	if got := memberNames(t, file); !slices.Equal(got, []string{"manifest.json", "manifest.json.minisig", "boot.tar.zst", "root.squashfs"}) {
		t.Errorf("members: %v", got)
	}
}

func memberNames(t *testing.T, file []byte) []string {
	t.Helper()
	var names []string
	for r := tar.NewReader(bytes.NewReader(file)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

type member struct {
	name string
	data []byte
	kind byte
}

// pack makes a tar as somebody else might.
func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.kind, Size: int64(len(m.data)), Mode: 0o600}
		if m.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.kind == tar.TypeSymlink {
			h.Linkname, h.Size = "/etc/shadow", 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if m.kind == 0 {
			if _, err := w.Write(m.data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func squeeze(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func TestBundleRefused(t *testing.T) {
	key := updatetest.NewKey(t)
	u := example(t)
	manifest, signature := u.Signed(t, key)
	whole := u.Bundle(t, key)
	bootPart, _ := u.Manifest.Part(update.PartBoot)
	opened, err := update.OpenBundle(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := opened.Stored(bootPart)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(stored)
	if err != nil {
		t.Fatal(err)
	}
	m, s := member{name: "manifest.json", data: manifest}, member{name: "manifest.json.minisig", data: signature}
	boot, root := member{name: "boot.tar.zst", data: packed}, member{name: "root.squashfs", data: u.Content[update.PartRoot]}
	if parts, err := atRandom(pack(t, m, s, root, boot)); err != nil || !bytes.Equal(parts[update.PartBoot], u.Content[update.PartBoot]) {
		t.Errorf("parts in another order: %v", err)
	}
	flipped := bytes.Clone(packed)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":               {nil, "cut short"},
		"a picture":           {append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 4096)...), "Get it again"},
		"another tar":         {pack(t, member{name: "readme", data: []byte("x")}), "ends in .update"},
		"no signature":        {pack(t, m, boot, root), "ends in .update"},
		"signature first":     {pack(t, s, m, boot, root), "ends in .update"},
		"no parts":            {pack(t, m, s), "has no "},
		"no root":             {pack(t, m, s, boot), "has no root.squashfs"},
		"twice":               {pack(t, m, s, boot, root, boot), "boot.tar"},
		"a stranger":          {pack(t, m, s, boot, root, member{name: "../../etc/passwd", data: []byte("x")}), "belongs in no update"},
		"both forms":          {pack(t, m, s, boot, member{name: "boot.tar", data: packed}, root), "boot.tar"},
		"a folder":            {pack(t, m, s, boot, root, member{name: "d/", kind: tar.TypeDir}), "plain files"},
		"a link":              {pack(t, m, s, boot, member{name: "root.squashfs", kind: tar.TypeSymlink}), "plain files"},
		"a long name":         {pack(t, m, s, boot, root, member{name: strings.Repeat("x", 300), data: []byte("x")}), "plain files"},
		"root too long":       {pack(t, m, s, boot, member{name: "root.squashfs", data: []byte("more than the manifest says")}), "manifest says 18"},
		"an endless manifest": {pack(t, member{name: "manifest.json", data: make([]byte, update.MaxManifest+1)}, s), "larger than"},
		"a flipped bit":       {pack(t, m, s, member{name: "boot.tar.zst", data: flipped}, root), "Get it again"},
	} {
		_, randomErr := atRandom(c.file)
		_, streamErr := inOrder(io.MultiReader(bytes.NewReader(c.file)))
		for way, err := range map[string]error{"at random": randomErr, "in order": streamErr} {
			if !errors.Is(err, update.ErrBundle) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %q", name, way, err, c.want)
			}
		}
	}
	// The end is 18 bytes of root, what fills their block, and two empty blocks.
	for n := 0; n < len(whole)-1024-512+18; n += 97 {
		for _, err := range []error{second(atRandom(whole[:n])), second(inOrder(bytes.NewReader(whole[:n])))} {
			if !errors.Is(err, update.ErrBundle) {
				t.Fatalf("cut short after %d bytes: %v", n, err)
			}
		}
	}
}

func second(_ map[string][]byte, err error) error { return err }

// TestDecode: what a compressed part unpacks to is exactly as large as the manifest says, whatever it would unpack to.
func TestDecode(t *testing.T) {
	key := updatetest.NewKey(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for name, c := range map[string]struct {
		stored []byte
		want   string
	}{
		"too long":        {squeeze(t, append(bytes.Clone(content), 'x')), "larger than its manifest says"},
		"a bomb":          {squeeze(t, make([]byte, 64<<20)), "Get it again"},
		"too short":       {squeeze(t, content[1:]), "cut short"},
		"two frames":      {append(squeeze(t, content[:100]), squeeze(t, content[100:])...), ""},
		"rubbish behind":  {append(squeeze(t, content), "rubbish"...), "damaged"},
		"too wide":        {squeeze(t, make([]byte, 40<<20), zstd.WithWindowSize(32<<20), zstd.WithSingleSegment(false)), "Get it again"},
		"not compressed":  {content, "damaged"},
		"the right thing": {squeeze(t, content), ""},
	} {
		u := updatetest.New(t, "pi", "v1.0.0", content, []byte("root"))
		u.Manifest.Parts[0].Stored = int64(len(c.stored))
		manifest, signature := u.Signed(t, key)
		file := pack(t, member{name: "manifest.json", data: manifest}, member{name: "manifest.json.minisig", data: signature},
			member{name: "boot.tar.zst", data: c.stored}, member{name: "root.squashfs", data: []byte("root")})
		random, randomErr := atRandom(file)
		stream, streamErr := inOrder(bytes.NewReader(file))
		for way, err := range map[string]error{"at random": randomErr, "in order": streamErr} {
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, update.ErrBundle) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %s: %v, want %q", name, way, err, c.want)
			}
		}
		if c.want == "" && (!bytes.Equal(random[update.PartBoot], content) || !bytes.Equal(stream[update.PartBoot], content)) {
			t.Errorf("%s: something else comes out", name)
		}
	}
}

// TestReadError: a connection that breaks is not taken for a broken file.
func TestReadError(t *testing.T) {
	key := updatetest.NewKey(t)
	file := example(t).Bundle(t, key)
	for n := 0; n < len(file)-1024; n += 211 {
		broken := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(os.ErrDeadlineExceeded))
		if _, err := inOrder(broken); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, update.ErrBundle) {
			t.Fatalf("broken after %d bytes: %v", n, err)
		}
	}
	if _, err := update.OpenBundle(brokenAt{}, 1<<20); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, update.ErrBundle) {
		t.Errorf("a medium that cannot be read: %v", err)
	}
}

type brokenAt struct{}

func (brokenAt) ReadAt([]byte, int64) (int, error) { return 0, os.ErrDeadlineExceeded }

// FuzzBundle: both ways of reading take the same files and find the same in them, and never more than the manifest says.
func FuzzBundle(f *testing.F) {
	key := updatetest.FixedKey(f)
	u := updatetest.New(f, "vm", "v1.2.3", bytes.Repeat([]byte("boot"), 100), []byte("root"))
	file := u.Bundle(f, key)
	f.Add(file)
	f.Add(file[:2000])
	manifest, signature := u.Signed(f, key)
	f.Add(pack(f, member{name: "manifest.json", data: manifest}, member{name: "manifest.json.minisig", data: signature},
		member{name: "root.squashfs", data: []byte("root")}))
	f.Fuzz(func(t *testing.T, file []byte) {
		random, randomErr := atRandom(file)
		stream, streamErr := inOrder(io.MultiReader(bytes.NewReader(file)))
		if (randomErr == nil) != (streamErr == nil) {
			t.Fatalf("at random: %v; in order: %v", randomErr, streamErr)
		}
		for _, err := range []error{randomErr, streamErr} {
			if err != nil && !errors.Is(err, update.ErrBundle) && !errors.Is(err, update.ErrManifest) {
				t.Errorf("an error that is no refusal: %v", err)
			}
		}
		if randomErr != nil {
			return
		}
		for name, data := range random {
			if sha256.Sum256(data) != sha256.Sum256(stream[name]) {
				t.Errorf("%s differs", name)
			}
		}
	})
}
