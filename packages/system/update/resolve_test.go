package update_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	shared "porthole/packages/internal/update"
	"porthole/packages/system/update"
)

// state is state.json, as far as a test sets it.
type state map[string]any

func (r *rig) setState(s state) {
	r.t.Helper()
	manifest, signature := r.update(newVersion).Signed(r.t, r.key)
	full := state{
		"format": 1, "id": "1234", "from": oldVersion, "target": newVersion, "target_slot": shared.SlotB, "who": "owner",
		"manifest": manifest, "signature": string(signature), "before": map[string]bool{"screen": true, "gateway": true},
		"parts": []map[string]any{{"name": "boot", "size": 280000, "done": true}, {"name": "root", "size": rootBytes, "done": true}},
		"kept":  map[string]string{shared.SlotA: oldVersion},
	}
	for k, v := range s {
		full[k] = v
	}
	r.writeJSON("perm/update/state.json", full)
}

func (r *rig) setJournal(slot string, try int, lines ...string) {
	r.t.Helper()
	h, err := json.Marshal(map[string]any{"slot": slot, "version": newVersion, "id": "1234", "try": try, "from": oldVersion, "who": "owner"})
	if err != nil {
		r.t.Fatal(err)
	}
	text := string(h) + "\n" + fmt.Sprintf("system: try %d of 3 is about to begin\n", try) + strings.Join(lines, "\n") + "\n"
	r.write("perm/update/trial.log", []byte(text))
}

func (r *rig) state() (s struct {
	Phase shared.Phase
	Try   int
	Undo  bool
}) {
	r.t.Helper()
	b := r.read("perm/update/state.json")
	if b == nil {
		return s
	}
	if err := json.Unmarshal(b, &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// outcome is what a start makes of what it finds.
type outcome struct {
	phase shared.Phase
	try   int
	// restart is "", "other" or "same".
	restart string
	// standard is the slot that starts by default afterwards, armed whether the other one is.
	standard string
	armed    bool
	events   int
	// reason is part of the last event's.
	reason string
}

const panicWords = "some line\n[  12.3] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n[  12.4] more"

// TestEveryState starts a device in every state that can be on the disk, in both slots, after every end of the run before, and with
// the loader as it was before and after it was told to keep the new version.
func TestEveryState(t *testing.T) {
	resets := []struct{ reset, words, line string }{
		{"power", "", ""}, {"software", "", ""}, {"unknown", "", ""}, {"watchdog", "", ""}, {"panic", "", ""},
		{"power", panicWords, ""}, {"power", "", "init: watchdog not fed: console does not answer"},
	}
	phases := []shared.Phase{shared.Idle, shared.Receiving, shared.Ready, shared.Restarting, shared.Trying, shared.Kept, shared.RolledBack, shared.Failed}
	base := newRig(t)
	base.writeSlot(shared.SlotB, newVersion)
	for _, phase := range phases {
		for _, running := range []string{shared.SlotA, shared.SlotB} {
			for _, standard := range []string{shared.SlotA, shared.SlotB} {
				for _, c := range resets {
					for _, undo := range []bool{false, true} {
						for try := 1; try <= update.MaxTries; try++ {
							if outstanding := phase == shared.Restarting || phase == shared.Trying; !outstanding && (undo || try > 1 || c.line != "") {
								continue
							}
							name := fmt.Sprintf("%s/runs %s/starts %s/%s,%t,%t/undo %t/try %d", phase, running, standard, c.reset, c.words != "", c.line != "", undo, try)
							t.Run(name, func(t *testing.T) {
								r := base.copyOf(t)
								r.slot = running
								if err := r.loader().Keep(standard); err != nil {
									t.Fatal(err)
								}
								r.setState(state{"phase": phase, "undo": undo, "try": try, "reason": map[bool]string{true: "It was not healthy."}[undo]})
								lines := []string{"init: storage is up"}
								if c.line != "" {
									lines = append(lines, c.line)
								}
								if phase == shared.Restarting || phase == shared.Trying {
									r.setJournal(shared.SlotB, try, lines...)
									if standard == shared.SlotA {
										if err := r.loader().Arm(shared.SlotB); err != nil {
											t.Fatal(err)
										}
									}
								}
								final := c.reset == "panic" || c.reset == "watchdog" || c.words != "" || c.line != ""
								r.expect(r.start(c.reset, c.words), expected(phase, running, standard, undo, final, try))
							})
						}
					}
				}
			}
		}
	}
}

// expected says what the rules are: the target is slot-b.
func expected(phase shared.Phase, running, standard string, undo, final bool, try int) outcome {
	target := running == shared.SlotB
	switch outstanding := phase == shared.Restarting || phase == shared.Trying; {
	case outstanding && target && standard == running:
		return outcome{phase: shared.Kept, try: try, standard: running, events: 1}
	case outstanding && target && undo:
		return outcome{phase: phase, try: try, restart: "same", standard: standard, armed: true}
	case outstanding && target:
		return outcome{phase: shared.Trying, try: try, standard: standard, armed: true}
	case outstanding && standard != running:
		return outcome{phase: shared.RolledBack, try: try, standard: running, events: 1, reason: "although it was kept"}
	case outstanding && undo:
		return outcome{phase: shared.RolledBack, try: try, standard: running, events: 1, reason: "It was not healthy."}
	case outstanding && final:
		return outcome{phase: shared.RolledBack, try: try, standard: running, events: 1, reason: "The last that it told: init: storage is up."}
	case outstanding && try < update.MaxTries:
		return outcome{phase: shared.Restarting, try: try + 1, restart: "other", standard: running, armed: true}
	case outstanding:
		return outcome{phase: shared.RolledBack, try: try, standard: running, events: 1, reason: "did not come up in 3 tries"}
	case standard != running:
		// Whatever it is, it was never kept: it is on trial.
		return outcome{phase: shared.Trying, try: 1, standard: standard}
	case phase == shared.Receiving || phase == shared.Ready:
		if target {
			return outcome{phase: shared.Idle, standard: standard} // never the running slot
		}
		return outcome{phase: phase, standard: standard}
	}
	return outcome{phase: phase, standard: standard}
}

// expect holds an engine that has just begun against what is expected.
func (r *rig) expect(e *update.Engine, want outcome) {
	r.t.Helper()
	s := e.Status()
	restart := ""
	if other, wanted := e.Wish(); wanted {
		restart = map[bool]string{true: "other", false: "same"}[other]
	}
	standard, err := r.loader().Default()
	if err != nil {
		r.t.Fatal(err)
	}
	armed := false
	if other := otherSlot(standard); true {
		if armed, _, err = r.loader().Armed(other); err != nil {
			r.t.Fatal(err)
		}
	}
	got := outcome{phase: s.Phase, try: want.try, restart: restart, standard: standard, armed: armed, events: len(s.History), reason: want.reason}
	if s.Phase == shared.Trying || s.Phase == shared.Restarting {
		got.try = s.Try
	}
	if got != want {
		r.t.Errorf("got %+v, want %+v", got, want)
	}
	if on := r.state(); s.Phase != shared.Idle && on.Phase != s.Phase {
		r.t.Errorf("the disk says %q, the status %q", on.Phase, s.Phase)
	}
	if journal := r.read("perm/update/trial.log") != nil; journal != (s.Phase == shared.Trying || s.Phase == shared.Restarting) {
		r.t.Errorf("there is a journal: %v", journal)
	}
	if want.reason != "" && (len(s.History) == 0 || !strings.Contains(s.History[0].Reason, want.reason) || !strings.Contains(e.Problem(), s.History[0].Reason)) {
		r.t.Errorf("history %+v, problem %q, want %q", s.History, e.Problem(), want.reason)
	}
}

// TestFedAgain: a watchdog that was fed again in time is no reason against a version whose power was cut.
func TestFedAgain(t *testing.T) {
	r := newRig(t)
	r.writeSlot(shared.SlotB, newVersion)
	r.setState(state{"phase": shared.Trying, "try": 1})
	r.setJournal(shared.SlotB, 1, "init: watchdog not fed: console does not answer", "init: watchdog fed again")
	if s := r.start("power", "").Status(); s.Phase != shared.Restarting || s.Try != 2 {
		t.Fatalf("status %+v", s)
	}
}

// TestReasons: what is told of a trial that ended badly.
func TestReasons(t *testing.T) {
	long := strings.Repeat("words ", 2000)
	for name, c := range map[string]struct {
		reset, words string
		lines        []string
		reason       string
		detail       []string
	}{
		"panic": {"panic", panicWords, []string{"init: storage is up"},
			"Its kernel stopped (Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)). The last that it told: init: storage is up.",
			[]string{"init: storage is up", "unknown-block"}},
		"panic, no words": {"panic", "", nil, "Its kernel stopped (panic). It did not come as far as telling anything.", nil},
		"watchdog":        {"watchdog", "", []string{"init: processes started"}, "It stopped answering, and the watchdog restarted the device. The last that it told: init: processes started.", nil},
		"withheld": {"power", "", []string{"init: processes started", "init: watchdog not fed: player has not run for a minute."},
			"The watchdog restarted the device: player has not run for a minute. The last that it told: init: processes started.", nil},
		"long": {"watchdog", long, []string{"init: " + long}, "It stopped answering", []string{"words words"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.writeSlot(shared.SlotB, newVersion)
			r.setState(state{"phase": shared.Trying, "try": 1})
			r.setJournal(shared.SlotB, 1, c.lines...)
			e := r.start(c.reset, c.words)
			s := e.Status()
			if s.Phase != shared.RolledBack || len(s.History) != 1 || !strings.HasPrefix(s.History[0].Reason, c.reason) || s.Reason != s.History[0].Reason {
				t.Fatalf("status %+v", s)
			}
			ev := s.History[0]
			for _, d := range c.detail {
				if !strings.Contains(ev.Detail, d) {
					t.Errorf("the detail %q lacks %q", ev.Detail, d)
				}
			}
			if len(ev.Detail) > 4<<10 || len(ev.Reason) > 1000 || ev.From != oldVersion || ev.To != newVersion || ev.Tries != 1 || ev.Who != "owner" {
				t.Errorf("event %+v", ev)
			}
			if p := e.Problem(); !strings.Contains(p, newVersion) || !strings.Contains(p, c.reason) {
				t.Errorf("problem %q", p)
			}
			// It stays over a restart, and is told once in the history, until somebody has seen it.
			e = r.start("power", "")
			if e.Problem() == "" || len(e.Status().History) != 1 {
				t.Error("forgotten after a restart")
			}
			if err := e.Seen("owner"); err != nil || e.Problem() != "" {
				t.Errorf("seen: %v, %q", err, e.Problem())
			}
			if e = r.start("power", ""); e.Problem() != "" || e.Status().Phase != shared.RolledBack {
				t.Error("the problem came back")
			}
			// The same update may be tried again, and need not be sent.
			if s := r.accept(e, newVersion); s.Phase != shared.Ready {
				t.Errorf("offered again: %+v", s)
			}
		})
	}
}

// TestThreeTries: losses of power while a version is tried, until it is given up.
func TestThreeTries(t *testing.T) {
	r := newRig(t)
	r.install(r.start("power", ""), newVersion)
	for try := 1; try <= update.MaxTries; try++ {
		e := r.start("software", "")
		if s := e.Status(); r.slot != shared.SlotB || s.Phase != shared.Trying || s.Try != try {
			t.Fatalf("try %d: %+v", try, s)
		}
		if try == 2 { // the process, not the device, starts anew
			if s := r.start("software", "").Status(); s.Phase != shared.Trying || s.Try != try {
				t.Fatalf("try %d, after a restart of the process: %+v", try, s)
			}
		}
		r.restart(false) // power is cut and comes back
		e = r.start("power", "")
		other, wanted := e.Wish()
		s := e.Status()
		if try < update.MaxTries {
			if r.slot != shared.SlotA || !wanted || !other || s.Phase != shared.Restarting || s.Try != try+1 {
				t.Fatalf("after try %d: %+v, restart %v, %v", try, s, wanted, other)
			}
			r.restart(true)
			continue
		}
		if wanted || s.Phase != shared.RolledBack || len(s.History) != 1 || s.History[0].Tries != 3 || !strings.Contains(s.Reason, "in 3 tries. The last that it told: system: version v1.1.0 runs from slot-b and is watched") {
			t.Fatalf("at the end: %+v, restart %v", s, wanted)
		}
		if n := strings.Count(s.History[0].Detail, "about to begin"); n != 3 {
			t.Errorf("the detail tells of %d tries:\n%s", n, s.History[0].Detail)
		}
	}
	r.restart(true)
	if r.slot != shared.SlotA {
		t.Error("what was given up starts")
	}
}

// TestDamagedRecord: it never makes a device start over and over, and a version that is well is kept all the same.
func TestDamagedRecord(t *testing.T) {
	damages := map[string][]byte{
		"empty": nil, "cut": []byte(`{"format":1,"phase":"try`), "noise": []byte("\x00\x01\x02"), "format": []byte(`{"format":2,"phase":"trying"}`),
		"phase": []byte(`{"format":1,"phase":"dancing"}`), "slot": []byte(`{"format":1,"phase":"trying","try":1,"target_slot":"slot-c"}`),
		"try": []byte(`{"format":1,"phase":"restarting","try":0,"target_slot":"slot-b"}`), "tries": []byte(`{"format":1,"phase":"restarting","try":-7,"target_slot":"slot-b"}`),
	}
	for name, damage := range damages {
		for _, journal := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, journal %t", name, journal), func(t *testing.T) {
				r := newRig(t)
				r.install(r.start("power", ""), newVersion)
				wreck := func() {
					r.write("perm/update/state.json", damage)
					if !journal {
						r.write("perm/update/trial.log", []byte("\x00\x00\n\x00"))
					}
				}
				wreck()
				// In the former version: no further try.
				r.restart(false)
				e := r.start("power", "")
				_, wanted := e.Wish()
				if s := e.Status(); wanted || s.Phase != shared.RolledBack && journal || s.Phase != shared.Idle && !journal {
					t.Fatalf("the former version: %+v, restart %v", s, wanted)
				}
				r.restart(true)
				if r.slot != shared.SlotA {
					t.Error("the slot is armed still")
				}
				// In the new one: it is watched, and kept.
				r.install(r.start("power", ""), newVersion)
				wreck()
				e = r.start("software", "")
				if s := e.Status(); s.Phase != shared.Trying {
					t.Fatalf("the new version: %+v", s)
				}
				e = r.keep(e)
				if s := e.Status(); s.Phase != shared.Kept || s.History[0].To != newVersion || s.History[0].From != oldVersion {
					t.Errorf("kept: %+v", s)
				}
				if r.restart(false); r.slot != shared.SlotB {
					t.Error("it was not kept")
				}
				if s := r.start("power", "").Status(); s.Phase != shared.Kept {
					t.Errorf("after a restart: %+v", s)
				}
			})
		}
	}
}

// TestDamagedHistory begins anew.
func TestDamagedHistory(t *testing.T) {
	r := newRig(t)
	r.write("perm/update/history.json", []byte(`{"format":1,"events":[`))
	r.install(r.start("power", ""), newVersion)
	e := r.keep(r.start("software", ""))
	if s := e.Status(); len(s.History) != 1 {
		t.Errorf("history %+v", s.History)
	}
	if s := r.start("power", "").Status(); len(s.History) != 1 {
		t.Errorf("history after a restart %+v", s.History)
	}
}
