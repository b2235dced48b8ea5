package integration_test

import (
	"context"
	"net"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/pion/logging"
	"github.com/pion/turn/v5"

	"porthole/packages/internal/settings"
	"porthole/packages/signaling/sitetest"
)

// TestRelay: a browser that can use nothing but the TURN server it is told of sees the picture, with credentials that the
// server takes.
func TestRelay(t *testing.T) {
	const secret = "a secret both have"
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "example.org", AuthHandler: turn.LongTermTURNRESTAuthHandler(secret, nil), LoggerFactory: quiet,
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: c, RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	site := sitetest.New(t, nil)
	site.Web.SetICE(settings.Live{TURN: settings.TURN{URLs: []string{"turn:" + c.LocalAddr().String() + "?transport=udp"}, Secret: secret}})
	b := open(t, site.Front)
	const relayOnly = `
		const Original = window.RTCPeerConnection;
		window.RTCPeerConnection = class extends Original {
			constructor(c) { super({...c, iceTransportPolicy: 'relay'}); window.testPeer = this; }
		};`
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: relayOnly})
		return err
	}), chromedp.Navigate(site.Front.URL+page))
	b.plays("through the relay")
	kind := eval[string](b, `(async () => {
		const stats = await window.testPeer.getStats();
		for (const s of stats.values())
			if (s.type === 'transport') return stats.get(stats.get(s.selectedCandidatePairId).localCandidateId).candidateType;
	})()`)
	if kind != "relay" {
		t.Errorf("the picture comes by %q", kind)
	}
}
