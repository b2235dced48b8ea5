package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"

	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/signaling/live"
)

// viewer watches the camera "door" over a WebSocket and counts the packets it gets.
type viewer struct {
	conn    *websocket.Conn
	packets atomic.Int64
	// said are the messages after the answer; it is closed with the WebSocket.
	said chan string
	read sync.WaitGroup
}

func watchDoor(t *testing.T, addr string) *viewer {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	v := &viewer{said: make(chan string, 1000)}
	var err error
	v.conn, _, err = websocket.Dial(t.Context(), "wss://"+addr+"/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Cookie": {"__Host-session=good"}, "User-Agent": {"test/1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		v.conn.CloseNow()
		v.read.Wait()
	})
	v.conn.SetReadLimit(1 << 20)
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(engine)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.GracefulClose() })
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := track.ReadRTP(); err != nil {
				return
			}
			v.packets.Add(1)
		}
	})
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	b, err := json.Marshal(map[string]string{"type": "viewer", "cameraId": "door", "sdpOffer": pc.LocalDescription().SDP})
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Type, SDPAnswer, Message, Code string }
	for m.Type != "viewerResponse" {
		if m.Type == "" {
			if err := v.conn.Write(t.Context(), websocket.MessageText, b); err != nil {
				t.Fatal(err)
			}
		}
		_, answer, err := v.conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch err := json.Unmarshal(answer, &m); {
		case err != nil:
			t.Fatalf("%s: %v", answer, err)
		case m.Code == "starting" || m.Code == "busy":
			// The settings are still on their way.
			<-time.After(time.Second)
			m.Type = ""
		case m.Type == "error":
			t.Fatalf("%s", answer)
		}
	}
	v.read.Go(func() {
		for {
			_, b, err := v.conn.Read(context.WithoutCancel(t.Context()))
			if err != nil {
				close(v.said)
				return
			}
			v.said <- string(b)
		}
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: m.SDPAnswer}); err != nil {
		t.Fatal(err)
	}
	until(t, "pictures come", func() bool { return v.packets.Load() > 10 })
	return v
}

// TestSwapInMidStream: new certificates are served to who comes, and who watches goes on watching, on the same WebSocket;
// so do new limits and the end by an administrator, who is told of on the status socket.
func TestSwapInMidStream(t *testing.T) {
	env, log := newEnv(t)
	publish(t, env)
	views := make(chan settings.Signaling)
	console(t, env, views)
	demo(t, env)
	start(t, env, options{wss: "127.0.0.1:0", iceUDP: "127.0.0.1:0", loopback: true, perCamera: 10, allViews: 50})
	until(t, "TLS is announced", func() bool { return strings.Contains(log.String(), "speaks TLS") })
	addr := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(log.String())[1]
	v := watchDoor(t, addr)

	// Ten times the device's own and, for who asks by name, a public one.
	authority := testkit.NewAuthority(t, "x")
	for i := range 20 {
		folder, name := "device", ""
		if i%2 == 1 {
			folder, name = "acme", "cam.example.org"
		}
		pair := authority.Issue(t, testkit.Leaf{Names: []string{cmp.Or(name, "porthole.local")}})
		pair.Publish(t, env.TLSDir(""), folder)
		until(t, "the new certificate is served", func() bool {
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			return c.ConnectionState().PeerCertificates[0].Equal(pair.Leaf)
		})
	}
	seen := v.packets.Load()
	until(t, "pictures go on", func() bool { return v.packets.Load() > seen+20 })
	ping, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := v.conn.Ping(ping); err != nil {
		t.Errorf("the WebSocket from before: %v", err)
	}

	views <- settings.Signaling{
		Revision: 2, Cameras: []settings.CameraRef{{ID: "door", Name: "Front door"}}, SignalingPort: true,
		Live: settings.Live{PerCamera: 1, Total: 7, MaxMinutes: 60},
	}
	status := unixsock.NewClient(env.Socket("signaling-status"))
	t.Cleanup(status.Close)
	var st live.Status
	until(t, "the new limits hold", func() bool {
		_, err := status.Call(t.Context(), http.MethodGet, "/viewers", nil, &st)
		return err == nil && st.Limits == live.Limits{PerCamera: 1, Total: 7, MaxTime: time.Hour}
	})
	if len(st.Viewers) != 1 || st.Viewers[0].User != "admin" || st.Viewers[0].Agent != "test/1" || st.Viewers[0].By != "websocket" {
		t.Fatalf("viewers %+v", st.Viewers)
	}
	if code, err := status.Call(t.Context(), http.MethodDelete, "/viewers/nobody", nil, nil); code != http.StatusNotFound {
		t.Errorf("end nobody: %d, %v", code, err)
	}
	if code, err := status.Call(t.Context(), http.MethodDelete, "/viewers/"+st.Viewers[0].ID, nil, nil); code != http.StatusNoContent {
		t.Errorf("end the viewer: %d, %v", code, err)
	}
	for patience := time.After(40 * time.Second); ; {
		select {
		case said, open := <-v.said:
			if !open {
				t.Fatal("the WebSocket was closed without a word")
			}
			if !strings.Contains(said, `"error"`) {
				continue
			}
			if !strings.Contains(said, `"code":"ended"`) || !strings.Contains(said, "administrator") {
				t.Errorf("told %s", said)
			}
			return
		case <-patience:
			t.Fatal("the viewer is told nothing")
		}
	}
}
