package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The environment of a test that runs in a network of its own: the programs built for the outer one.
const binsBuilt = "PORTHOLE_TEST_BINS"

// inOwnNetwork runs the test again in a process that has a network of its own, in which a browser has nothing but what
// the test gives it. It returns true in that process, where the test goes on, and false in the outer one, where it is
// over. The packages util-linux, iproute2 and nftables are needed.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(binsBuilt) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Fatal("networks can only be made as root: run the tests as root, as CI does")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--net", self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "8m")
	cmd.Env = append(os.Environ(), binsBuilt+"="+bins)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a network of its own: %v\n%s", err, out)
	}
	return false
}

// network is a network namespace, kept by a process that sleeps; pid 0 is the test's own.
type network struct {
	t   *testing.T
	pid int
}

func newNetwork(t *testing.T) network {
	t.Helper()
	cmd := exec.Command("unshare", "--net", "sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("make a network (Debian package util-linux): %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	n := network{t, cmd.Process.Pid}
	eventually(t, "a network of its own", func() error {
		own, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			return err
		}
		its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", n.pid))
		if err == nil && own == its {
			err = fmt.Errorf("process %d is still in ours", n.pid)
		}
		return err
	})
	n.prepare()
	return n
}

// prepare is for a network that is new.
func (n network) prepare() {
	n.t.Helper()
	// Addresses that come by themselves a second later would make a browser break off what it does
	// (ERR_NETWORK_CHANGED).
	n.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
	n.run("ip", "link", "set", "lo", "up")
}

// command is one that runs in the network.
func (n network) command(args ...string) []string {
	if n.pid == 0 {
		return args
	}
	return append([]string{"nsenter", "--target", strconv.Itoa(n.pid), "--net", "--"}, args...)
}

func (n network) run(args ...string) string {
	n.t.Helper()
	return n.feed("", args...)
}

func (n network) feed(stdin string, args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	args = n.command(args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s (Debian packages iproute2, nftables): %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// cable joins two networks; the addresses are those of its ends, with the length of their prefix.
func cable(name string, a network, addrA string, b network, addrB string) {
	a.t.Helper()
	a.run("ip", "link", "add", name+"a", "type", "veth", "peer", "name", name+"b")
	move := []string{"ip", "link", "set", name + "b", "netns", strconv.Itoa(b.pid)}
	if b.pid == 0 {
		move[5] = strconv.Itoa(os.Getpid())
	}
	a.run(move...)
	a.run("ip", "address", "add", addrA, "dev", name+"a")
	a.run("ip", "link", "set", name+"a", "up")
	b.run("ip", "address", "add", addrB, "dev", name+"b")
	b.run("ip", "link", "set", name+"b", "up")
	eventually(a.t, "the cable "+name, func() error {
		if state := b.run("ip", "-o", "link", "show", name+"b"); !strings.Contains(state, "state UP") {
			return errors.New(state)
		}
		return nil
	})
}

// forward makes the network forward, and leads what it does not know to a gateway, if there is one.
func (n network) forward(gateway string) {
	n.t.Helper()
	n.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	if gateway != "" {
		n.run("ip", "route", "add", "default", "via", gateway)
	}
}
