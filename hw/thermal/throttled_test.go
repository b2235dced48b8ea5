package thermal_test

import (
	"errors"
	"testing"

	"porthole/hw/hwtest"
	"porthole/hw/thermal"
)

func TestLimits(t *testing.T) {
	d := hwtest.NewDevices(t)
	f := hwtest.NewFirmware(d)
	firmware := thermal.Firmware{Root: d.Root(), Sys: d.Sys()}
	for value, want := range map[uint32]thermal.Limits{
		0:       {},
		0x50005: {UnderVoltage: true, Throttled: true},
		0x80008: {Hot: true},
		0xf0002: {Capped: true},
		0xf0000: {}, // it is over
	} {
		f.Set(value)
		if got, err := firmware.Limits(); err != nil || got != want {
			t.Errorf("%#x: %+v, %v; want %+v", value, got, err, want)
		}
	}
	if files, _ := d.Open(); files != 0 {
		t.Errorf("%d files are still open", files)
	}
	f.Break()
	if got, err := firmware.Limits(); err == nil || errors.Is(err, thermal.ErrNoDevice) {
		t.Errorf("an answer that is none: %+v, %v", got, err)
	}
	if _, err := (thermal.Firmware{Root: t.TempDir()}).Limits(); !errors.Is(err, thermal.ErrNoDevice) {
		t.Errorf("no firmware: %v", err)
	}
	if got := (thermal.Limits{Hot: true}).Or(thermal.Limits{Capped: true}); got != (thermal.Limits{Hot: true, Capped: true}) {
		t.Errorf("either: %+v", got)
	}
}
