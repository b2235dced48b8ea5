package live

import (
	"context"
	"fmt"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// connect makes the viewer's PeerConnection and answers the offer with exactly the formats chosen.
func (s *Server) connect(ctx context.Context, v *Viewer, c choice, sdpOffer string) error {
	view := s.cfg.Path.view()
	api, err := s.api(c, view)
	if err != nil {
		return &Refusal{Reason: Failed, Message: "the live view cannot start", Err: err}
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return &Refusal{Reason: Failed, Message: "the live view cannot start", Err: err}
	}
	v.pc = pc
	pc.OnConnectionStateChange(v.onState)
	if err := v.answer(ctx, c, sdpOffer, view.candidates); err != nil {
		if closeErr := pc.GracefulClose(); closeErr != nil {
			v.log.Debug("closing the connection failed", "err", closeErr)
		}
		return err
	}
	v.hurry = func() {
		if view.tcp != nil {
			view.tcp.hurryUp(attribute(v.Answer, "ice-ufrag"))
		}
	}
	return nil
}

// api knows only the chosen formats, so that the answer names no other.
func (s *Server) api(c choice, view view) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	if err := media.RegisterCodec(c.video, webrtc.RTPCodecTypeVideo); err != nil {
		return nil, fmt.Errorf("register video format: %w", err)
	}
	if c.audio != nil {
		if err := media.RegisterCodec(*c.audio, webrtc.RTPCodecTypeAudio); err != nil {
			return nil, fmt.Errorf("register audio format: %w", err)
		}
	}
	log := pionLog{s.cfg.Log, ""}
	// Nothing stands between us and the network: outTrack sends lost packets again, Viewer.report sends sender reports, and there
	// is no congestion control, as the camera's bit rate is what it is.
	engine := webrtc.SettingEngine{LoggerFactory: log}
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	engine.SetICEUDPMux(view.udp)
	// Connections are the viewer's to open: where a browser says it can be reached, we never go by TCP.
	engine.DisableActiveTCP(true)
	if view.tcp != nil {
		engine.SetICETCPMux(view.tcp)
		networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
		engine.SetIncludeLoopbackCandidate(true)
		engine.SetIPFilter(view.stand)
	}
	engine.SetNetworkTypes(networks)
	// Browsers hide their address behind a .local name. We need not look it up: their checks reach us, and tell it.
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	engine.SetICETimeouts(5*time.Second, 15*time.Second, 2*time.Second)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(&interceptor.Registry{}), webrtc.WithSettingEngine(engine)), nil
}

func (v *Viewer) answer(ctx context.Context, c choice, sdpOffer string, candidates []candidate) error {
	failed := func(err error) error {
		return &Refusal{Reason: Failed, Message: "the live view cannot start", Err: err}
	}
	v.video = newOutTrack(webrtc.RTPCodecTypeVideo, c.video.MimeType, int(c.video.ClockRate))
	if _, err := v.pc.AddTrack(v.video); err != nil {
		return failed(fmt.Errorf("add video: %w", err))
	}
	if c.audio != nil {
		v.audio = newOutTrack(webrtc.RTPCodecTypeAudio, c.audio.MimeType, int(c.audio.ClockRate))
		if _, err := v.pc.AddTrack(v.audio); err != nil {
			return failed(fmt.Errorf("add audio: %w", err))
		}
	}
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdpOffer}); err != nil {
		return &Refusal{Reason: BadOffer, Message: "the SDP offer cannot be used", Err: err}
	}
	answer, err := v.pc.CreateAnswer(nil)
	if err != nil {
		return &Refusal{Reason: BadOffer, Message: "the SDP offer cannot be answered", Err: err}
	}
	gathered := webrtc.GatheringCompletePromise(v.pc)
	if err := v.pc.SetLocalDescription(answer); err != nil {
		return failed(fmt.Errorf("use the answer: %w", err))
	}
	// Our candidates are our own addresses: this takes no time.
	select {
	case <-gathered:
	case <-ctx.Done():
		return failed(ctx.Err())
	}
	lines := make([]string, len(candidates))
	own := v.pc.LocalDescription().SDP
	mid, first := attribute(own, "mid"), uint16(0)
	for i, c := range candidates {
		lines[i] = c.line(i)
		v.Candidates = append(v.Candidates, webrtc.ICECandidateInit{Candidate: lines[i], SDPMid: &mid, SDPMLineIndex: &first})
	}
	v.Answer = withCandidates(own, lines)
	return nil
}
