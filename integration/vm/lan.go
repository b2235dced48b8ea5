package vm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideLAN marks the process that RunInLAN starts.
const insideLAN = "PORTHOLE_TEST_LAN"

// InLAN reports whether this is the process that RunInLAN has started.
func InLAN() bool { return os.Getenv(insideLAN) != "" }

// RunInLAN runs the named test again in a process with a network of its own, where it may make devices and use every
// port without root and without meeting anybody. It returns true in that process, where the test goes on, and false in
// the outer one, where it is over. There is no way out of that network: what has to be fetched or built comes before,
// and env hands it over. The packages util-linux and iproute2 are needed.
func RunInLAN(t *testing.T, env ...string) bool {
	t.Helper()
	if InLAN() {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--net"}
	if os.Getuid() != 0 {
		args = append(args, "--user", "--map-root-user")
	}
	cmd := exec.CommandContext(t.Context(), "unshare", append(args, self, "-test.run", "^"+t.Name()+"$", "-test.v")...)
	cmd.Env = append(append(os.Environ(), insideLAN+"=1"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said := &relay{t: t}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		t.Errorf("in a network of its own (Debian package util-linux): %v", err)
	}
	if !strings.Contains(said.all.String(), "--- PASS: "+t.Name()) {
		t.Errorf("the test did not run there")
	}
	return false
}

// relay logs what the other process says, line by line as it comes.
type relay struct {
	t    *testing.T
	all  strings.Builder
	part string
}

func (r *relay) Write(p []byte) (int, error) {
	r.t.Helper()
	r.all.Write(p)
	lines := strings.Split(r.part+string(p), "\n")
	r.part = lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		r.t.Log(line)
	}
	return len(p), nil
}

// LAN is a network with this process and one guest in it, by way of a tap device: unlike QEMU's user network it carries
// every protocol in both directions, as a browser and WebRTC need.
type LAN struct {
	// Host and Guest are the addresses of the two.
	Host, Guest netip.Addr

	device string
	server net.PacketConn
	wg     sync.WaitGroup
}

// NewLAN makes the network of the process, which RunInLAN has started, and serves addresses in it.
func NewLAN(ctx context.Context) (*LAN, error) {
	if !InLAN() {
		return nil, errors.New("a LAN is made in a network of its own: see RunInLAN")
	}
	l := &LAN{Host: netip.MustParseAddr("10.77.0.1"), Guest: netip.MustParseAddr("10.77.0.2"), device: "tap0"}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"tuntap", "add", "dev", l.device, "mode", "tap"},
		{"address", "add", l.Host.String() + "/24", "dev", l.device},
		{"link", "set", l.device, "up"},
	} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %s (Debian package iproute2): %w: %s", strings.Join(args, " "), err, out)
		}
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var bind error
		if err := c.Control(func(fd uintptr) { bind = unix.BindToDevice(int(fd), l.device) }); err != nil {
			return err
		}
		return bind
	}}
	var err error
	if l.server, err = lc.ListenPacket(ctx, "udp4", ":67"); err != nil {
		return nil, fmt.Errorf("serve addresses: %w", err)
	}
	l.wg.Go(l.serve)
	return l, nil
}

// qemu returns QEMU's arguments for a guest in the network.
func (l *LAN) qemu() []string {
	return []string{"-netdev", "tap,id=net0,ifname=" + l.device + ",script=no,downscript=no", "-device", "virtio-net-pci,netdev=net0"}
}

// Close ends the serving of addresses.
func (l *LAN) Close() {
	l.server.Close()
	l.wg.Wait()
}

// Parts of a DHCP message: RFC 2131 section 2 and RFC 2132.
const (
	dhcpHeader = 236
	dhcpCookie = 0x63825363

	optMask, optRouter, optDNS, optLease, optType, optServer, optEnd = 1, 3, 6, 51, 53, 54, 255

	discover, offer, request, ack = 1, 2, 3, 5
)

// serve gives everybody who asks the guest's address.
func (l *LAN) serve() {
	buf := make([]byte, 1500)
	for {
		n, _, err := l.server.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := l.answer(buf[:n]); answer != nil {
			// Lost like any datagram: the guest asks again.
			_, _ = l.server.WriteTo(answer, &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
		}
	}
}

// answer returns the reply to a DHCP message; nil if there is none.
func (l *LAN) answer(q []byte) []byte {
	if len(q) < dhcpHeader+4 || q[0] != 1 || binary.BigEndian.Uint32(q[dhcpHeader:]) != dhcpCookie {
		return nil
	}
	var reply byte
	switch messageType(q[dhcpHeader+4:]) {
	case discover:
		reply = offer
	case request:
		reply = ack
	default:
		return nil
	}
	a := make([]byte, dhcpHeader, 300)
	copy(a, q[:dhcpHeader])
	a[0] = 2
	host, guest := l.Host.As4(), l.Guest.As4()
	copy(a[16:20], guest[:])
	copy(a[20:24], host[:])
	a = binary.BigEndian.AppendUint32(a, dhcpCookie)
	a = append(a, optType, 1, reply, optLease, 4, 0, 1, 0x51, 0x80, optMask, 4, 255, 255, 255, 0)
	for _, o := range []byte{optServer, optRouter, optDNS} {
		a = append(append(a, o, 4), host[:]...)
	}
	return append(a, optEnd)
}

// messageType finds option 53; 0 if there is none.
func messageType(options []byte) byte {
	for len(options) >= 2 && options[0] != optEnd {
		if options[0] == 0 {
			options = options[1:]
			continue
		}
		length := int(options[1])
		if len(options) < 2+length {
			return 0
		}
		if options[0] == optType && length == 1 {
			return options[2]
		}
		options = options[2+length:]
	}
	return 0
}
