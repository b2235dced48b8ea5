package web_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/sitetest"
)

const deadline = 15 * time.Second

// player is a WebRTC client that counts the packets it gets.
type player struct {
	pc      *webrtc.PeerConnection
	offer   string
	packets chan struct{}
}

// newPlayer gathers all candidates into the offer, or none at all with trickle.
func newPlayer(t *testing.T, trickle bool) *player {
	t.Helper()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetICEMulticastDNSMode(1)
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.GracefulClose() })
	for _, k := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	p := &player{pc: pc, packets: make(chan struct{}, 100000)}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			p.packets <- struct{}{}
		}
	})
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	p.offer = pc.LocalDescription().SDP
	if trickle {
		p.offer = offer.SDP
	}
	return p
}

func (p *player) answer(t *testing.T, sdp string) {
	t.Helper()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		t.Fatal(err)
	}
}

// candidates are the player's own, from its description.
func (p *player) candidates() []string {
	var out []string
	for l := range strings.Lines(p.pc.LocalDescription().SDP) {
		if c, ok := strings.CutPrefix(strings.TrimSpace(l), "a=candidate:"); ok {
			out = append(out, "candidate:"+c)
		}
	}
	return out
}

// plays waits for packets.
func (p *player) plays(t *testing.T) {
	t.Helper()
	for range 50 {
		select {
		case <-p.packets:
		case <-time.After(deadline):
			t.Fatalf("no packets arrive; the connection is %v", p.pc.ConnectionState())
		}
	}
}

// message is what the server sends.
type message struct {
	Type, SDPAnswer, ViewerID, Message, Code string
	Candidate                                *webrtc.ICECandidateInit
}

// talker is a client of the WebSocket protocol.
type talker struct {
	t    *testing.T
	conn *websocket.Conn
}

func dial(t *testing.T, srv *httptest.Server, path string, header http.Header) (*talker, *http.Response, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	conn, res, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(srv.URL, "https")+path, &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
	if err != nil {
		return nil, res, err
	}
	t.Cleanup(func() { conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &talker{t, conn}, res, nil
}

// connect is dial as the admin.
func connect(t *testing.T, srv *httptest.Server, path string) *talker {
	t.Helper()
	k, _, err := dial(t, srv, path, http.Header{"Cookie": {"session=" + sitetest.AdminToken}})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *talker) send(v any) {
	k.t.Helper()
	b, ok := v.(string)
	if !ok {
		j, err := json.Marshal(v)
		if err != nil {
			k.t.Fatal(err)
		}
		b = string(j)
	}
	if err := k.conn.Write(k.t.Context(), websocket.MessageText, []byte(b)); err != nil {
		k.t.Fatal(err)
	}
}

// next returns the next message of one of the types.
func (k *talker) next(types ...string) message {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), deadline)
	defer cancel()
	for {
		_, b, err := k.conn.Read(ctx)
		if err != nil {
			k.t.Fatalf("wait for %v: %v", types, err)
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil {
			k.t.Fatalf("%s: %v", b, err)
		}
		for _, want := range types {
			if m.Type == want {
				return m
			}
		}
	}
}

// closed waits for the end and returns its code.
func (k *talker) closed() websocket.StatusCode {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), deadline)
	defer cancel()
	for {
		if _, _, err := k.conn.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func viewer(camera, offer string) map[string]any {
	return map[string]any{"type": "viewer", "cameraId": camera, "sdpOffer": offer, "streamId": "main"}
}

// request sends an HTTP request as the holder of the token.
func request(t *testing.T, srv *httptest.Server, method, path, token, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := *srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}
