package live_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"

	"porthole/packages/internal/settings"
	"porthole/packages/signaling/live"
)

const turnSecret = "north"

// relay is a TURN server, which answers STUN as well, on loopback.
func relay(t *testing.T) (addr string) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	s, err := turn.NewServer(turn.ServerConfig{
		Realm: "example.org", AuthHandler: turn.LongTermTURNRESTAuthHandler(turnSecret, nil), LoggerFactory: quiet,
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: c, RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.LocalAddr().String()
}

// follow runs what keeps up with how the device is reached.
func follow(t *testing.T, p *live.Path) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// answer is what somebody new is told.
func answer(t *testing.T, s *live.Server, b *browser) string {
	t.Helper()
	v, err := s.Watch(t.Context(), "door", b.offer)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	return v.Answer
}

// TestPublicAddress: what the settings say is offered, a name with all it means, for UDP and TCP on the shared port; a
// STUN server that is dead holds up neither answers nor new settings.
func TestPublicAddress(t *testing.T) {
	addr, share := sharedPort(t)
	_, port, _ := net.SplitHostPort(addr)
	var path *live.Path
	s := serve(t, newFakeCamera(h264), func(cfg *live.Config) {
		path = cfg.Path
		share(path)
	})
	follow(t, path)
	b := newBrowser(t)
	if a := answer(t, s, b); strings.Contains(a, "srflx") {
		t.Errorf("before there are settings:\n%s", a)
	}
	deaf, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	for _, l := range []struct {
		settings settings.Live
		want     []string
	}{
		{settings.Live{PublicAddress: "203.0.113.9", STUN: deaf.LocalAddr().String()}, []string{
			" udp 203.0.113.9:" + port + " typ srflx raddr 0.0.0.0", " tcp 203.0.113.9:" + port + " typ host tcptype passive",
		}},
		{settings.Live{PublicAddress: "203.0.113.10", STUN: deaf.LocalAddr().String()}, []string{" udp 203.0.113.10:" + port + " typ srflx"}},
		{settings.Live{PublicAddress: "localhost"}, []string{" udp 127.0.0.1:" + port, " tcp 127.0.0.1:" + port}},
	} {
		path.SetLive(l.settings)
		eventually(t, "the answer has "+l.settings.PublicAddress, func() bool {
			a := answer(t, s, b)
			for _, want := range l.want {
				if !hasCandidate(a, want) {
					return false
				}
			}
			return true
		})
	}
	// The device has no IPv6 here.
	path.SetLive(settings.Live{PublicAddress: "2001:db8::9"})
	eventually(t, "the answer has no public address that nobody hears", func() bool {
		a := answer(t, s, b)
		return !strings.Contains(a, "srflx") && !strings.Contains(a, "2001:db8::9")
	})
	path.SetLive(settings.Live{})
	eventually(t, "the answer has no public address", func() bool { return !strings.Contains(answer(t, s, b), "srflx") })
}

// hasCandidate looks for " PROTOCOL IP:PORT REST".
func hasCandidate(sdp, want string) bool {
	f := strings.SplitN(strings.TrimSpace(want), " ", 3)
	host, port, ok := strings.Cut(f[1], ":")
	if i := strings.LastIndex(f[1], ":"); ok {
		host, port = f[1][:i], f[1][i+1:]
	}
	for l := range strings.Lines(sdp) {
		if strings.Contains(l, " "+f[0]+" ") && strings.Contains(l, " "+host+" "+port+" ") && strings.Contains(l, strings.Join(f[2:], " ")) {
			return true
		}
	}
	return false
}

// TestSTUN: a server is asked how our sockets look; the answer holds it when it differs. The TURN server does as one.
func TestSTUN(t *testing.T) {
	// It says that everybody comes from somewhere else, as a router makes it look.
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	defer func() {
		c.Close()
		<-done
	}()
	go func() {
		defer close(done)
		router(c)
	}()
	for name, l := range map[string]settings.Live{
		"STUN": {STUN: c.LocalAddr().String()},
		"TURN": {TURN: settings.TURN{URLs: []string{"turn:" + c.LocalAddr().String() + "?transport=udp"}, Secret: turnSecret}},
	} {
		t.Run(name, func(t *testing.T) {
			addr, share := sharedPort(t)
			_, port, _ := net.SplitHostPort(addr)
			var path *live.Path
			s := serve(t, newFakeCamera(h264), func(cfg *live.Config) {
				path = cfg.Path
				share(path)
			})
			follow(t, path)
			path.SetLive(l)
			b := newBrowser(t)
			eventually(t, "the answer has what the server says", func() bool {
				a := answer(t, s, b)
				return hasCandidate(a, " udp 198.51.100.7:61000 typ srflx") && hasCandidate(a, " udp 198.51.100.7:"+port+" typ srflx") &&
					hasCandidate(a, " tcp 198.51.100.7:"+port+" typ host")
			})
		})
	}
}

// TestRelay: a viewer that can reach nothing but its TURN server sees the picture.
func TestRelay(t *testing.T) {
	server := relay(t)
	name, password, err := turn.GenerateLongTermTURNRESTCredentials(turnSecret, "me", 3600e9)
	if err != nil {
		t.Fatal(err)
	}
	c := newFakeCamera(h264)
	s := serve(t, c, nil)
	b := newBrowserWith(t, webrtc.Configuration{
		ICETransportPolicy: webrtc.ICETransportPolicyRelay,
		ICEServers:         []webrtc.ICEServer{{URLs: []string{"turn:" + server + "?transport=udp"}, Username: name, Credential: password}},
	}, func(*webrtc.SettingEngine) {})
	if !strings.Contains(b.offer, "typ relay") || strings.Contains(b.offer, "typ host") {
		t.Fatalf("the offer is\n%s", b.offer)
	}
	b.watch(s, "door")
	for i := range byte(10) {
		c.send(picture(i == 0, i, uint32(i)*3000))
	}
	if got := b.picture(); !got.key {
		t.Errorf("the first picture is %+v", got)
	}
}

// TestHiddenAddresses: a browser hides its addresses behind names (mDNS) that nobody looks up; its checks tell where it is.
func TestHiddenAddresses(t *testing.T) {
	c := newFakeCamera(h264)
	s := serve(t, c, nil)
	b := newBrowser(t)
	hidden := 0
	var offer strings.Builder
	for l := range strings.Lines(b.offer) {
		if f := strings.Fields(l); strings.HasPrefix(l, "a=candidate:") {
			hidden++
			f[4] = "f5e2a1b0-4d1c-4a53-9f5e-0f6d2b1c7a88.local"
			l = strings.Join(f, " ") + "\r\n"
		}
		offer.WriteString(l)
	}
	if hidden == 0 {
		t.Fatal("the offer has no candidates")
	}
	b.offer = offer.String()
	b.watch(s, "door")
	for i := range byte(10) {
		c.send(picture(i == 0, i, uint32(i)*3000))
	}
	if got := b.picture(); !got.key {
		t.Errorf("the first picture is %+v", got)
	}
}
