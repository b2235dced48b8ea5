package trial_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"porthole/packages/internal/update"
	"porthole/packages/system/authority"
	"porthole/packages/system/supervisor"
	"porthole/packages/system/update/trial"
)

func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" { // a child in a network of its own
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// device is what is looked at; all is well unless a test harms it.
type device struct {
	mu        sync.Mutex // guards what follows
	processes []supervisor.Process
	lost      error            // the supervisor does not answer
	silent    map[string]error // what processes answer
	player    map[string]any   // player's status
	routers   []netip.Addr
	found     map[netip.Addr]bool
	noRoutes  error
	knocked   int

	cfg   trial.Config
	trial *trial.Trial
}

func newDevice(t *testing.T) *device {
	t.Helper()
	router := netip.MustParseAddr("192.168.178.1")
	d := &device{
		silent: map[string]error{}, routers: []netip.Addr{router}, found: map[netip.Addr]bool{router: true},
		player: map[string]any{
			"display": map[string]any{"connector": "HDMI-A-1", "mode": "1920x1080 at 60 Hz", "connected": true},
			"showing": "program", "presented": 7, "power": map[string]any{"on": true},
			"playback": map[string]any{"playing": true, "playlist": 1}, "cache": map[string]any{"revision": 3},
		},
	}
	for i, name := range []string{"system", "proxy", "console", "player", "ntp"} {
		d.processes = append(d.processes, supervisor.Process{Name: name, State: "running", PID: 100 + i})
	}
	answers := map[string]trial.Question{}
	for _, name := range []string{"proxy", "console", "player", "nobody"} {
		answers[name] = trial.Question{Caller: caller{d, name}, Target: "/status"}
	}
	d.cfg = trial.Config{
		Log: slog.New(slog.DiscardHandler), Watched: func(name string) bool { return name != "ntp" }, Answers: answers,
		Processes: func(context.Context) ([]supervisor.Process, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			return append([]supervisor.Process(nil), d.processes...), d.lost
		},
		HTTPS: "127.0.0.1:1", Device: func() authority.Public { return authority.Public{} },
		Player: caller{d, "player"}, StorageDir: t.TempDir(), Network: d,
	}
	d.trial = trial.New(d.cfg)
	return d
}

// caller is a process that answers.
type caller struct {
	d    *device
	name string
}

func (c caller) Call(_ context.Context, _, _ string, _, out any) (int, error) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	if err := c.d.silent[c.name]; err != nil {
		return 0, err
	}
	if out != nil {
		b, err := json.Marshal(c.d.player)
		if err != nil {
			return 0, err
		}
		return 200, json.Unmarshal(b, out)
	}
	return 200, nil
}

// Gateways implements trial.Network.
func (d *device) Gateways() ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.routers, d.noRoutes
}

// Knock implements trial.Network.
func (d *device) Knock(netip.Addr) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.knocked++
	return errors.New("nobody needs to get there")
}

// Found implements trial.Network.
func (d *device) Found(a netip.Addr) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.found[a], nil
}

// harm changes something.
func (d *device) harm(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// look makes all checks and returns them by name.
func (d *device) look(t *testing.T) map[string]update.Check {
	t.Helper()
	list := d.trial.Look(t.Context())
	checks := map[string]update.Check{}
	var order []string
	for _, c := range list {
		checks[c.Name] = c
		order = append(order, c.Name)
		if c.Text == "" || c.Text[len(c.Text)-1] != '.' || c.Text[0] < 'A' || c.Text[0] > 'Z' {
			t.Errorf("%s says no sentence: %q", c.Name, c.Text)
		}
	}
	if len(order) != 6 || order[0] != trial.Processes || order[5] != trial.Gateway {
		t.Errorf("checks: %q", order)
	}
	return checks
}
