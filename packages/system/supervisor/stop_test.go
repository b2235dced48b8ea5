package supervisor_test

import (
	"context"
	"strings"
	"testing"
)

// TestStopOthers: all but one end, also those that were on their way up, and stay down.
func TestStopOthers(t *testing.T) {
	c := start(t, map[string]string{
		"system": "exec sleep 1000\n", "player": "exec sleep 1000\n", "proxy": "trap 'sleep 1; exit 0' TERM; while :; do sleep 0.1; done\n", "fails": "exit 1\n",
	})
	for _, name := range []string{"system", "player", "proxy"} {
		state(t, c, name, "running")
	}
	if err := c.StopOthers(t.Context(), "system"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"system": "running", "player": "stopped", "proxy": "stopped"} {
		if p := find(t, c, name); p.State != want {
			t.Errorf("%s is %s, want %s", name, p.State, want)
		}
	}
	if err := c.StopOthers(t.Context(), "system"); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestStopOthersInVain names those that do not end.
func TestStopOthersInVain(t *testing.T) {
	c := start(t, map[string]string{"system": "exec sleep 1000\n", "player": "trap '' TERM; while :; do sleep 0.1; done\n"})
	for _, name := range []string{"system", "player"} {
		state(t, c, name, "running")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := c.StopOthers(ctx, "system"); err == nil || !strings.Contains(err.Error(), "these go on: player") {
		t.Errorf("%v", err)
	}
}
