package supervisor_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/packages/system/supervisor"
)

// TestTail: the lines of all processes come in the order in which they were said, those from before somebody asked as well,
// and then as they are said.
func TestTail(t *testing.T) {
	c := start(t, map[string]string{
		"early": "echo time=2026-01-01T10:00:00.001Z level=INFO msg=first\necho time=2026-01-01T10:00:00.003Z level=INFO msg=third >&2\nexec sleep 1000\n",
		"late":  "echo time=2026-01-01T10:00:00.002Z level=INFO msg=second\nwhile sleep 0.2; do echo again; done\n",
	})
	state(t, c, "early", "running")
	state(t, c, "late", "running")
	tail := supervisor.NewTail(c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tail.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var all []supervisor.Entry
	last := int64(0)
	more := func() {
		t.Helper()
		wait, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		list := tail.After(wait, last)
		if len(list) == 0 {
			t.Fatalf("nothing after %d; so far %+v", last, all)
		}
		for _, e := range list {
			if e.Seq != last+1 || e.Time.IsZero() || e.Stream != "stdout" && e.Stream != "stderr" {
				t.Fatalf("line %+v after %d", e, last)
			}
			last = e.Seq
		}
		all = append(all, list...)
	}
	has := func(msg string) int {
		return slices.IndexFunc(all, func(e supervisor.Entry) bool { return strings.HasSuffix(e.Text, "msg="+msg) })
	}
	for has("first") < 0 || has("second") < 0 || has("third") < 0 {
		more()
	}
	if a, b, c := has("first"), has("second"), has("third"); a > b || b > c || all[c].Process != "early" || all[c].Stream != "stderr" || all[b].Process != "late" {
		t.Errorf("in this order: %+v", all)
	}
	for before := len(all); len(all) < before+3; {
		more()
	}
	if l := all[len(all)-1]; l.Text != "again" || l.Process != "late" || time.Since(l.Time) > time.Minute {
		t.Errorf("the last line is %+v", l)
	}
	// Who has more than there is comes from before a restart of system: it gets all.
	if list := tail.After(ctx, last+1000); len(list) < 6 || list[0].Seq != 1 {
		t.Errorf("after a number from elsewhere: %+v", list)
	}
	// Nothing has been read yet: it waits no longer than it may.
	wait, done := context.WithCancel(ctx)
	done()
	if list := supervisor.NewTail(c).After(wait, 0); list != nil {
		t.Errorf("without anything: %+v", list)
	}
}
