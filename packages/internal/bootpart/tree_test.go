package bootpart_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/bootpart"
)

// randomTree returns files with names of all kinds: short and long, alike up to the end, in deep folders; empty ones, ones of
// exactly a cluster, large ones.
func randomTree(r *rand.Rand, files int) map[string][]byte {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+=,;[]~! .#$%&'()@^`{}"
	stems := []string{"bcm2712-rpi-", "LONGNAME", "vc4-kms-", "a.b.c.", "x", "~1", ".hidden", "imx"}
	sizes := []int{0, 1, 511, 512, 2047, 2048, 2049, 4096, 70000}
	out := map[string][]byte{"vmlinuz": random(r, 300000), "cmdline.txt": []byte(cmdline), "config.txt": []byte(config)}
	lower := map[string]bool{}
	for i := range files {
		var elements []string
		for range r.IntN(3) {
			elements = append(elements, fmt.Sprintf("%s%d folder", stems[r.IntN(len(stems))], r.IntN(2)))
		}
		name := stems[r.IntN(len(stems))]
		for range r.IntN(18) {
			name += string(chars[r.IntN(len(chars))])
		}
		elements = append(elements, fmt.Sprintf("%s%d", name, i))
		p := strings.Join(elements, "/")
		if len(p) > 100 || lower[strings.ToLower(p)] {
			continue
		}
		lower[strings.ToLower(p)] = true
		out[p] = random(r, sizes[r.IntN(len(sizes))])
	}
	return out
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// TestTrees: whatever tree is written to whichever slot, it comes back to the byte; fsck.fat finds nothing and mtools reads
// every file.
func TestTrees(t *testing.T) {
	m := format(t, bootpart.BoardPi, medium)
	p := open(t, m)
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 4))
		slot := []string{bootpart.SlotA, bootpart.SlotB}[seed%2]
		tree := randomTree(r, []int{0, 10, 300, 1200}[seed%4])
		boot := part(t, tree)
		var told int64
		if err := p.WriteSlot(t.Context(), slot, bytes.NewReader(boot), slotOf(slot, "v"), func(n int64) { told = n }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if told != int64(len(boot)) {
			t.Errorf("seed %d: progress ends at %d of %d bytes", seed, told, len(boot))
		}
		if got, err := readSlot(t, p, slot); err != nil || !bytes.Equal(got, boot) {
			t.Fatalf("seed %d: what is read is not what was written: %v", seed, err)
		}
		if seed < 8 && seed%4 < 2 {
			continue
		}
		files := peers(t, m.b)
		read := 0
		for name, want := range tree {
			if name == bootpart.Cmdline || name == bootpart.Config {
				continue
			}
			if got, ok := files[slot+"/"+name]; !ok || !bytes.Equal(got, want) {
				t.Errorf("seed %d: mtools reads %d bytes of %q, not %d", seed, len(got), name, len(want))
			}
			if read++; read > 20 {
				continue
			}
			file, err := p.SlotFile(slot, name)
			if err != nil || !bytes.Equal(file, want) {
				t.Errorf("seed %d: %q is read as %d bytes, not %d: %v", seed, name, len(file), len(want), err)
			}
		}
	}
}

// TestPartWriter: what it writes is what the standard library does, and is read.
func TestPartWriter(t *testing.T) {
	files := randomTree(rand.New(rand.NewPCG(1, 2)), 50)
	var b bytes.Buffer
	w := bootpart.NewPartWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.File(name, int64(len(files[name])), built); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), part(t, files)) {
		t.Error("the part is not what archive/tar writes")
	}
	w = bootpart.NewPartWriter(io.Discard)
	if err := w.File("b", 3, built); err != nil {
		t.Fatal(err)
	}
	_, long := w.Write([]byte("four"))
	for what, err := range map[string]error{
		"too long": long, "too short": w.Close(), "a folder above": w.File("../b", 0, built), "out of order": w.File("a", 0, built),
		"too early": w.File("c", 0, time.Unix(0, 0)),
	} {
		if !errors.Is(err, bootpart.ErrPart) {
			t.Errorf("%s gives %v", what, err)
		}
	}
}

// TestRefused: what is not a boot part is refused with a sentence, and leaves the slot empty and everything else as it was.
func TestRefused(t *testing.T) {
	good := system("v2")
	with := func(name, text string) []byte {
		files := maps.Clone(good)
		files[name] = []byte(text)
		return part(t, files)
	}
	without := func(name string) []byte {
		files := maps.Clone(good)
		delete(files, name)
		return part(t, files)
	}
	header := func(h tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		h.ModTime = built
		if err := errors.Join(w.WriteHeader(&h), w.Close()); err != nil {
			t.Fatal(err)
		}
		return append(b.Bytes()[:b.Len()-1024], part(t, good)...)
	}
	whole := part(t, good)
	reversed := func() []byte {
		one, two := part(t, map[string][]byte{"vmlinuz": nil}), part(t, map[string][]byte{"cmdline.txt": []byte(cmdline)})
		return append(one[:512:512], two...)
	}()
	many := map[string][]byte{}
	for i := range 5000 {
		many[fmt.Sprint("file", i)] = nil
	}
	m := format(t, bootpart.BoardPi, small)
	p := open(t, m)
	writeSlot(t, p, bootpart.SlotA, "v1")
	for what, c := range map[string]struct {
		boot []byte
		want string
	}{
		"empty":                      {nil, "ends in the middle"},
		"no files":                   {make([]byte, 1024), "no vmlinuz"},
		"cut off":                    {whole[:len(whole)-1500], "ends in the middle"},
		"cut off at its end":         {whole[:len(whole)-512], "ends in the middle"},
		"more behind it":             {append(bytes.Clone(whole), 0), "behind its end"},
		"no kernel":                  {without("vmlinuz"), "no vmlinuz"},
		"no command line":            {without("cmdline.txt"), "no cmdline.txt"},
		"no placeholder":             {with("cmdline.txt", "root=/dev/sda\n"), "cmdline.txt does not name the slot"},
		"two placeholders":           {with("cmdline.txt", "root=SLOT root=SLOT\n"), "cmdline.txt does not name the slot"},
		"another root":               {with("cmdline.txt", "root=SLOT root=/dev/sda\n"), "cmdline.txt does not name the slot"},
		"part of a word":             {with("cmdline.txt", "xroot=SLOT\n"), "cmdline.txt does not name the slot"},
		"two lines":                  {with("cmdline.txt", "root=SLOT\nquiet\n"), "cmdline.txt does not name the slot"},
		"no end of the line":         {with("cmdline.txt", "root=SLOT"), "cmdline.txt does not name the slot"},
		"a long command line":        {with("cmdline.txt", "root=SLOT "+strings.Repeat("x", 1600)+"\n"), "too long"},
		"a long config.txt":          {with("config.txt", config+strings.Repeat("a=b\n", 130)), "too long"},
		"config.txt without a slot":  {with("config.txt", "arm_64bit=1\n"), "config.txt does not name the slot"},
		"config.txt with two":        {with("config.txt", config+"os_prefix=slot-a/\n"), "config.txt does not name the slot"},
		"config.txt with empty ends": {with("config.txt", config+"\n\n"), "config.txt does not name the slot"},
		"the filler":                 {with("Unused", "x"), "none of its"},
		"a manifest":                 {with("manifest.json", "x"), "none of its"},
		"two of one name":            {with("VMLINUZ", "x"), "same name"},
		"two folders of one name":    {with("Overlays/x", "x"), "same name"},
		"a file and a folder":        {with("overlays", "x"), "same name"},
		"above":                      {with("../escape", "x"), "leads elsewhere"},
		"absolute":                   {with("/etc/passwd", "x"), "is empty"},
		"dots":                       {with("overlays/../x", "x"), "leads elsewhere"},
		"a drive":                    {with("c:x", "x"), "character"},
		"a backslash":                {with(`a\b`, "x"), "character"},
		"a control character":        {with("a\nb", "x"), "character"},
		"a dot at the end":           {with("vmlinuz.", "x"), "ends with a dot"},
		"a space at the end":         {with("vmlinuz ", "x"), "space"},
		"a folder":                   {header(tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755, Format: tar.FormatUSTAR}), "not a tar as"},
		"a link":                     {header(tar.Header{Name: "link", Linkname: "x", Typeflag: tar.TypeSymlink, Format: tar.FormatUSTAR}), "not a tar as"},
		"another mode":               {header(tar.Header{Name: "a", Mode: 0o755, Format: tar.FormatUSTAR}), "not a tar as"},
		"an owner":                   {header(tar.Header{Name: "a", Mode: 0o644, Uid: 1, Format: tar.FormatUSTAR}), "not a tar as"},
		"a PAX header":               {header(tar.Header{Name: "a", Mode: 0o644, PAXRecords: map[string]string{"X.y": "z"}, Format: tar.FormatPAX}), "not a tar as"},
		"a GNU header":               {header(tar.Header{Name: "a", Mode: 0o644, Format: tar.FormatGNU}), "not a tar as"},
		"a long name":                {header(tar.Header{Name: strings.Repeat("d/", 60) + "x", Mode: 0o644, Format: tar.FormatUSTAR}), "not a tar as"},
		"out of order":               {reversed, "not sorted"},
		"deep":                       {with("1/2/3/4/5/6/7/8/9", "x"), "folders deep"},
		"too large":                  {with("z", strings.Repeat("x", 2<<20)), "more than the 2 MB of a slot"},
		"too large to be":            {append(header(tar.Header{Name: "a", Mode: 0o644, Size: 0, Format: tar.FormatUSTAR})[:124], append([]byte("77777777777"), whole[135:]...)...), "not a tar as"},
		"too many":                   {part(t, many), "more than 4096 files"},
	} {
		t.Run(what, func(t *testing.T) {
			checkRefused(t, m, p, c.boot, c.want)
		})
	}
}

// checkRefused writes a part, which is refused with some words.
func checkRefused(t *testing.T, m *memory, p *bootpart.Partition, boot []byte, want string) {
	t.Helper()
	writeSlot(t, p, bootpart.SlotB, "v3")
	before := bytes.Clone(m.b)
	err := p.WriteSlot(t.Context(), bootpart.SlotB, bytes.NewReader(boot), slotOf(bootpart.SlotB, "v2"), nil)
	if !errors.Is(err, bootpart.ErrPart) || !strings.Contains(err.Error(), want) {
		t.Fatalf("it gives %v, want %q", err, want)
	}
	if _, err := readSlot(t, p, bootpart.SlotB); !errors.Is(err, bootpart.ErrEmpty) {
		t.Errorf("the slot then gives %v", err)
	}
	if !sameBut(before, m.b, p.Region(bootpart.SlotB)) {
		t.Error("something else has changed")
	}
}

// TestRefusedSlots: bad arguments change nothing.
func TestRefusedSlots(t *testing.T) {
	m := format(t, bootpart.BoardPi, small)
	p := open(t, m)
	writeSlot(t, p, bootpart.SlotA, "v1")
	before := bytes.Clone(m.b)
	for what, s := range map[string]bootpart.Slot{
		"no partition": {}, "two words": {PartUUID: "706f7069-02 init=/bin/sh"},
		"a path":     {PartUUID: "706f7069-02", Extra: map[string][]byte{"a/b": nil}},
		"the filler": {PartUUID: "706f7069-02", Extra: map[string][]byte{"UNUSED": nil}},
		"too large":  {PartUUID: "706f7069-02", Extra: map[string][]byte{"x": make([]byte, bootpart.MaxFile+1)}},
	} {
		if err := p.WriteSlot(t.Context(), bootpart.SlotA, bytes.NewReader(part(t, system("v2"))), s, nil); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if err := p.WriteSlot(t.Context(), "slot-c", bytes.NewReader(nil), slotOf(bootpart.SlotA, ""), nil); err == nil {
		t.Error("there is a third slot")
	}
	if !bytes.Equal(before, m.b) {
		t.Error("something was written")
	}
	if _, err := p.SlotFile(bootpart.SlotA, "nothing"); !errors.Is(err, bootpart.ErrNotFound) {
		t.Errorf("a file that is not there gives %v", err)
	}
	if _, err := p.SlotFile(bootpart.SlotB, "nothing"); !errors.Is(err, bootpart.ErrNotFound) || !errors.Is(err, bootpart.ErrEmpty) {
		t.Errorf("a file of an empty slot gives %v", err)
	}
	var b bytes.Buffer
	if err := p.ReadSlot(t.Context(), bootpart.SlotA, slotOf(bootpart.SlotB, ""), &b); err == nil {
		t.Error("a slot with another root partition is read as if it were right")
	}
}

// TestFormatRefuses: what cannot be a boot partition is not made.
func TestFormatRefuses(t *testing.T) {
	for what, change := range map[string]func(*bootpart.Options){
		"no board":             func(o *bootpart.Options) { o.Board = "toaster" },
		"a file in a slot":     func(o *bootpart.Options) { o.Files = map[string][]byte{"Slot-A/x": nil} },
		"a file called a slot": func(o *bootpart.Options) { o.Files = map[string][]byte{"SLOT-B": nil} },
		"too much":             func(o *bootpart.Options) { o.Files = map[string][]byte{"x": make([]byte, 1<<20)} },
		"an early time":        func(o *bootpart.Options) { o.Time = time.Unix(0, 0) },
		"no room":              func(o *bootpart.Options) { o.Geometry.Region = 4 << 20 },
		"odd sizes":            func(o *bootpart.Options) { o.Geometry.Region++ },
	} {
		o := options(bootpart.BoardPi, small)
		change(&o)
		if err := bootpart.Format(&memory{make([]byte, 8<<20)}, o); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
