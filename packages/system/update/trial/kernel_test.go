package trial_test

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/system/update/trial"
)

// insideEnv says that a test runs in a network of its own.
const insideEnv = "PORTHOLE_TEST_TRIAL_NET"

// network makes a network with a router in another one, then runs the test again in it.
const network = `set -e
unshare --net sh -c 'while :; do sleep 1; done' & router=$!
trap 'kill $router' EXIT
until [ "$(readlink /proc/$router/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
ip link add house type veth peer name router netns $router
nsenter --target $router --net ip addr add 192.0.2.1/24 dev router
nsenter --target $router --net ip link set router up
ip addr add 192.0.2.2/24 dev house
ip link set house up
ip link set lo up
ip route add default via 192.0.2.1
ip route add 198.51.100.0/24 via 192.0.2.77
ip route add table 99 default via 192.0.2.99
"$@"`

// TestKernel asks the real kernel about a router that is there, and about one that is not.
func TestKernel(t *testing.T) {
	if os.Getenv(insideEnv) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"--net"}
		if os.Getuid() != 0 {
			args = append(args, "--user", "--map-root-user")
		}
		cmd := exec.CommandContext(t.Context(), "unshare", append(args, "sh", "-c", network, "sh", self, "-test.run", "^TestKernel$", "-test.v")...)
		cmd.Env = append(os.Environ(), insideEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestKernel")) {
			t.Fatalf("in a network of its own (Debian packages util-linux and iproute2): %v\n%s", err, out)
		}
		return
	}
	d := newDevice(t)
	d.cfg.Network = trial.Kernel()
	d.trial = trial.New(d.cfg)
	list, err := d.cfg.Network.Gateways()
	if want := []netip.Addr{netip.MustParseAddr("192.0.2.1")}; err != nil || !slices.Equal(list, want) {
		t.Errorf("routers %v, %v; want %v", list, err, want)
	}
	expect(t, d.look(t), trial.Gateway, true, "The router 192.0.2.1 answers.")
	if out, err := exec.CommandContext(t.Context(), "ip", "route", "replace", "default", "via", "192.0.2.44").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	began := time.Now()
	expect(t, d.look(t), trial.Gateway, false, "The router 192.0.2.44 does not answer.")
	t.Logf("a look at a router that is not there took %v", time.Since(began))
	if out, err := exec.CommandContext(t.Context(), "ip", "route", "del", "default").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	expect(t, d.look(t), trial.Gateway, false, "there is no router")
}

// FuzzMessages reads what a kernel never sends.
func FuzzMessages(f *testing.F) {
	f.Add(true, []byte(strings.Repeat("\x00", 12)+"\x08\x00\x05\x00\xc0\x00\x02\x01"))
	f.Add(false, []byte(strings.Repeat("\x02", 12)+"\x08\x00\x01\x00\xc0\x00\x02\x01"))
	f.Add(true, []byte("\x02\x00\x00\x00\xfe\x03\x00\x01\x00\x00\x00\x00\x08\x00\x05\x00\xc0\x00\x02\x01\xff\xff"))
	f.Fuzz(func(t *testing.T, route bool, data []byte) {
		var a netip.Addr
		var ok bool
		var err error
		if route {
			a, ok, err = trial.Route(unix.RTM_NEWROUTE, data)
		} else {
			a, ok, err = trial.Neighbour(unix.RTM_NEWNEIGH, data)
		}
		if ok && (err != nil || !a.IsValid()) {
			t.Errorf("found %v, %v", a, err)
		}
	})
}
