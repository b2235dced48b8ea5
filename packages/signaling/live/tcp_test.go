package live_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/live"
)

// sharedPort does what proxy's door does for ICE: it hands over every connection to an address, once its first message
// has come.
func sharedPort(t *testing.T) (addr string, share func(*live.Path)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	to := make(chan *live.Path, 1)
	go func() {
		defer close(done)
		var path *live.Path
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if path == nil {
				path = <-to
			}
			waitForBytes(c.(*net.TCPConn))
			path.Take(c.(*net.TCPConn))
		}
	}()
	return l.Addr().String(), func(p *live.Path) {
		if err := p.Share(l.Addr().String()); err != nil {
			t.Error(err)
		}
		to <- p
	}
}

// waitForBytes returns when there is something to read, or never will be.
func waitForBytes(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	c.SetReadDeadline(time.Now().Add(deadline))
	first := true
	raw.Read(func(uintptr) bool {
		again := !first
		first = false
		return again
	})
	c.SetReadDeadline(time.Time{})
}

// only leaves in an SDP just the candidates with that word.
func only(sdp, word string) string {
	var out strings.Builder
	for l := range strings.Lines(sdp) {
		if !strings.HasPrefix(l, "a=candidate:") || strings.Contains(l, word) {
			out.WriteString(l)
		}
	}
	return out.String()
}

// pairProtocol is how the two are connected.
func (b *browser) pairProtocol() string {
	b.t.Helper()
	pair, err := b.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		b.t.Fatalf("no selected pair: %v", err)
	}
	return pair.Local.Protocol.String() + " to " + pair.Remote.String()
}

func TestTCPOnly(t *testing.T) {
	addr, share := sharedPort(t)
	c := newFakeCamera(h264)
	s := serve(t, c, func(cfg *live.Config) { share(cfg.Path) })
	b := newBrowserWith(t, webrtc.Configuration{}, func(e *webrtc.SettingEngine) {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	})
	v, err := s.Watch(t.Context(), "door", only(b.offer, " tcp "))
	if err != nil {
		t.Fatal(err)
	}
	answer := only(v.Answer, " tcp ")
	_, port, _ := net.SplitHostPort(addr)
	if !strings.Contains(answer, " 127.0.0.1 "+port+" typ host tcptype passive") || strings.Contains(answer, " udp ") {
		t.Fatalf("the answer is\n%s", answer)
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	for i := range byte(20) {
		c.send(picture(i%10 == 0, i, uint32(i)*3000))
	}
	if got := b.picture(); !got.key {
		t.Errorf("the first picture is %+v", got)
	}
	for i := byte(20); i < 40; i++ {
		c.send(picture(i%10 == 0, i, uint32(i)*3000))
	}
	for b.picture().number != 39 {
	}
	if got := b.pairProtocol(); !strings.HasPrefix(got, "tcp to tcp4 host 127.0.0.1:"+port) {
		t.Errorf("connected by %s", got)
	}
	v.Close()
}

// binding is a framed STUN binding request for a user name.
func binding(t *testing.T, username string) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(username))
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(m.Raw))), m.Raw...)
}

// TestTCPStrangers: connections that name no viewer are closed at once, and one viewer has not more than a few.
func TestTCPStrangers(t *testing.T) {
	addr, share := sharedPort(t)
	c := newFakeCamera(h264)
	s := serve(t, c, func(cfg *live.Config) { share(cfg.Path) })
	b := newBrowser(t)
	v, err := s.Watch(t.Context(), "door", b.offer)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	dial := func(words string) net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, words)
		return c
	}
	var ufrag string
	for l := range strings.Lines(v.Answer) {
		if u, ok := strings.CutPrefix(l, "a=ice-ufrag:"); ok {
			ufrag = strings.TrimSpace(u)
		}
	}
	known := string(binding(t, ufrag+":me"))
	for _, words := range []string{
		string(binding(t, "nobody:me")), string(binding(t, ":")), string(binding(t, ufrag)), "\x00\x02ab", "\x00", "\xff\xff" + strings.Repeat("a", 5000), known[:len(known)-1],
	} {
		if _, err := io.ReadAll(dial(words)); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%.20q: %v", words, err)
		}
	}
	// Nobody has the viewer's key, so these get no answer; but they are not closed, while they are few.
	var open []net.Conn
	for range 8 {
		open = append(open, dial(known))
	}
	for range 3 {
		if _, err := io.ReadAll(dial(known)); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("one too many: %v", err)
		}
	}
	for _, c := range open {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one of the first: %v", err)
		}
	}
	// Rubbish after the first message ends the connection, and a place is free.
	io.WriteString(open[0], "\xff\xff")
	open[0].SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.ReadAll(open[0]); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	v.Close()
	for _, c := range open[1:] {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("after the viewer's end: %v", err)
		}
	}
}

// router answers STUN requests like a server that sees everybody behind a router.
func router(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		q := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if q.Decode() != nil {
			continue
		}
		a, err := stun.Build(stun.NewTransactionIDSetter(q.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(198, 51, 100, 7), Port: 61000})
		if err == nil {
			c.WriteTo(a.Raw, from)
		}
	}
}

// TestTCPOtherAddress: whatever number of addresses the device has, a viewer's agent waits for TCP once per family, and
// hears what comes to any of them.
func TestTCPOtherAddress(t *testing.T) {
	addr, share := sharedPort(t)
	_, port, _ := net.SplitHostPort(addr)
	c := newFakeCamera(h264)
	path, err := live.Listen(discard(), ":0", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(path.Close)
	s := serve(t, c, func(cfg *live.Config) {
		cfg.Path = path
		share(path)
	})
	b := newBrowserWith(t, webrtc.Configuration{}, func(e *webrtc.SettingEngine) {
		e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	})
	v, err := s.Watch(t.Context(), "door", only(b.offer, " tcp "))
	if err != nil {
		t.Fatal(err)
	}
	// The listener has only this one, which the answer names as one of several.
	answer := only(v.Answer, " tcp ")
	if strings.Count(answer, "tcptype passive") < 2 {
		t.Log("this machine has no address but loopback")
	}
	answer = only(answer, " 127.0.0.1 "+port+" ")
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	for i := range byte(10) {
		c.send(picture(i == 0, i, uint32(i)*3000))
	}
	if got := b.picture(); !got.key {
		t.Errorf("the first picture is %+v", got)
	}
}
