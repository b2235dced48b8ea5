package trial_test

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/update"
	"porthole/packages/system/supervisor"
	"porthole/packages/system/update/trial"
)

// expect looks at one check.
func expect(t *testing.T, checks map[string]update.Check, name string, ok bool, text string) {
	t.Helper()
	if c := checks[name]; c.OK != ok || !strings.Contains(c.Text, text) {
		t.Errorf("%s: %v, %q; want %v with %q", name, c.OK, c.Text, ok, text)
	}
}

func TestAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.look(t)
		<-time.After(trial.Settled)
		checks := d.look(t)
		expect(t, checks, trial.Processes, true, "All 4 processes run and answer.")
		expect(t, checks, trial.Screen, true, "HDMI-A-1 shows a picture, 1920x1080 at 60 Hz.")
		expect(t, checks, trial.Playback, true, "A playlist plays.")
		expect(t, checks, trial.Storage, true, "gives it back")
		expect(t, checks, trial.Gateway, true, "The router 192.168.178.1 answers.")
		expect(t, checks, trial.Console, false, "no certificate of its own")
	})
}

func TestProcesses(t *testing.T) {
	process := func(d *device, name string) *supervisor.Process {
		for i := range d.processes {
			if d.processes[i].Name == name {
				return &d.processes[i]
			}
		}
		return nil
	}
	for name, c := range map[string]struct {
		harm func(d *device)
		why  string
	}{
		"down": {func(d *device) {
			process(d, "proxy").State, process(d, "proxy").Exit = "restarting", "exit status 2"
		}, "proxy does not run, it ended with exit status 2."},
		"stopped":            {func(d *device) { process(d, "player").State = "stopped" }, "player does not run."},
		"started anew":       {func(d *device) { process(d, "console").PID++ }, "console was started anew."},
		"silent":             {func(d *device) { d.silent["console"] = errors.New("refused") }, "console does not answer."},
		"two":                {func(d *device) { process(d, "proxy").State = "restarting"; d.silent["player"] = errors.New("refused") }, "player does not answer; proxy does not run."},
		"supervisor is gone": {func(d *device) { d.lost = errors.New("refused") }, "supervisor does not say which processes run: refused."},
		"none":               {func(d *device) { d.processes = d.processes[4:] }, "knows none of Porthole's processes"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				expect(t, d.look(t), trial.Processes, false, "has not run for 10 seconds yet")
				<-time.After(trial.Settled)
				expect(t, d.look(t), trial.Processes, true, "")
				d.harm(func() { c.harm(d) })
				expect(t, d.look(t), trial.Processes, false, c.why)
			})
		})
	}
}

// TestCrashLoop: a process that runs at every look, but never the same, does not run.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		for range 20 {
			expect(t, d.look(t), trial.Processes, false, "")
			d.harm(func() { d.processes[1].PID++ })
			<-time.After(trial.Settled - time.Second)
		}
	})
}

// TestWaitsForTheClock: gokrazy's own processes may wait for the time, and need not run.
func TestWaitsForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.processes[4].State = "restarting"
		d.look(t)
		<-time.After(trial.Settled)
		expect(t, d.look(t), trial.Processes, true, "")
	})
}

func TestScreen(t *testing.T) {
	for name, c := range map[string]struct {
		set  map[string]any
		ok   bool
		text string
	}{
		"no output":    {map[string]any{"display": map[string]any{"problem": "this device has no display output"}}, false, "There is no picture: this device has no display output."},
		"unplugged":    {map[string]any{"display": map[string]any{"connected": false}}, false, "No display is connected."},
		"nothing yet":  {map[string]any{"presented": 0}, false, "Nothing has been shown on the display at HDMI-A-1 yet."},
		"takes none":   {map[string]any{"failing": "the display did not confirm the frame"}, false, "takes no pictures: the display did not confirm the frame."},
		"night":        {map[string]any{"power": map[string]any{"on": false}, "presented": 0}, true, "off at this hour"},
		"black film":   {map[string]any{"black": true, "showing": "program"}, true, "shows a picture"},
		"black camera": {map[string]any{"black": true, "showing": "camera"}, true, "shows a picture"},
		"status":       {map[string]any{"showing": "status"}, true, "shows a picture"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				for k, v := range c.set {
					d.player[k] = v
				}
				d.look(t)
				<-time.After(time.Minute)
				expect(t, d.look(t), trial.Screen, c.ok, c.text)
			})
		})
	}
}

// TestBlack: Porthole's own pictures are not black; while the screen is opened anew they may be for a moment.
func TestBlack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.player["showing"], d.player["black"] = "status", true
		for range 20 {
			expect(t, d.look(t), trial.Screen, true, "")
			<-time.After(time.Second)
		}
		<-time.After(time.Second)
		expect(t, d.look(t), trial.Screen, false, "HDMI-A-1 is black.")
		d.harm(func() { d.player["black"] = false })
		expect(t, d.look(t), trial.Screen, true, "")
		d.harm(func() { d.player["black"] = true })
		expect(t, d.look(t), trial.Screen, true, "")
		d.harm(func() { d.silent["player"] = errors.New("refused") })
		expect(t, d.look(t), trial.Screen, false, "player does not answer")
	})
}

func TestPlayback(t *testing.T) {
	skipped := []map[string]any{{"name": "film.mp4", "reason": "its decoder crashed"}, {"name": "other.png", "reason": "damaged"}}
	for name, c := range map[string]struct {
		set  map[string]any
		ok   bool
		text string
	}{
		"night":            {map[string]any{"power": map[string]any{"on": false}, "playback": map[string]any{}}, true, "off at this hour"},
		"a camera":         {map[string]any{"showing": "camera", "playback": map[string]any{}}, true, "A camera is on the screen"},
		"nothing due":      {map[string]any{"showing": "status", "playback": map[string]any{}}, true, "Nothing is to be played at this hour."},
		"never had one":    {map[string]any{"showing": "status", "playback": map[string]any{}, "cache": map[string]any{}}, false, "No playlist plays."},
		"not yet":          {map[string]any{"showing": "status", "playback": map[string]any{"playlist": 4}}, false, "does not play yet"},
		"decoder broken":   {map[string]any{"showing": "status", "playback": map[string]any{"skipped": skipped}}, false, `"film.mp4": its decoder crashed.`},
		"one item skipped": {map[string]any{"playback": map[string]any{"playing": true, "skipped": skipped}}, true, "A playlist plays."},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			for k, v := range c.set {
				d.player[k] = v
			}
			expect(t, d.look(t), trial.Playback, c.ok, c.text)
		})
	}
}

func TestStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		expect(t, d.look(t), trial.Storage, true, "")
		if left, err := os.ReadDir(d.cfg.StorageDir); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		// Not every look writes.
		if err := os.Remove(d.cfg.StorageDir); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.cfg.StorageDir, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, d.look(t), trial.Storage, true, "")
		<-time.After(15 * time.Second)
		expect(t, d.look(t), trial.Storage, false, "The storage does not work: ")
	})
}

// TestFullStorage and what else can be in the way, as a person reads it.
func TestStorageWords(t *testing.T) {
	d := newDevice(t)
	file := filepath.Join(d.cfg.StorageDir, "trial-check.new")
	if err := os.Symlink("/dev/full", file); err != nil {
		t.Fatal(err)
	}
	expect(t, d.look(t), trial.Storage, false, "The storage does not work: it is full.")
	if _, err := os.Lstat(file); err == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	expect(t, d.look(t), trial.Storage, true, "")
}

func TestGateway(t *testing.T) {
	two := netip.MustParseAddr("fe80::1%eth0")
	for name, c := range map[string]struct {
		harm func(d *device)
		ok   bool
		text string
	}{
		"no router":        {func(d *device) { d.routers = nil }, false, "no way out: there is no router."},
		"no answer":        {func(d *device) { clear(d.found) }, false, "The router 192.168.178.1 does not answer."},
		"tables":           {func(d *device) { d.noRoutes = errors.New("permission denied") }, false, "cannot be told whether the network works: permission denied."},
		"the second works": {func(d *device) { clear(d.found); d.routers = append(d.routers, two); d.found[two] = true }, true, "The router fe80::1 answers."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				c.harm(d)
				began := time.Now()
				expect(t, d.look(t), trial.Gateway, c.ok, c.text)
				if took := time.Since(began); took > trial.Within {
					t.Errorf("a look took %v", took)
				}
			})
		})
	}
}

// TestLateRouter: the kernel takes its time to find a neighbour.
func TestLateRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		clear(d.found)
		go func() {
			<-time.After(2 * time.Second)
			d.harm(func() { d.found[d.routers[0]] = true })
		}()
		expect(t, d.look(t), trial.Gateway, true, "answers")
		if d.knocked != 1 {
			t.Errorf("knocked %d times", d.knocked)
		}
	})
}
