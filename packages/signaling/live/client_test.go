package live_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/live"
)

const deadline = 10 * time.Second

// browser is a WebRTC client that keeps what it gets.
type browser struct {
	t       *testing.T
	pc      *webrtc.PeerConnection
	offer   string
	packets chan *rtp.Packet
	audio   chan *rtp.Packet
}

func newBrowser(t *testing.T, kinds ...webrtc.RTPCodecType) *browser {
	t.Helper()
	return newBrowserWith(t, webrtc.Configuration{}, nil, kinds...)
}

// newBrowserWith changes the browser's settings; change may be nil.
func newBrowserWith(t *testing.T, cfg webrtc.Configuration, change func(*webrtc.SettingEngine), kinds ...webrtc.RTPCodecType) *browser {
	t.Helper()
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	engine := webrtc.SettingEngine{}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetICEMulticastDNSMode(1)
	// A retransmission of what was not lost is seen, too.
	engine.DisableSRTPReplayProtection(true)
	if change != nil {
		change(&engine)
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(engine)).NewPeerConnection(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, pc: pc, packets: make(chan *rtp.Packet, 10000), audio: make(chan *rtp.Packet, 10000)}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	for _, k := range append([]webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}, kinds...) {
		if _, err := pc.AddTransceiverFromKind(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		to := b.packets
		if track.Kind() == webrtc.RTPCodecTypeAudio {
			to = b.audio
		}
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			to <- p
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
	b.offer = pc.LocalDescription().SDP
	return b
}

// watch lets the browser watch the camera.
func (b *browser) watch(s *live.Server, camera string) *live.Viewer {
	b.t.Helper()
	v, err := s.Watch(b.t.Context(), camera, b.offer)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: v.Answer}); err != nil {
		b.t.Fatal(err)
	}
	return v
}

// arrived is one picture as a browser gets it.
type arrived struct {
	key    bool
	number byte
	time   uint32
	seq    uint16 // of its first packet
}

// picture returns the next picture that arrives.
func (b *browser) picture() arrived {
	b.t.Helper()
	var d codecs.H264Packet
	var nal []byte
	var first *rtp.Packet
	for {
		select {
		case p := <-b.packets:
			if first == nil {
				first = p
			}
			out, err := d.Unmarshal(p.Payload)
			if err != nil {
				b.t.Fatal(err)
			}
			nal = append(nal, out...)
			if !p.Marker {
				continue
			}
			// The picture is the last NAL unit: 4 bytes of start code, header, number.
			picture := nal[len(nal)-52-4:]
			a := arrived{key: picture[4] == 0x65, number: picture[5], time: p.Timestamp, seq: first.SequenceNumber}
			if a.key != (len(nal) > len(picture)) {
				b.t.Errorf("picture %d: key frame %v, but %d bytes before it", a.number, a.key, len(nal)-len(picture))
			}
			return a
		case <-time.After(deadline):
			b.t.Fatal("no picture arrives")
		}
	}
}

// serve starts a server with one camera, "door".
func serve(t *testing.T, c *fakeCamera, change func(*live.Config)) *live.Server {
	t.Helper()
	log := discard()
	path, err := live.Listen(log, "127.0.0.1:0", true)
	if err != nil {
		t.Fatal(err)
	}
	cfg := live.Config{Log: log, Play: c.play, Path: path, PerCamera: 10, Total: 50}
	if change != nil {
		change(&cfg)
	}
	s := live.Start(t.Context(), cfg)
	t.Cleanup(func() {
		s.Wait()
		path.Close()
	})
	s.SetCameras([]string{"door"})
	return s
}

// eventually polls until ok, or fails.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
