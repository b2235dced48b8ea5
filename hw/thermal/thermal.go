// Package thermal reads how hot the processor is and whether its supply voltage suffices.
package thermal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"porthole/hw/internal/sysfs"
)

// ErrNoDevice means that there is no such sensor, as in virtual machines.
var ErrNoDevice = errors.New("no sensor")

// MilliCelsius is a temperature in thousandths of a degree.
type MilliCelsius int

// String is for people, for example "48.7 °C".
func (m MilliCelsius) String() string { return fmt.Sprintf("%.1f °C", float64(m)/1000) }

// FS is where the kernel's files are. The zero value is /.
type FS struct {
	// Root stands for /.
	Root string
}

func (f FS) root() sysfs.Root { return sysfs.Root(f.Root) }

// Temperature is the processor's: the sensor that the Pi's kernel names cpu_thermal, else the first thermal zone of a
// processor (Documentation/hwmon/sysfs-interface.rst, temp1_input; Documentation/driver-api/thermal/sysfs-api.rst, temp).
// It returns ErrNoDevice when there is none.
func (f FS) Temperature() (MilliCelsius, error) {
	if dir := f.hwmon("cpu_thermal"); dir != "" {
		return f.read(dir, "temp1_input")
	}
	for _, zone := range f.root().Glob("sys/class/thermal/thermal_zone[0-9]*") {
		dir := filepath.Join("sys/class/thermal", filepath.Base(zone))
		kind, err := f.root().Text(dir, "type")
		if err != nil {
			return 0, fmt.Errorf("read thermal zone: %w", err)
		}
		switch strings.ReplaceAll(kind, "-", "_") {
		case "cpu_thermal", "x86_pkg_temp", "acpitz":
			return f.read(dir, "temp")
		}
	}
	return 0, fmt.Errorf("find processor temperature: %w", ErrNoDevice)
}

func (f FS) read(dir, name string) (MilliCelsius, error) {
	v, err := f.root().Int(dir, name)
	if err != nil {
		return 0, fmt.Errorf("read processor temperature: %w", err)
	}
	return MilliCelsius(v), nil
}

// UnderVoltage tells whether the supply voltage fell below 4.63 V in the last seconds: the Pi's firmware then throttles
// the processor (drivers/hwmon/raspberrypi-hwmon.c, in0_lcrit_alarm). It returns ErrNoDevice when nothing watches it.
func (f FS) UnderVoltage() (bool, error) {
	dir := f.hwmon("rpi_volt")
	if dir == "" {
		return false, fmt.Errorf("find voltage monitor: %w", ErrNoDevice)
	}
	v, err := f.root().Int(dir, "in0_lcrit_alarm")
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("find voltage alarm: %w", ErrNoDevice)
	}
	if err != nil {
		return false, fmt.Errorf("read voltage alarm: %w", err)
	}
	return v != 0, nil
}

// hwmon returns the folder, below the root, of the sensor chip with that name, or nothing.
func (f FS) hwmon(name string) string {
	for _, chip := range f.root().Glob("sys/class/hwmon/hwmon[0-9]*") {
		dir := filepath.Join("sys/class/hwmon", filepath.Base(chip))
		if got, err := f.root().Text(dir, "name"); err == nil && got == name {
			return dir
		}
	}
	return ""
}
