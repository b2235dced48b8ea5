package bootpart_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"porthole/packages/internal/bootpart"
)

// event is a write, or a sync.
type event struct {
	at   int64
	data []byte
}

func (e event) sync() bool { return e.data == nil }

// recorder is a medium that remembers what was asked of it.
type recorder struct {
	memory
	log []event
}

func (r *recorder) WriteAt(p []byte, at int64) (int, error) {
	r.log = append(r.log, event{at, bytes.Clone(p)})
	return r.memory.WriteAt(p, at)
}

func (r *recorder) Sync() error {
	r.log = append(r.log, event{})
	return nil
}

// apply writes some sectors of an event.
func (e event) apply(to []byte, which func(sector int) bool) {
	for i := 0; i < len(e.data); i += 512 {
		if which(i / 512) {
			copy(to[e.at+int64(i):], e.data[i:i+512])
		}
	}
}

func all(int) bool { return true }

// cuts calls check for what may be on the medium after a power cut at any moment of the log: everything before it; of the
// write at that moment the first sectors, or the last; and of what was not yet synced any sectors at all.
func cuts(t *testing.T, before []byte, log []event, check func(when string, m []byte)) {
	t.Helper()
	if len(log) == 0 || !log[len(log)-1].sync() {
		t.Fatal("the last write was not synced")
	}
	scratch := make([]byte, len(before))
	state := func(synced int, when string, more func([]byte)) {
		copy(scratch, before)
		for _, e := range log[:synced] {
			e.apply(scratch, all)
		}
		more(scratch)
		check(when, scratch)
	}
	r := rand.New(rand.NewPCG(9, 9))
	synced := 0
	for i, e := range log {
		state(i, fmt.Sprint("before event ", i), func([]byte) {})
		if e.sync() {
			for round := range 24 {
				chance := r.IntN(101)
				state(synced, fmt.Sprint("unsynced before event ", i, ", round ", round), func(m []byte) {
					for _, e := range log[synced:i] {
						e.apply(m, func(int) bool { return r.IntN(100) < chance })
					}
				})
			}
			synced = i + 1
			continue
		}
		sectors := len(e.data) / 512
		for k := 1; k < sectors; k += max(1, sectors/16) {
			state(i, fmt.Sprint("event ", i, ", the first ", k, " sectors"), func(m []byte) { e.apply(m, func(s int) bool { return s < k }) })
			state(i, fmt.Sprint("event ", i, ", the last ", k, " sectors"), func(m []byte) { e.apply(m, func(s int) bool { return s >= sectors-k }) })
		}
	}
	state(len(log), "at the end", func([]byte) {})
}

// sameBut tells whether two media have the same bytes but for some spans.
func sameBut(a, b []byte, spans []bootpart.Span) bool {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b bootpart.Span) int { return int(a[0] - b[0]) })
	from := int64(0)
	for _, s := range append(spans, bootpart.Span{int64(len(a))}) {
		if !bytes.Equal(a[from:s[0]], b[from:s[0]]) {
			return false
		}
		from = s[1]
	}
	return true
}

// TestWriteSlotCuts: whenever the power is cut while a slot is written, nothing outside of its region has changed, the other
// slot reads as before, and the slot is what it was, nothing, or the new one.
func TestWriteSlotCuts(t *testing.T) {
	for _, slot := range []string{bootpart.SlotA, bootpart.SlotB} {
		t.Run(slot, func(t *testing.T) {
			m := &recorder{memory: *format(t, bootpart.BoardPi, small)}
			p := open(t, m)
			other := map[string]string{bootpart.SlotA: bootpart.SlotB, bootpart.SlotB: bootpart.SlotA}[slot]
			writeSlot(t, p, slot, "v1")
			writeSlot(t, p, other, "v2")
			before, old, kept := bytes.Clone(m.b), part(t, system("v1")), part(t, system("v2"))
			m.log = nil
			writeSlot(t, p, slot, "v3")
			wanted := part(t, system("v3"))
			region := p.Region(slot)
			for _, e := range m.log {
				if !e.sync() && !slices.ContainsFunc(region, func(s bootpart.Span) bool { return s.Has(e.at, len(e.data)) }) {
					t.Fatalf("%d bytes are written at %d, outside of the slot's region", len(e.data), e.at)
				}
			}
			seen := map[string]int{}
			cuts(t, before, m.log, func(when string, b []byte) {
				if !sameBut(before, b, region) {
					t.Fatalf("%s: something outside of the region has changed", when)
				}
				p := open(t, &memory{b})
				if got, err := readSlot(t, p, other); err != nil || !bytes.Equal(got, kept) {
					t.Fatalf("%s: the other slot has changed: %v", when, err)
				}
				got, err := readSlot(t, p, slot)
				switch {
				case err != nil:
					seen["nothing"]++
					if _, err := p.SlotFile(slot, bootpart.Kernel); err == nil {
						t.Fatalf("%s: there is a kernel in a slot that is not whole", when)
					}
				case bytes.Equal(got, old):
					seen["old"]++
				case bytes.Equal(got, wanted):
					seen["new"]++
				default:
					t.Fatalf("%s: the slot is neither what it was nor what it will be", when)
				}
			})
			t.Log(seen)
			if seen["nothing"] < 100 || seen["old"] == 0 || seen["new"] == 0 {
				t.Errorf("the cuts found %v", seen)
			}
		})
	}
}

// broken is a medium on which everything fails from some call on.
type broken struct {
	*recorder
	left int
}

var errBroken = errors.New("the card is gone")

func (b *broken) call() error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return nil
}

func (b *broken) ReadAt(p []byte, at int64) (int, error) {
	if err := b.call(); err != nil {
		return 0, err
	}
	return b.recorder.ReadAt(p, at)
}

func (b *broken) WriteAt(p []byte, at int64) (int, error) {
	if err := b.call(); err != nil {
		return 0, err
	}
	return b.recorder.WriteAt(p, at)
}

func (b *broken) Sync() error {
	if err := b.call(); err != nil {
		return err
	}
	return b.recorder.Sync()
}

// TestErrors: each error of the medium is passed on, whichever call it is.
func TestErrors(t *testing.T) {
	image := format(t, bootpart.BoardVM, small)
	writeSlot(t, open(t, image), bootpart.SlotA, "v1")
	boot := part(t, system("v2"))
	for calls := 0; ; calls++ {
		m := &broken{&recorder{memory: memory{bytes.Clone(image.b)}}, calls}
		err := func() error {
			p, err := bootpart.Open(m)
			if err != nil {
				return err
			}
			l, err := p.Loader(bootpart.BoardVM)
			if err != nil {
				return err
			}
			return errors.Join(l.Keep(bootpart.SlotA), l.Off(bootpart.SlotB),
				p.WriteSlot(t.Context(), bootpart.SlotB, bytes.NewReader(boot), slotOf(bootpart.SlotB, "v2"), nil),
				p.ReadSlot(t.Context(), bootpart.SlotB, slotOf(bootpart.SlotB, ""), io.Discard), l.Arm(bootpart.SlotB))
		}()
		if m.left >= 0 {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d calls", calls)
			return
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("call %d fails, and what is said is %v", calls, err)
		}
	}
}
