// Package cpufreq lists and sets how the kernel chooses the processor's speed.
package cpufreq

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"porthole/hw/internal/sysfs"
)

var (
	// ErrNoDevice means that the processor's speed cannot be changed, as in most virtual machines.
	ErrNoDevice = errors.New("no processor frequency control")
	// ErrUnknownGovernor means that the kernel does not have a governor of that name.
	ErrUnknownGovernor = errors.New("unknown governor")
)

// Policy is a group of processors that share one speed. The files are described in
// Documentation/admin-guide/pm/cpufreq.rst, section "Policy Interface in sysfs".
type Policy struct {
	// ID is the policy's number in /sys/devices/system/cpu/cpufreq.
	ID int
	// CPUs are the processors it covers that are online.
	CPUs []int
	// Governor chooses the speed, for example "performance" or "ondemand"; Governors are all there are.
	Governor  string
	Governors []string
	// CurrentFreqKHz is the speed now; the governor moves it between MinFreqKHz and MaxFreqKHz. The hardware could go
	// from HardwareMinFreqKHz to HardwareMaxFreqKHz. 0 where the kernel does not tell.
	CurrentFreqKHz, MinFreqKHz, MaxFreqKHz int64
	HardwareMinFreqKHz, HardwareMaxFreqKHz int64
}

// FS is where the kernel's files are. The zero value is /.
type FS struct {
	// Root stands for /.
	Root string
}

const folder = "sys/devices/system/cpu/cpufreq"

func (f FS) root() sysfs.Root { return sysfs.Root(f.Root) }

// Policies lists all policies by number. It returns ErrNoDevice when there are none.
func (f FS) Policies() ([]Policy, error) {
	var list []Policy
	for _, path := range f.root().Glob(filepath.Join(folder, "policy[0-9]*")) {
		id, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "policy"))
		if err != nil {
			continue
		}
		p, err := f.policy(id)
		if err != nil {
			return nil, fmt.Errorf("read frequency policy %d: %w", id, err)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("list frequency policies: %w", ErrNoDevice)
	}
	slices.SortFunc(list, func(a, b Policy) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

func (f FS) policy(id int) (Policy, error) {
	dir := filepath.Join(folder, fmt.Sprintf("policy%d", id))
	p := Policy{ID: id}
	var err error
	if p.Governor, err = f.root().Text(dir, "scaling_governor"); err != nil {
		return p, err
	}
	governors, err := f.root().Text(dir, "scaling_available_governors")
	if err != nil {
		return p, err
	}
	p.Governors = strings.Fields(governors)
	cpus, err := f.root().Text(dir, "affected_cpus")
	if err != nil {
		return p, err
	}
	for _, s := range strings.Fields(cpus) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return p, fmt.Errorf("read affected_cpus: %w", err)
		}
		p.CPUs = append(p.CPUs, n)
	}
	for name, v := range map[string]*int64{
		"scaling_cur_freq": &p.CurrentFreqKHz, "scaling_min_freq": &p.MinFreqKHz, "scaling_max_freq": &p.MaxFreqKHz,
		"cpuinfo_min_freq": &p.HardwareMinFreqKHz, "cpuinfo_max_freq": &p.HardwareMaxFreqKHz,
	} {
		if *v, err = f.root().Int(dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
	}
	return p, nil
}

// SetGovernor sets the governor of all policies and reads it back. It returns ErrNoDevice when there are no policies, and
// ErrUnknownGovernor, before anything is changed, when one of them does not have it.
func (f FS) SetGovernor(name string) error {
	list, err := f.Policies()
	if err != nil {
		return err
	}
	for _, p := range list {
		if !slices.Contains(p.Governors, name) {
			return fmt.Errorf("set governor %q on policy %d, which has %s: %w", name, p.ID, strings.Join(p.Governors, ", "), ErrUnknownGovernor)
		}
	}
	for _, p := range list {
		dir := filepath.Join(folder, fmt.Sprintf("policy%d", p.ID))
		if err := f.root().Write(name, dir, "scaling_governor"); err != nil {
			return fmt.Errorf("set governor %q on policy %d: %w", name, p.ID, err)
		}
		now, err := f.root().Text(dir, "scaling_governor")
		if err != nil {
			return fmt.Errorf("read governor of policy %d back: %w", p.ID, err)
		}
		if now != name {
			return fmt.Errorf("set governor %q on policy %d: the kernel keeps %q", name, p.ID, now)
		}
	}
	return nil
}
