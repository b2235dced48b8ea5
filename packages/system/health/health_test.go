package health_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"porthole/hw/cpufreq"
	"porthole/hw/hwtest"
	"porthole/hw/thermal"
	"porthole/packages/system/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	policy   = "sys/devices/system/cpu/cpufreq/policy0"
	governor = policy + "/scaling_governor"
	heat     = "sys/class/hwmon/hwmon0/temp1_input"
	alarm    = "sys/class/hwmon/hwmon1/in0_lcrit_alarm"
)

// pi is a Pi whose firmware, sensors and processor a test moves.
type pi struct {
	t        *testing.T
	root     string
	firmware *hwtest.Firmware
	log      bytes.Buffer
	cfg      health.Config
}

func newPi(t *testing.T) *pi {
	devices := hwtest.NewDevices(t)
	p := &pi{t: t, firmware: hwtest.NewFirmware(devices), root: hwtest.Tree(t, map[string]string{
		governor: "ondemand\n", policy + "/scaling_available_governors": "conservative ondemand userspace performance \n", policy + "/affected_cpus": "0 1 2 3\n",
		policy + "/scaling_cur_freq": "600000\n", policy + "/scaling_max_freq": "1800000\n",
		"sys/class/hwmon/hwmon0/name": "cpu_thermal\n", heat: "48686\n", "sys/class/hwmon/hwmon1/name": "rpi_volt\n", alarm: "0\n",
	})}
	p.cfg = health.Config{
		Log: slog.New(slog.NewTextHandler(&p.log, nil)), CPUs: cpufreq.FS{Root: p.root}, Sensors: thermal.FS{Root: p.root},
		Firmware:  thermal.Firmware{Root: devices.Root(), Sys: devices.Sys()},
		StateFile: filepath.Join(p.root, "run/processor.json"), GovernorFile: filepath.Join(p.root, "perm/governor"), Governor: "performance",
	}
	return p
}

func (p *pi) write(file, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.root, file), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pi) governor() string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, governor))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// run runs a watch in a bubble, until the test ends.
func (p *pi) run(t *testing.T) *health.Watch {
	w := health.New(p.cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return w
}

// later lets the watch look once more.
func later() {
	<-time.After(health.Interval)
	synctest.Wait()
}

func TestWatch(t *testing.T) {
	p := newPi(t)
	synctest.Test(t, func(t *testing.T) {
		w := p.run(t)
		want := health.Report{
			MilliCelsius: new(thermal.MilliCelsius(48686)), Hottest: new(thermal.MilliCelsius(48686)), KHz: 600000, MaxKHz: 1800000,
			Governor: "performance", Usual: "performance", Governors: []string{"conservative", "ondemand", "performance"}, Now: &thermal.Limits{}, SinceStart: &thermal.Limits{},
		}
		if d := cmp.Diff(want, w.Report()); d != "" {
			t.Errorf("at first:\n%s", d)
		}
		if got := w.Problems(time.Now()); got != nil {
			t.Errorf("all is well, and it says %q", got)
		}
		// The firmware has forgotten it already; the kernel's alarm has it.
		p.write(alarm, "1\n")
		p.write(heat, "82500\n")
		later()
		if got := w.Problems(time.Now()); len(got) != 1 || !strings.Contains(got[0], "power supply is too weak") {
			t.Errorf("under-voltage: %q", got)
		}
		p.write(alarm, "0\n")
		p.firmware.Set(1<<2 | 1<<3)
		p.write(heat, "81000\n")
		later()
		r := w.Report()
		if *r.Hottest != 82500 || *r.MilliCelsius != 81000 || *r.Now != (thermal.Limits{Throttled: true, Hot: true}) || *r.SinceStart != (thermal.Limits{UnderVoltage: true, Throttled: true, Hot: true}) {
			t.Errorf("hot: %+v, now %+v, since start %+v", r, r.Now, r.SinceStart)
		}
		if got := w.Problems(time.Now()); len(got) != 2 || !strings.Contains(got[1], "because it is hot (81.0 °C)") {
			t.Errorf("hot, with a weak supply just before: %q", got)
		}
		p.firmware.Set(0)
		<-time.After(health.Lasting + health.Interval)
		if got := w.Problems(time.Now()); got != nil {
			t.Errorf("long over, and it says %q", got)
		}
	})
	if n := strings.Count(p.log.String(), "limits changed"); n != 3 {
		t.Errorf("told %d times:\n%s", n, p.log.String())
	}
	// A restart of the process knows what was.
	synctest.Test(t, func(t *testing.T) {
		r := p.run(t).Report()
		if *r.SinceStart != (thermal.Limits{UnderVoltage: true, Throttled: true, Hot: true}) || *r.Hottest != 82500 || *r.Now != (thermal.Limits{}) {
			t.Errorf("after a restart: %+v", r)
		}
	})
	p.write("run/processor.json", "{")
	synctest.Test(t, func(t *testing.T) {
		if r := p.run(t).Report(); *r.SinceStart != (thermal.Limits{}) || *r.Hottest != 81000 {
			t.Errorf("with a damaged file: %+v", r)
		}
	})
	if !strings.Contains(p.log.String(), "is damaged") {
		t.Error("nothing is said of the damaged file")
	}
}

// TestNothing: a machine with none of it.
func TestNothing(t *testing.T) {
	p := newPi(t)
	p.root = t.TempDir()
	p.cfg.CPUs.Root, p.cfg.Sensors.Root, p.cfg.Firmware = p.root, p.root, thermal.Firmware{Root: p.root}
	synctest.Test(t, func(t *testing.T) {
		w := p.run(t)
		if d := cmp.Diff(health.Report{}, w.Report()); d != "" {
			t.Error(d)
		}
		if err := w.SetGovernor("ondemand"); !errors.Is(err, health.ErrFixed) {
			t.Errorf("set where there is nothing to set: %v", err)
		}
		if _, err := os.Stat(p.cfg.GovernorFile); err == nil {
			t.Error("a governor that cannot be set was kept")
		}
	})
}

func TestGovernor(t *testing.T) {
	p := newPi(t)
	synctest.Test(t, func(t *testing.T) {
		w := p.run(t)
		if err := w.SetGovernor("warp"); !errors.Is(err, health.ErrUnknown) || p.governor() != "performance" {
			t.Errorf("unknown one: %v, and it is %s", err, p.governor())
		}
		if err := w.SetGovernor("conservative"); err != nil || p.governor() != "conservative" || w.Report().Governor != "conservative" || w.Report().Chosen != "conservative" {
			t.Errorf("set: %v, %+v", err, w.Report())
		}
	})
	for _, step := range []struct {
		name  string
		do    func(*health.Watch) error
		after string
	}{
		{"kept over a restart", func(*health.Watch) error { return nil }, "conservative"},
		{"the usual one again", func(w *health.Watch) error { return w.SetGovernor("") }, "performance"},
		{"over a restart too", func(*health.Watch) error { return nil }, "performance"},
		{"one that the next kernel lacks", func(*health.Watch) error { return os.WriteFile(p.cfg.GovernorFile, []byte("gone\n"), 0o600) }, "performance"},
		{"is passed over", func(*health.Watch) error { return nil }, "performance"},
	} {
		p.write(governor, "ondemand\n")
		synctest.Test(t, func(t *testing.T) {
			if err := step.do(p.run(t)); err != nil {
				t.Errorf("%s: %v", step.name, err)
			}
		})
		if got := p.governor(); got != step.after {
			t.Errorf("%s: %q, want %q", step.name, got, step.after)
		}
	}
	p.cfg.GovernorFile = ""
	p.write(governor, "ondemand\n")
	synctest.Test(t, func(t *testing.T) {
		w := p.run(t)
		if err := w.SetGovernor("performance"); !errors.Is(err, health.ErrFixed) || p.governor() != "ondemand" || w.Report().Governors != nil {
			t.Errorf("a developer's machine: %v, %q, %+v", err, p.governor(), w.Report())
		}
	})
}

// TestLateGovernor: the driver may come after the start, or never, which is no error.
func TestLateGovernor(t *testing.T) {
	for name, comes := range map[string]bool{"late": true, "never": false} {
		t.Run(name, func(t *testing.T) {
			p := newPi(t)
			dir := filepath.Join(p.root, policy)
			if err := os.Rename(dir, dir+".away"); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				p.run(t)
				<-time.After(10 * time.Second)
				if comes {
					if err := os.Rename(dir+".away", dir); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(11 * time.Second)
				synctest.Wait()
			})
			if comes && p.governor() != "performance" || strings.Contains(p.log.String(), "level=WARN") || !comes && !strings.Contains(p.log.String(), "speed is fixed") {
				t.Errorf("comes %v: %s", comes, p.log.String())
			}
		})
	}
}
