package thermal_test

import (
	"errors"
	"testing"

	"porthole/hw/hwtest"
	"porthole/hw/thermal"
)

func TestTemperature(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  thermal.MilliCelsius
	}{
		{"Pi", map[string]string{
			"sys/class/hwmon/hwmon0/name": "rpi_volt\n", "sys/class/hwmon/hwmon1/name": "cpu_thermal\n",
			"sys/class/hwmon/hwmon1/temp1_input": "48686\n", "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone0/temp": "1\n",
		}, 48686},
		{"without hwmon", map[string]string{
			"sys/class/thermal/thermal_zone0/type": "wifi\n", "sys/class/thermal/thermal_zone0/temp": "1\n",
			"sys/class/thermal/thermal_zone1/type": "cpu-thermal\n", "sys/class/thermal/thermal_zone1/temp": "-5000\n",
		}, -5000},
		{"PC", map[string]string{"sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n", "sys/class/thermal/thermal_zone0/temp": "61000\n"}, 61000},
	} {
		if got, err := (thermal.FS{Root: hwtest.Tree(t, c.files)}).Temperature(); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	if _, err := (thermal.FS{Root: t.TempDir()}).Temperature(); !errors.Is(err, thermal.ErrNoDevice) {
		t.Errorf("no sensor: %v", err)
	}
	odd := map[string]string{"sys/class/hwmon/hwmon1/name": "cpu_thermal\n", "sys/class/hwmon/hwmon1/temp1_input": "hot\n"}
	if got, err := (thermal.FS{Root: hwtest.Tree(t, odd)}).Temperature(); err == nil {
		t.Errorf("%q was read as %v", "hot", got)
	}
	if s := thermal.MilliCelsius(48686).String(); s != "48.7 °C" {
		t.Errorf("printed as %q", s)
	}
}

func TestUnderVoltage(t *testing.T) {
	for alarm, want := range map[string]bool{"0\n": false, "1\n": true} {
		root := hwtest.Tree(t, map[string]string{"sys/class/hwmon/hwmon3/name": "rpi_volt\n", "sys/class/hwmon/hwmon3/in0_lcrit_alarm": alarm})
		if got, err := (thermal.FS{Root: root}).UnderVoltage(); err != nil || got != want {
			t.Errorf("alarm %q: %v, %v", alarm, got, err)
		}
	}
	for name, files := range map[string]map[string]string{
		"nothing": nil, "no alarm": {"sys/class/hwmon/hwmon3/name": "rpi_volt\n"},
	} {
		if _, err := (thermal.FS{Root: hwtest.Tree(t, files)}).UnderVoltage(); !errors.Is(err, thermal.ErrNoDevice) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
