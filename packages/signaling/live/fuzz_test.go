package live_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/live"
)

// FuzzWatch: whatever a stranger's offer and candidates hold, the viewer is refused with a reason or ends when it is told
// to. The port is loopback's, so nothing leaves the machine.
func FuzzWatch(f *testing.F) {
	path, err := live.Listen(slog.New(slog.DiscardHandler), "127.0.0.1:0", true)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(path.Close)
	camera := newFakeCamera(h264)
	s := live.Start(f.Context(), live.Config{Log: discard(), Play: camera.play, Path: path, PerCamera: 100, Total: 100})
	f.Cleanup(s.Wait)
	s.SetCameras([]string{"door"})
	const candidate = "candidate:1387637174 1 udp 2122260223 127.0.0.1 9 typ host"
	whole := offerOf(f)
	f.Add(whole, candidate)
	f.Add(whole, "candidate:2 1 tcp 15 192.0.2.1 9 typ host tcptype passive")
	f.Add(whole, "candidate:3 1 udp 1 8b0f1d6e-0000-4000-8000-000000000000.local 9 typ host")
	f.Add(whole, "candidate:4 1 udp 99999999999 ::1%lo 70000 typ relay raddr rport generation 0 ufrag")
	f.Add(strings.ReplaceAll(whole, "a=fingerprint:sha-256 ", "a=fingerprint:md5 "), "")
	f.Add(strings.ReplaceAll(whole, "a=setup:actpass", "a=setup:holdconn"), "candidate:")
	f.Add(strings.ReplaceAll(whole, "a=ice-pwd:", "a=ice-pwd:\x00"), "\x00")
	f.Add(strings.ReplaceAll(whole, "a=mid:0", "a=mid:0\r\na=rid:h recv\r\na=simulcast:recv h"), candidate)
	f.Add(strings.ReplaceAll(whole, "m=video 9", "m=video 0"), candidate)
	f.Add(whole+whole, candidate)
	f.Fuzz(func(t *testing.T, offer, candidate string) {
		v, err := s.Watch(t.Context(), "door", offer)
		if err != nil {
			if refusal := (*live.Refusal)(nil); !errors.As(err, &refusal) || refusal.Message == "" {
				t.Errorf("refused with %v", err)
			}
			return
		}
		// What cannot be used is an error, no more.
		mid, line := "0", uint16(0)
		_ = v.AddCandidate(webrtc.ICECandidateInit{Candidate: candidate, SDPMid: &mid, SDPMLineIndex: &line})
		v.Close()
		if n := len(s.Status().Viewers); n != 0 {
			t.Errorf("%d viewers stay", n)
		}
	})
}

// offerOf is what a browser asks with, without candidates.
func offerOf(f *testing.F) string {
	f.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		f.Fatal(err)
	}
	defer pc.GracefulClose()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		f.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		f.Fatal(err)
	}
	return pc.LocalDescription().SDP
}
