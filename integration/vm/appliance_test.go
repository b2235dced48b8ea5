package vm_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"

	"porthole/integration/vm"
	"porthole/media/rtsp"
	"porthole/media/samples"
)

// cardSize is a card sold as 128 GB.
const cardSize = 119 << 30

// TestAppliance is the life of one device, in a network with nobody but this test: its first boot on a large card with a
// camera, a browser and a screen, then five power cuts while certificates are renewed, then a damaged card, then two factory
// resets. A boot takes half a minute here, so each boot is used for all that can be seen in it.
func TestAppliance(t *testing.T) {
	const handedOver = "PORTHOLE_TEST_IMAGE"
	var env []string
	if !vm.InLAN() {
		env = append(env, handedOver+"="+theVMImage(t))
	}
	if !vm.RunInLAN(t, env...) {
		return
	}
	lan, err := vm.NewLAN(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lan.Close)
	l := &life{lan: lan, renewals: newRenewals(t)}
	l.disk = newDisk(t, os.Getenv(handedOver), cardSize, fmt.Sprintf(
		"[[camera]]\nid = \"yard\"\nurl = %q\nuser = \"cam\"\npassword = \"camera secret\"\n", serveCamera(t, lan.Host.String())))
	for _, stage := range []struct {
		name string
		run  func(*testing.T)
	}{{"first boot", l.firstBoot}, {"power cuts", l.powerCuts}, {"damaged superblock", l.damagedSuperblock}, {"factory reset", l.factoryReset}} {
		if !t.Run(stage.name, stage.run) {
			return
		}
	}
}

// life is a device over its boots.
type life struct {
	lan  *vm.LAN
	disk string
	// renewals are those of the public certificates.
	renewals *renewals
}

func (l *life) boot(t *testing.T) *vm.Machine {
	t.Helper()
	return boot(t, vm.Options{Disk: l.disk, LAN: l.lan})
}

// serveCamera serves the demo clip at an address of this machine until the test ends and returns its URL.
func serveCamera(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- rtsp.ServeClip(ctx, slog.New(slog.DiscardHandler), listener, samples.Demo(), "demo", "cam", "camera secret")
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return "rtsp://" + listener.Addr().String() + "/demo"
}

// firstBoot: the status screen comes up, every process runs as its own user, /perm has the whole card; a camera is put on
// the screen, a browser beside the device plays it, and each process is killed and comes back.
func (l *life) firstBoot(t *testing.T) {
	m := l.boot(t)
	statusScreen(t, m, "https://"+l.lan.Guest.String()+"/")
	t.Log("the status screen is up")
	waitProcesses(t, m)
	t.Log("all processes run")
	u := logIn(t, m)
	u.showsProcesses(t)
	t.Log("the console answers")
	a := m.Agent()
	checkGrown(t, a)
	checkMounts(t, a)
	checkRunDir(t, a)
	checkUsers(t, a, u.c, u.at)
	t.Log("users, mounts and secrets are as they should be")
	u.putOnScreen(t, "camera:yard")
	moves(t, m, "the camera on the screen")
	t.Log("the camera is on the screen")
	watchInBrowser(t, m)
	t.Log("a browser plays the camera")
	killEach(t, m, u)
	if n := m.Resets(); n != 0 {
		t.Errorf("the machine was reset %d times", n)
	}
	if err := a.WriteFile(t.Context(), marker(1), "kept"); err != nil {
		t.Fatal(err)
	}
	m.Kill()
}
