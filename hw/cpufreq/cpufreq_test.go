package cpufreq_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/hw/cpufreq"
	"porthole/hw/hwtest"
)

const dir = "sys/devices/system/cpu/cpufreq/"

// pi4 is what a Raspberry Pi 4 has, with a second policy as big-little processors have.
func pi4(t *testing.T) string {
	return hwtest.Tree(t, map[string]string{
		dir + "policy0/scaling_governor":             "ondemand\n",
		dir + "policy0/scaling_available_governors":  "conservative ondemand userspace powersave performance schedutil \n",
		dir + "policy0/affected_cpus":                "0 1 2 3\n",
		dir + "policy0/scaling_cur_freq":             "600000\n",
		dir + "policy0/scaling_min_freq":             "600000\n",
		dir + "policy0/scaling_max_freq":             "1800000\n",
		dir + "policy0/cpuinfo_min_freq":             "600000\n",
		dir + "policy0/cpuinfo_max_freq":             "1800000\n",
		dir + "policy10/scaling_governor":            "performance\n",
		dir + "policy10/scaling_available_governors": "performance powersave\n",
		dir + "policy10/affected_cpus":               "\n",
		dir + "ondemand/up_threshold":                "95\n",
	})
}

func TestPolicies(t *testing.T) {
	got, err := cpufreq.FS{Root: pi4(t)}.Policies()
	if err != nil {
		t.Fatal(err)
	}
	want := []cpufreq.Policy{
		{
			ID: 0, CPUs: []int{0, 1, 2, 3}, Governor: "ondemand",
			Governors:      []string{"conservative", "ondemand", "userspace", "powersave", "performance", "schedutil"},
			CurrentFreqKHz: 600000, MinFreqKHz: 600000, MaxFreqKHz: 1800000, HardwareMinFreqKHz: 600000, HardwareMaxFreqKHz: 1800000,
		},
		{ID: 10, Governor: "performance", Governors: []string{"performance", "powersave"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
}

func TestSetGovernor(t *testing.T) {
	root := pi4(t)
	fs := cpufreq.FS{Root: root}
	if err := fs.SetGovernor("powersave"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"policy0", "policy10"} {
		b, err := os.ReadFile(filepath.Join(root, dir, p, "scaling_governor"))
		if err != nil || string(b) != "powersave" {
			t.Errorf("%s has %q, %v", p, b, err)
		}
	}
	if err := fs.SetGovernor("ondemand"); !errors.Is(err, cpufreq.ErrUnknownGovernor) {
		t.Errorf("a governor that one policy lacks: %v", err)
	}
	if list, err := fs.Policies(); err != nil || list[0].Governor != "powersave" {
		t.Errorf("a refused governor changed the first policy to %q, %v", list[0].Governor, err)
	}
}

func TestGovernorThatDoesNotStay(t *testing.T) {
	root := pi4(t)
	file := filepath.Join(root, dir, "policy0/scaling_governor")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", file); err != nil {
		t.Fatal(err)
	}
	if err := (cpufreq.FS{Root: root}).SetGovernor("performance"); err == nil {
		t.Error("the kernel kept its governor, and nobody noticed")
	}
}

func TestNoFrequencyControl(t *testing.T) {
	fs := cpufreq.FS{Root: t.TempDir()}
	if _, err := fs.Policies(); !errors.Is(err, cpufreq.ErrNoDevice) {
		t.Errorf("list: %v", err)
	}
	if err := fs.SetGovernor("performance"); !errors.Is(err, cpufreq.ErrNoDevice) {
		t.Errorf("set: %v", err)
	}
}

func TestOddFiles(t *testing.T) {
	for name, content := range map[string]string{"affected_cpus": "zero", "scaling_cur_freq": "<unknown>"} {
		root := pi4(t)
		if err := os.WriteFile(filepath.Join(root, dir, "policy0", name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (cpufreq.FS{Root: root}).Policies(); err == nil {
			t.Errorf("%s of %q was read", name, content)
		}
	}
}
