package bootpart_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"porthole/packages/internal/bootpart"
)

func loader(t testing.TB, p *bootpart.Partition, board string) bootpart.Loader {
	t.Helper()
	l, err := p.Loader(board)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// device returns a boot partition as a device has it: the first slot is what starts.
func device(t testing.TB, board string, g bootpart.Geometry) *recorder {
	t.Helper()
	m := &recorder{memory: *format(t, board, g)}
	p := open(t, m)
	writeSlot(t, p, bootpart.SlotA, "v1")
	if err := loader(t, p, board).Keep(bootpart.SlotA); err != nil {
		t.Fatal(err)
	}
	return m
}

// starts returns which slot the next restart starts, the one after it if nobody does anything, and whether there is a trace
// of a trial.
func starts(t testing.TB, l bootpart.Loader) (next, then string, tried bool) {
	t.Helper()
	then, err := l.Default()
	if err != nil {
		t.Fatal(err)
	}
	next = then
	for _, slot := range []string{bootpart.SlotA, bootpart.SlotB} {
		armed, was, err := l.Armed(slot)
		if err != nil {
			t.Fatal(err)
		}
		if armed {
			next = slot
		}
		tried = tried || was
	}
	return next, then, tried
}

// TestLoader goes through the life of a device.
func TestLoader(t *testing.T) {
	for _, board := range []string{bootpart.BoardPi, bootpart.BoardVM} {
		t.Run(board, func(t *testing.T) {
			m := device(t, board, medium)
			p := open(t, m)
			l := loader(t, p, board)
			step := func(what string, err error, next, then string) {
				t.Helper()
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if n, d, _ := starts(t, loader(t, open(t, m), board)); n != next || d != then {
					t.Fatalf("after %s %s starts and then %s, not %s and %s", what, n, d, next, then)
				}
			}
			a, b := bootpart.SlotA, bootpart.SlotB
			step("nothing", nil, a, a)
			if err := l.Arm(b); !errors.Is(err, bootpart.ErrEmpty) {
				t.Fatalf("arming an empty slot gives %v", err)
			}
			step("Off", l.Off(b), a, a)
			writeSlot(t, p, b, "v2")
			step("WriteSlot", nil, a, a)
			step("Arm", l.Arm(b), b, a)
			peers(t, m.b)
			step("Arm again", l.Arm(b), b, a)
			step("Off", l.Off(b), a, a)
			step("Off again", l.Off(b), a, a)
			step("Arm after Off", l.Arm(b), b, a)
			for what, err := range map[string]error{"Arm": l.Arm(a), "Off": l.Off(a)} {
				if !errors.Is(err, bootpart.ErrDefault) {
					t.Errorf("%s of what starts by default gives %v", what, err)
				}
			}
			step("Keep", l.Keep(b), b, b)
			step("Keep again", l.Keep(b), b, b)
			step("Arm the old", l.Arm(a), a, b)
			step("Off", l.Off(a), b, b)
			step("Keep without a trial", l.Keep(a), a, a)
			files := peers(t, m.b)
			checkFiles(t, board, files)
			checkSlot(t, p, a, "v1")
			checkSlot(t, p, b, "v2")
			if _, _, err := l.Armed("slot-c"); err == nil {
				t.Error("there is a third slot")
			}
		})
	}
	if _, err := open(t, format(t, bootpart.BoardPi, small)).Loader("toaster"); err == nil {
		t.Error("a board that is none has a loader")
	}
	for board, other := range map[string]string{bootpart.BoardPi: bootpart.BoardVM, bootpart.BoardVM: bootpart.BoardPi} {
		if _, err := open(t, format(t, board, small)).Loader(other); !errors.Is(err, bootpart.ErrLayout) {
			t.Errorf("the loader of another board gives %v", err)
		}
	}
}

// checkFiles looks at the loader's files as its readers do, after slot-a was kept last.
func checkFiles(t *testing.T, board string, files map[string][]byte) {
	t.Helper()
	if board == bootpart.BoardPi {
		text := files["config.txt"]
		if len(text) != 512 || !strings.HasPrefix(string(text), "os_prefix=slot-a/\narm_64bit=1\n") || !bytes.Equal(text, files["slot-a/config.txt"]) {
			t.Errorf("config.txt is %q", text)
		}
		return
	}
	name := regexp.MustCompile(`^loader/entries/porthole-[0-9]{6}\.conf$`)
	var found []string
	for n, text := range files {
		if name.MatchString(n) {
			found = append(found, fmt.Sprintf("%s: %s", n, text))
		}
	}
	slices.Sort(found)
	want := "title Porthole\nlinux /slot-a/vmlinuz\noptions console=serial0,115200 root=PARTUUID=706f7069-02 rootwait ro\n"
	if len(found) == 0 || !strings.HasSuffix(found[len(found)-1], want) {
		t.Errorf("the entries are %q", found)
	}
}

// TestLoaderCuts: whenever the power is cut while the loader's files are changed, what starts is what was to start before or
// after, its text is whole, and nothing else has changed.
func TestLoaderCuts(t *testing.T) {
	for _, board := range []string{bootpart.BoardPi, bootpart.BoardVM} {
		t.Run(board, func(t *testing.T) {
			m := device(t, board, small)
			p := open(t, m)
			l := loader(t, p, board)
			writeSlot(t, p, bootpart.SlotB, "v2")
			arm := func(slot string) func() error { return func() error { return l.Arm(slot) } }
			keep := func(slot string) func() error { return func() error { return l.Keep(slot) } }
			off := func(slot string) func() error { return func() error { return l.Off(slot) } }
			rewrite := func() error {
				s := slotOf(bootpart.SlotB, "v3")
				s.PartUUID = "706f7069-77"
				return p.WriteSlot(t.Context(), bootpart.SlotB, bytes.NewReader(part(t, system("v3"))), s, nil)
			}
			for i, change := range []func() error{
				arm(bootpart.SlotB), arm(bootpart.SlotB), off(bootpart.SlotB), off(bootpart.SlotB), arm(bootpart.SlotB), keep(bootpart.SlotB),
				keep(bootpart.SlotB), arm(bootpart.SlotA), keep(bootpart.SlotA),
				// What is armed has another text now than the entry that was kept.
				rewrite, arm(bootpart.SlotB), keep(bootpart.SlotB), off(bootpart.SlotA), keep(bootpart.SlotA),
			} {
				checkCuts(t, fmt.Sprint("change ", i), board, m, change)
			}
		})
	}
}

func checkCuts(t *testing.T, name, board string, m *recorder, change func() error) {
	t.Helper()
	before := bytes.Clone(m.b)
	p := open(t, &memory{before})
	next, then, _ := starts(t, loader(t, p, board))
	m.log = nil
	if err := change(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	newNext, newThen, _ := starts(t, loader(t, open(t, m), board))
	if len(m.log) == 0 {
		return
	}
	var may []bootpart.Span
	if board == bootpart.BoardPi {
		config, tryboot := p.Configs()
		may = []bootpart.Span{config, tryboot}
	} else {
		folder, texts := p.Entries()
		may = []bootpart.Span{folder, texts[0], texts[1]}
	}
	slotWritten := len(m.log) > 8
	if slotWritten {
		may = p.Region(bootpart.SlotB)
	} else if board == bootpart.BoardPi && slices.ContainsFunc(m.log, func(e event) bool { return !e.sync() && len(e.data) != 512 }) {
		t.Errorf("%s writes more than single sectors", name)
	}
	cuts(t, before, m.log, func(when string, b []byte) {
		if !sameBut(before, b, may) {
			t.Fatalf("%s, %s: something else has changed", name, when)
		}
		p := open(t, &memory{b})
		n, d, _ := starts(t, loader(t, p, board))
		if n != next && n != newNext && n != d || d != then && d != newThen {
			t.Fatalf("%s, %s: %s starts and then %s; it was %s and %s, to be %s and %s", name, when, n, d, next, then, newNext, newThen)
		}
		if board == bootpart.BoardVM && !slotWritten {
			checkTexts(t, name+", "+when, p, b, []string{n, d})
		}
	})
}

// checkTexts: what starts has a text for its slot as it is.
func checkTexts(t *testing.T, when string, p *bootpart.Partition, b []byte, slots []string) {
	t.Helper()
	_, texts := p.Entries()
	for i, slot := range []string{bootpart.SlotA, bootpart.SlotB} {
		if !slices.Contains(slots, slot) {
			continue
		}
		line, err := p.SlotFile(slot, bootpart.Cmdline)
		if err != nil {
			t.Fatal(err)
		}
		text := string(bytes.TrimRight(b[texts[i][0]:texts[i][1]], "\x00"))
		if want := fmt.Sprintf("title Porthole\nlinux /%s/vmlinuz\noptions %s", slot, line); text != want {
			t.Fatalf("%s: %s would start with %q, not %q", when, slot, text, want)
		}
	}
}

// renamed is what systemd-boot 250.5 and edk2 2022.11 left of a folder when they had started an armed entry: the former
// name deleted, the new one behind all others.
const renamed = `
2e20202020202020202020100064d738765d765d0000d738765d060000000000 2e2e202020202020202020100064d738765d765d0000d738765d050000000000
42300031002e0063006f000f000d6e0066000000ffffffffffff0000ffffffff 0170006f007200740068000f000d6f006c0065002d0030003000000030003000
504f5254484f7e31434f4e200064d738765d765d0000d738765d070011010000 e5300032002b0031002e000f000763006f006e0066000000ffff0000ffffffff
e570006f007200740068000f00076f006c0065002d0030003000000030003000 e54f5254484f7e32434f4e200064d738765d765d0000d738765d080011010000
42300032002b0030002d000f002d31002e0063006f006e00660000000000ffff 0170006f007200740068000f002d6f006c0065002d0030003000000030003000
504f5254484f7e32434f4e200064d738765d765d0000d738765d080011010000`

// TestLoaderAfterTrial reads and mends what edk2 leaves.
func TestLoaderAfterTrial(t *testing.T) {
	m := device(t, bootpart.BoardVM, medium)
	p := open(t, m)
	l := loader(t, p, bootpart.BoardVM)
	writeSlot(t, p, bootpart.SlotB, "v2")
	if err := l.Arm(bootpart.SlotB); err != nil {
		t.Fatal(err)
	}
	left, err := hex.DecodeString(strings.Join(strings.Fields(renamed), ""))
	if err != nil {
		t.Fatal(err)
	}
	folder, _ := p.Entries()
	at := m.b[folder[0]:folder[1]]
	// The clusters' numbers are those of the partition that the bytes come from.
	first := at[26]
	for i := 0; i < len(left); i += 32 {
		if left[i+11] != 0x0f && left[i+26] >= 6 {
			left[i+26] += first - 6
		} else if left[i+11] != 0x0f {
			left[i+26] = at[32+26]
		}
	}
	trace := func(what string, wantNext string, wantTried bool) {
		t.Helper()
		peers(t, m.b)
		if next, then, tried := starts(t, l); next != wantNext || then != bootpart.SlotA || tried != wantTried {
			t.Errorf("%s: %s starts and then %s, tried %v", what, next, then, tried)
		}
	}
	copy(at, left)
	trace("after the trial", bootpart.SlotA, true)
	if err := l.Arm(bootpart.SlotB); err != nil {
		t.Fatal(err)
	}
	trace("armed again", bootpart.SlotB, false)
	copy(at, left)
	if err := l.Keep(bootpart.SlotB); err != nil {
		t.Fatal(err)
	}
	if next, then, tried := starts(t, l); next != bootpart.SlotB || then != bootpart.SlotB || tried {
		t.Errorf("kept: %s starts and then %s, tried %v", next, then, tried)
	}
	copy(at, left)
	// A cut in edk2's renaming: both names, or none.
	for _, first := range []byte{0x43, 0x42} { // a long name that is not whole, and one that is
		at[5*32], at[6*32], at[7*32] = first, 1, 'P'
		if next, then, tried := starts(t, l); next != bootpart.SlotA || then != bootpart.SlotA || !tried {
			t.Errorf("both names: %s starts and then %s, tried %v", next, then, tried)
		}
	}
	clear(at[5*32:])
	if next, then, tried := starts(t, l); next != bootpart.SlotA || then != bootpart.SlotA || tried {
		t.Errorf("no name: %s starts and then %s, tried %v", next, then, tried)
	}
	if err := l.Arm(bootpart.SlotB); err != nil {
		t.Fatal(err)
	}
	trace("armed from nothing", bootpart.SlotB, false)
}

// TestGenerations: the greatest number is followed by small ones, in the same order.
func TestGenerations(t *testing.T) {
	m := device(t, bootpart.BoardVM, small)
	p := open(t, m)
	l := loader(t, p, bootpart.BoardVM)
	writeSlot(t, p, bootpart.SlotB, "v2")
	folder, _ := p.Entries()
	at := m.b[folder[0]:folder[1]]
	// porthole-000001.conf becomes porthole-999999.conf.
	text := bytes.ReplaceAll(at, []byte("0\x000\x00"), []byte("9\x009\x00"))
	text = bytes.Replace(text, []byte("0\x001\x00"), []byte("9\x009\x00"), 1)
	copy(at, text)
	for i, want := range []string{bootpart.SlotB, bootpart.SlotA, bootpart.SlotB} {
		if err := errors.Join(l.Arm(want), l.Keep(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Default(); got != want || err != nil {
			t.Errorf("%d: %s starts: %v", i, got, err)
		}
	}
}

// TestLoaderChangedByHand: files that somebody has edited give a sentence.
func TestLoaderChangedByHand(t *testing.T) {
	m := device(t, bootpart.BoardPi, small)
	p := open(t, m)
	config, _ := p.Configs()
	copy(m.b[config[0]:], "# slot-a/ is what I want\n")
	if _, err := loader(t, p, bootpart.BoardPi).Default(); err == nil || !strings.Contains(err.Error(), "names no slot") {
		t.Errorf("config.txt without a slot gives %v", err)
	}
	copy(m.b[config[0]:], "os_prefix=other/         \n")
	if err := loader(t, p, bootpart.BoardPi).Off(bootpart.SlotB); err == nil || !strings.Contains(err.Error(), "no slot") {
		t.Errorf("config.txt with another prefix gives %v", err)
	}
	if i := bytes.Index(m.b, []byte("CONFIG  TXT")); i < 0 {
		t.Fatal("no config.txt")
	} else {
		m.b[i+28]++
	}
	if _, err := p.Loader(bootpart.BoardPi); !errors.Is(err, bootpart.ErrLayout) || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("a longer config.txt gives %v", err)
	}
}
