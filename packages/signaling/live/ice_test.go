package live

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/pion/stun/v4"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// After a restart, viewers of the process before still send to its ports (the race detector looks on).
func TestPathOpensUnderFire(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.LocalAddr()
	free.Close()
	fire, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	question := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			if _, err := fire.WriteTo(question, addr); errors.Is(err, net.ErrClosed) {
				return
			}
			select {
			case sent <- struct{}{}:
			default:
			}
		}
	}()
	for range 20 {
		p, err := Listen(discard(), addr.String(), true)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			<-sent
		}
		p.Close()
	}
	fire.Close()
	for range sent {
	}
}

// Addresses come and go while the process runs; the next viewer is offered what there is.
func TestPathFollowsAddresses(t *testing.T) {
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	free.Close()
	p, err := Listen(discard(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)).String(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	set := func(addrs ...string) {
		p.addresses = func() (map[netip.Addr]struct{}, error) {
			out := map[netip.Addr]struct{}{}
			for _, a := range addrs {
				out[netip.MustParseAddr(a)] = struct{}{}
			}
			return out, nil
		}
	}
	offered := func() []string {
		var out []string
		for _, a := range p.view().udp.GetListenAddresses() {
			u := a.(*net.UDPAddr)
			if u.Port != port {
				t.Errorf("%v is not on port %d", u, port)
			}
			out = append(out, u.IP.String())
		}
		slices.Sort(out)
		return out
	}
	if got := offered(); !slices.Equal(got, []string{"127.0.0.1"}) {
		t.Errorf("at first: %v", got)
	}
	set("127.0.0.1", "127.0.0.2", "192.0.2.1") // the last is not this machine's (any more)
	if got := offered(); !slices.Equal(got, []string{"127.0.0.1", "127.0.0.2"}) {
		t.Errorf("with a new one: %v", got)
	}
	set("127.0.0.2")
	if got := offered(); !slices.Equal(got, []string{"127.0.0.2"}) {
		t.Errorf("without the old one: %v", got)
	}
	again, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Errorf("the old address is still in use: %v", err)
	} else {
		again.Close()
	}
}

func TestUsable(t *testing.T) {
	for addr, want := range map[string][2]bool{ // without loopback, with
		"192.168.1.7": {true, true}, "203.0.113.4": {true, true}, "169.254.3.4": {true, true}, "2001:db8::1": {true, true}, "fd00::1": {true, true},
		"127.0.0.1": {false, true}, "::1": {false, true}, "fe80::1": {false, false}, "224.0.0.1": {false, false}, "0.0.0.0": {false, false},
	} {
		for i, loopback := range []bool{false, true} {
			if got := usable(netip.MustParseAddr(addr), loopback); got != want[i] {
				t.Errorf("%s, loopback %v: %v", addr, loopback, got)
			}
		}
	}
}
