package power_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"porthole/hw/hwtest"
	"porthole/hw/power"
)

func TestRestart(t *testing.T) {
	d := hwtest.NewDevices(t)
	m := power.Machine{Sys: d.Sys()}
	long := strings.Repeat("x", power.MaxText)
	for _, text := range []string{power.TryOther, "", long} {
		if err := m.Restart(text); err != nil {
			t.Errorf("restart with %q: %v", text, err)
		}
	}
	if want := []string{"0 tryboot", "", long}; !cmp.Equal(d.Restarts(), want) {
		t.Errorf("restarts: %s", cmp.Diff(want, d.Restarts()))
	}
}

func TestRestartRefuses(t *testing.T) {
	d := hwtest.NewDevices(t)
	m := power.Machine{Sys: d.Sys()}
	for _, text := range []string{strings.Repeat("x", power.MaxText+1), "0 try\x00boot"} {
		if err := m.Restart(text); !errors.Is(err, power.ErrText) {
			t.Errorf("a text of %d bytes gives %v", len(text), err)
		}
	}
	d.Stick(unix.EPERM)
	if err := m.Restart("0 tryboot"); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "0 tryboot") {
		t.Errorf("a refused restart gives %v", err)
	}
	if n := len(d.Restarts()); n != 0 {
		t.Errorf("restarted %d times", n)
	}
}
