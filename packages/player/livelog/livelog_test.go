package livelog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"porthole/media/render"
	"porthole/packages/player/livelog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type entry = struct {
	Seq           int64
	Time          time.Time
	Process, Text string
}

// system answers like system does: with the lines after a number, or after a while with none.
type system struct {
	mu    sync.Mutex // guards what follows
	lines []entry
	fail  error
	asked int
}

func (s *system) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *system) Call(ctx context.Context, _, target string, _, out any) (int, error) {
	var after int64
	if _, err := fmt.Sscanf(target, "/log?after=%d", &after); err != nil {
		return 0, err
	}
	var news []entry
	var fail error
	s.change(func() {
		s.asked++
		fail = s.fail
		for _, e := range s.lines {
			if e.Seq > after {
				news = append(news, e)
			}
		}
	})
	if fail != nil {
		return 0, fail
	}
	if len(news) == 0 {
		select {
		case <-time.After(20 * time.Second):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return 200, livelog.Fill(out, news)
}

func at(second int) time.Time { return time.Date(2026, 3, 4, 11, 0, second, 0, time.UTC) }

// follow runs f while the log is followed, and returns what was shown last.
func follow(t *testing.T, s *system, f func(shown func() []render.Line)) (last []render.Line) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			livelog.Follow(ctx, s, "Europe/Berlin", func(l []render.Line) { last = l })
		}()
		f(func() []render.Line {
			<-time.After(30 * time.Second)
			synctest.Wait()
			return last
		})
		cancel()
		<-done
	})
	return last
}

func TestFollow(t *testing.T) {
	s := &system{}
	last := follow(t, s, func(shown func() []render.Line) {
		if l := shown(); l == nil || len(l) != 0 {
			t.Errorf("before the first line: %v", l)
		}
		three := []entry{
			{1, at(1), "console", `time=2026-03-04T11:00:01.000Z level=WARN msg="cannot renew \"x\"" err="no network" n=1`},
			{2, at(2), "proxy", "panic: something"},
			{3, at(3), "player", "time=2026-03-04T11:00:03.000Z level=ERROR msg=short"},
		}
		s.change(func() { s.lines = three })
		l := shown()
		if len(l) != 3 {
			t.Fatalf("shown: %v", l)
		}
		if l[0].Text != `cannot renew "x" err="no network" n=1` || l[0].Level != slog.LevelWarn || l[0].Source != "console" ||
			l[0].Time.Format(time.TimeOnly) != "12:00:01" {
			t.Errorf("the first line: %+v", l[0])
		}
		if l[1].Text != "panic: something" || l[2].Text != "short" || l[2].Level != slog.LevelError {
			t.Errorf("the others: %+v", l[1:])
		}
		s.change(func() {
			for i := range 1000 {
				s.lines = append(s.lines, entry{int64(4 + i), at(4), "proxy", fmt.Sprint("line ", i)})
			}
		})
		if l := shown(); len(l) != 250 || l[249].Text != "line 999" {
			t.Errorf("of many lines %d are shown", len(l))
		}

		// System is gone, and comes back with a log of its own.
		s.change(func() { s.fail, s.asked = errors.New("connection refused"), 0 })
		if l := shown(); len(l) != 251 || !strings.Contains(l[250].Text, "cannot be read") {
			t.Errorf("without system: %d, %+v", len(l), l[len(l)-1])
		}
		s.change(func() {
			if s.asked < 3 || s.asked > 60 {
				t.Errorf("system was asked %d times in 30 s", s.asked)
			}
			s.fail, s.lines = nil, []entry{{1, at(9), "system", "hello"}}
		})
		if l := shown(); len(l) != 1 || l[0].Text != "hello" {
			t.Errorf("with another system: %v", l)
		}
	})
	if last != nil {
		t.Errorf("when the log is not wanted any more, it stays: %v", last)
	}
}

// TestFollowRests: a process that writes without end does not make the screen draw without end.
func TestFollowRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		shown := 0
		livelog.Follow(ctx, &busySystem{}, "", func([]render.Line) { shown++ })
		if shown < 10 || shown > 60 {
			t.Errorf("drawn %d times in 10 s", shown)
		}
	})
}

// busySystem has a new line whenever it is asked.
type busySystem struct{ n int64 }

func (s *busySystem) Call(_ context.Context, _, _ string, _, out any) (int, error) {
	s.n++
	return 200, livelog.Fill(out, []entry{{s.n, at(1), "proxy", "again"}})
}

func FuzzLine(f *testing.F) {
	f.Add(`time=2026-03-04T11:00:01.000Z level=WARN msg="cannot renew \"x\"" err="no network"`)
	f.Add("time= level= msg=")
	f.Add("time=x level=INFO+3 msg=\"\\xff")
	f.Add(strings.Repeat("ä", 5000))
	f.Fuzz(func(t *testing.T, text string) {
		l := livelog.Line(text)
		if !utf8.ValidString(l.Text) && utf8.ValidString(text) {
			t.Errorf("%q becomes %q", text, l.Text)
		}
		if len(l.Text) > 3*len(text)+10 || len(l.Text) > 10_000 {
			t.Errorf("%d bytes become %d", len(text), len(l.Text))
		}
	})
}

// TestSwitch: the log is on the screen while it is switched on, in the zone that was chosen last.
func TestSwitch(t *testing.T) {
	s := &system{lines: []entry{{1, at(1), "console", "hello"}}}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var last []render.Line
		shown := 0
		sw := livelog.NewSwitch(s, func(l []render.Line) {
			mu.Lock()
			defer mu.Unlock()
			last = l
			shown++
		})
		done := make(chan struct{})
		go func() { defer close(done); sw.Run(ctx) }()
		clock := func() string {
			<-time.After(time.Second)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(last) == 0 {
				return ""
			}
			return last[0].Time.Format(time.TimeOnly)
		}
		if c := clock(); c != "" || shown != 0 {
			t.Errorf("before it is switched on: %s, drawn %d times", c, shown)
		}
		for _, tt := range []struct {
			on         bool
			zone, want string
		}{
			{true, "Europe/Berlin", "12:00:01"}, {true, "America/New_York", "06:00:01"}, {true, "", "11:00:01"}, {false, "", ""}, {true, "Asia/Tokyo", "20:00:01"},
		} {
			sw.Set(tt.on, tt.zone)
			if c := clock(); c != tt.want {
				t.Errorf("%+v: the line is of %q", tt, c)
			}
		}
		before := shown
		sw.Set(true, "Asia/Tokyo")
		if clock(); shown != before {
			t.Error("drawn again for nothing new")
		}
		cancel()
		<-done
		if last != nil {
			t.Error("the log stays after the end")
		}
	})
}
