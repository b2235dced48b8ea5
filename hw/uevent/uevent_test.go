package uevent_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"porthole/hw/uevent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hotplug is what a Pi's kernel sends when a display is plugged in.
const hotplug = "change@/devices/platform/gpu/drm/card1\x00ACTION=change\x00DEVPATH=/devices/platform/gpu/drm/card1\x00SUBSYSTEM=drm\x00" +
	"HOTPLUG=1\x00CONNECTOR=32\x00MAJOR=226\x00MINOR=1\x00DEVNAME=dri/card1\x00DEVTYPE=drm_minor\x00SEQNUM=2345\x00"

func TestParse(t *testing.T) {
	got, err := uevent.Parse([]byte(hotplug))
	if err != nil {
		t.Fatal(err)
	}
	want := uevent.Event{
		Action: "change", DevPath: "/devices/platform/gpu/drm/card1", Subsystem: "drm",
		Vars: map[string]string{
			"ACTION": "change", "DEVPATH": "/devices/platform/gpu/drm/card1", "SUBSYSTEM": "drm", "HOTPLUG": "1", "CONNECTOR": "32",
			"MAJOR": "226", "MINOR": "1", "DEVNAME": "dri/card1", "DEVTYPE": "drm_minor", "SEQNUM": "2345",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	for name, msg := range map[string]string{
		"empty": "", "udev's": "libudev\x00\xfe\xed\xca\xfe" + hotplug, "cut": hotplug[:60], "no variables": "add@/devices/x\x00",
		"another device": strings.Replace(hotplug, "DEVPATH=/devices/platform", "DEVPATH=/devices/other", 1),
		"another action": strings.Replace(hotplug, "ACTION=change", "ACTION=remove", 1),
		"no value":       hotplug + "WHAT\x00", "no end": hotplug + "A=b", "no path": strings.Replace(hotplug, "@/", "@", 1),
		"endless": hotplug + strings.Repeat("A=b\x00", 5) + many(),
	} {
		if ev, err := uevent.Parse([]byte(msg)); !errors.Is(err, uevent.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, ev, err)
		}
	}
}

func many() string {
	var b strings.Builder
	for i := range 100 {
		b.WriteString("K" + string(rune('A'+i%26)) + string(rune('a'+i/26)) + "=v\x00")
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(hotplug))
	f.Add([]byte("add@/x\x00ACTION=add\x00DEVPATH=/x\x00=\x00"))
	f.Add([]byte("libudev\x00"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		ev, err := uevent.Parse(msg)
		if err != nil {
			return
		}
		if ev.Vars["ACTION"] != ev.Action || ev.Vars["DEVPATH"] != ev.DevPath || ev.Vars["SUBSYSTEM"] != ev.Subsystem || len(ev.Vars) > 64 || ev.Lost {
			t.Errorf("got %+v", ev)
		}
	})
}

func TestCloseEndsNext(t *testing.T) {
	l, err := uevent.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := l.Next(); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("a blocked Next ends with %v", err)
	}
}
