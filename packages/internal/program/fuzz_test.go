package program_test

import (
	"encoding/json"
	"testing"
	"time"

	"porthole/packages/internal/program"
)

// FuzzProgram feeds programs as a server might send them: what is taken is harmless, and so is what is not.
func FuzzProgram(f *testing.F) {
	for _, p := range []program.Program{{}, shop(), shop(rule(1, 2, 8, 12), rule(2, 3, 22, 6)), interrupted(program.Interrupt{ID: 1, Text: "fire", Ends: monday})} {
		b, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, monday.Unix())
	}
	f.Add([]byte(`{"rules":[{"id":-9223372036854775808,"from_minute":-1,"to_minute":99999,"weekdays":255,"priority":0}]}`), int64(-62135596800))
	f.Fuzz(func(t *testing.T, b []byte, unix int64) {
		const century = 100 * 365 * 24 * 3600
		now := time.Unix(unix%(10*century), 0)
		var wild program.Program
		if json.Unmarshal(b, &wild) == nil {
			program.Resolve(wild, now)
		}
		p, err := program.Parse(b)
		if err != nil {
			return
		}
		s := program.NewSchedule(p)
		for range 20 {
			n := s.At(now)
			if n.Playlist != nil && (len(n.Playlist.Items) == 0 || n.Text != "") {
				t.Fatalf("at %s: %+v", now, n)
			}
			if n.Until.IsZero() {
				break
			}
			if !n.Until.After(now) {
				t.Fatalf("at %s it is valid until %s", now, n.Until)
			}
			now = n.Until
		}
		for _, span := range program.Spans(p, now, 3) {
			if span.FromMinute < 0 || span.FromMinute >= span.ToMinute || span.ToMinute > 1440 {
				t.Fatalf("%+v", span)
			}
		}
		for _, part := range program.Parts(p, now, 3) {
			if part.FromMinute < 0 || part.FromMinute >= part.ToMinute || part.ToMinute > 1440 {
				t.Fatalf("%+v", part)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	for name, spoil := range map[string]func(*program.Program){
		"playlist twice":     func(p *program.Program) { p.Playlists[1].ID = 1 },
		"playlist's id":      func(p *program.Program) { p.Playlists[1].ID = -1 },
		"transition":         func(p *program.Program) { p.Playlists[1].Transition = "wipe" },
		"kind":               func(p *program.Program) { p.Playlists[1].Items[0].Kind = "web" },
		"fit":                func(p *program.Program) { p.Playlists[1].Items[0].Fit = "" },
		"no duration":        func(p *program.Program) { p.Playlists[1].Items[0].DurationMS = 0 },
		"negative duration":  func(p *program.Program) { p.Playlists[1].Items[0].DurationMS = -1 },
		"text":               func(p *program.Program) { p.Playlists[1].Items[0].Text = "" },
		"camera":             func(p *program.Program) { p.Playlists[1].Items[0].Kind = "camera" },
		"stream":             func(p *program.Program) { p.Playlists[1].Items[0].Kind = "stream" },
		"file":               func(p *program.Program) { p.Playlists[1].Items[0].Kind = "image" },
		"from":               func(p *program.Program) { p.Rules[0].FromMinute = 1440 },
		"to":                 func(p *program.Program) { p.Rules[0].ToMinute = 0 },
		"weekdays":           func(p *program.Program) { p.Rules[0].Weekdays = 128 },
		"priority":           func(p *program.Program) { p.Rules[0].Priority = 10 },
		"special":            func(p *program.Program) { p.Rules[0].Special = 3 },
		"date":               func(p *program.Program) { p.Rules[0].FromDate = "2027-02-29" },
		"the year 0":         func(p *program.Program) { p.Rules[0].ToDate = "0000-12-31" },
		"empty interruption": func(p *program.Program) { p.Interrupts = []program.Interrupt{{ID: 1}} },
		"full interruption":  func(p *program.Program) { p.Interrupts = []program.Interrupt{{ID: 1, Playlist: 1, Text: "x"}} },
		"many rules":         func(p *program.Program) { p.Rules = make([]program.Rule, program.MaxRules+1) },
		"many items":         func(p *program.Program) { p.Playlists[0].Items = repeat(p.Playlists[0].Items[0], program.MaxItems+1) },
	} {
		p := shop(rule(1, 2, 8, 12))
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&p)
		if err := p.Validate(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func repeat(i program.Item, n int) []program.Item {
	all := make([]program.Item, n)
	for at := range all {
		all[at] = i
	}
	return all
}
