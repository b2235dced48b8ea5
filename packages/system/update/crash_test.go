package update_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"porthole/packages/internal/bootpart"
	shared "porthole/packages/internal/update"
	"porthole/packages/system/update"
)

// cut is what a power cut panics with.
type cut struct{}

// grid is the power grid: it fails at some of the moments in which something changes on the card.
type grid struct {
	r *rig
	// at are the moments, in order; now counts.
	at  []int
	now int
	// loses means that what was not synced is lost, instead of being on the card as after a SIGKILL.
	loses    bool
	unsynced []change
	moments  []string
}

// change is what a write that is not synced has overwritten.
type change struct {
	device string
	at     int64
	before []byte
}

// moment is one in which power may fail.
func (g *grid) moment(what string) {
	g.moments = append(g.moments, what)
	g.now++
	if len(g.at) > 0 && g.now == g.at[0] {
		g.at = g.at[1:]
		panic(cut{})
	}
}

// medium is told of all that is done to the card.
func (g *grid) medium(device, op string, at int64, p []byte) error {
	switch op {
	case "write":
		g.moment(fmt.Sprintf("write %s at %d", device, at))
		if g.loses {
			before := make([]byte, len(p))
			f, err := os.Open(g.r.path(device))
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := f.ReadAt(before, at); err != nil {
				return err
			}
			g.unsynced = append(g.unsynced, change{device, at, before})
		}
	case "sync":
		g.moment("sync " + device)
		var left []change
		for _, c := range g.unsynced {
			if c.device != device {
				left = append(left, c)
			}
		}
		g.unsynced = left
	}
	return nil
}

// lose takes back what was not synced.
func (g *grid) lose() {
	g.r.t.Helper()
	for i := len(g.unsynced) - 1; i >= 0; i-- {
		c := g.unsynced[i]
		f, err := os.OpenFile(g.r.path(c.device), os.O_WRONLY, 0)
		if err != nil {
			g.r.t.Fatal(err)
		}
		if _, err := f.WriteAt(c.before, c.at); err != nil {
			g.r.t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			g.r.t.Fatal(err)
		}
	}
	g.unsynced = nil
}

// live has a device be updated, with power cuts, until the update has come to an end. It starts what is on the card over and over,
// and fails if that is not whole.
func (g *grid) live() shared.Status {
	r := g.r
	r.t.Helper()
	r.setFault(g.medium)
	r.step = g.moment
	reset := "power"
	for range 20 {
		status, over, powerless := g.session(reset)
		if over {
			return status
		}
		if reset = "software"; powerless {
			reset = "power"
			if g.loses {
				g.lose()
			}
			r.restart(false)
		}
		g.unsynced = nil
	}
	r.t.Fatalf("it does not come to an end: %v", g.moments)
	return shared.Status{}
}

// session is one run of a device, from its start to a restart, a power cut or the update's end.
func (g *grid) session(reset string) (status shared.Status, over, powerless bool) {
	r := g.r
	defer func() {
		switch p := recover().(type) {
		case nil:
		case cut:
			powerless = true
		default:
			panic(p)
		}
	}()
	e := r.start(reset, "")
	if e.Status().Phase != shared.Trying {
		if other, wanted := e.Wish(); wanted {
			r.restart(other)
			return status, false, false
		}
	}
	switch s := e.Status(); s.Phase {
	case shared.Idle, shared.Receiving, shared.Ready:
		r.install(e, newVersion)
		return s, false, false
	case shared.Trying:
		for range 3 {
			if e.Look(r.t.Context()) {
				break
			}
		}
		if other, wanted := e.Wish(); wanted {
			r.restart(other)
			return s, false, false
		}
		return e.Status(), true, false
	default:
		return s, true, false
	}
}

// check looks at a device whose update has come to an end.
func (g *grid) check(s shared.Status, want shared.Phase) {
	r := g.r
	r.t.Helper()
	r.setFault(nil)
	r.step = nil
	slot, version := shared.SlotB, newVersion
	if want == shared.RolledBack {
		slot, version = shared.SlotA, oldVersion
	}
	l := r.loader()
	standard, err := l.Default()
	armed, _, armedErr := l.Armed(otherSlot(standard))
	if s.Phase != want || s.Version != version || len(s.History) != 1 || s.History[0].What != want || standard != slot || err != nil || armedErr != nil {
		r.t.Errorf("at the end %+v; %s starts, %v, %v", s, standard, err, armedErr)
	}
	if want == shared.RolledBack && (armed || !strings.Contains(s.Reason, "not healthy")) {
		r.t.Errorf("armed %v, reason %q", armed, s.Reason)
	}
	if r.read("perm/update/trial.log") != nil {
		r.t.Error("the journal is still there")
	}
	// And it stays so.
	r.restart(false)
	if again := r.start("power", "").Status(); again.Phase != want || again.Version != version || len(again.History) != 1 {
		r.t.Errorf("started again: %+v", again)
	}
}

// TestPowerCuts cuts power at every moment in which something changes on the card, once with and once without what was not synced: each
// time a whole system starts, and the update ends as it does without a cut.
func TestPowerCuts(t *testing.T) {
	base := newRig(t)
	base.update(newVersion)
	for _, want := range []shared.Phase{shared.Kept, shared.RolledBack} {
		prepare := func(t *testing.T, loses bool, at ...int) *grid {
			r := base.copyOf(t)
			if want == shared.RolledBack {
				r.healthy("console")
				r.deadline = 1
			}
			return &grid{r: r, loses: loses, at: at}
		}
		g := prepare(t, false)
		g.check(g.live(), want)
		moments := g.moments
		if len(moments) < 30 {
			t.Fatalf("only %d moments: %v", len(moments), moments)
		}
		for i := range moments {
			for _, loses := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/loses %t/%d %s", want, loses, i+1, moments[i]), func(t *testing.T) {
					g := prepare(t, loses, i+1)
					g.check(g.live(), want)
					if len(g.at) > 0 {
						t.Error("power was not cut")
					}
				})
			}
		}
		random := rand.New(rand.NewPCG(9, 9))
		for range 60 {
			first := random.IntN(len(moments)) + 1
			second := first + random.IntN(len(moments)) + 1
			t.Run(fmt.Sprintf("%s/%d and %d", want, first, second), func(t *testing.T) {
				g := prepare(t, true, first, second)
				g.check(g.live(), want)
			})
		}
	}
}

// TestNothingIsArmedBeforeItIsThere replays all writes of an update as a card would see them: whenever a slot can start, all of it is
// synced and was read back.
func TestNothingIsArmedBeforeItIsThere(t *testing.T) {
	r := newRig(t)
	want := r.update(newVersion)
	type op struct{ device, op string }
	var log []op
	r.setFault(func(device, what string, at int64, p []byte) error {
		log = append(log, op{device, what})
		if what != "write" || device != "boot" {
			return nil
		}
		// The card as it would be with this write done at once.
		before := r.read("boot")
		after := append([]byte{}, before...)
		copy(after[at:], p)
		if starts(t, before, shared.SlotB) || !starts(t, after, shared.SlotB) {
			return nil
		}
		for _, device := range []string{"boot", "root-b"} {
			last := map[string]int{}
			for i, o := range log[:len(log)-1] {
				if o.device == device {
					last[o.op] = i
				}
			}
			if last["write"] == 0 || last["sync"] < last["write"] || last["read"] < last["sync"] {
				t.Errorf("armed, and of %s the last write was the %d., sync the %d., read the %d.", device, last["write"], last["sync"], last["read"])
			}
		}
		if got := r.slotVersion(shared.SlotB); got != want.Manifest.Version {
			t.Errorf("armed while it holds %q", got)
		}
		log = append(log, op{"", "armed"})
		return nil
	})
	r.install(r.start("power", ""), newVersion)
	if n := count(log, op{"", "armed"}); n != 1 {
		t.Errorf("it was armed %d times", n)
	}
}

func count[T comparable](list []T, v T) (n int) {
	for _, x := range list {
		if x == v {
			n++
		}
	}
	return n
}

// starts tells whether a boot partition could start a slot.
func starts(t *testing.T, image []byte, slot string) bool {
	t.Helper()
	p, err := bootpart.Open(readOnly{image})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Loader(bootpart.BoardPi)
	if err != nil {
		t.Fatal(err)
	}
	standard, err := l.Default()
	if err != nil {
		t.Fatal(err)
	}
	if standard == slot {
		return true
	}
	armed, _, err := l.Armed(slot)
	if err != nil {
		t.Fatal(err)
	}
	return armed
}

// readOnly is an image that nobody writes to.
type readOnly struct{ b []byte }

func (m readOnly) ReadAt(p []byte, at int64) (int, error) { return copy(p, m.b[at:]), nil }
func (readOnly) WriteAt([]byte, int64) (int, error)       { panic("written") }
func (readOnly) Sync() error                              { panic("synced") }

var _ update.Looker = (*rig)(nil)
