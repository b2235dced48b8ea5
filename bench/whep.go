package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// viewWHEP is a WHEP viewer: it posts an offer, and drops what comes until ctx ends.
func viewWHEP(ctx context.Context, srv *server, playing func()) error {
	var se webrtc.SettingEngine
	se.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(se)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return fmt.Errorf("make a peer connection: %w", err)
	}
	defer pc.Close()
	lost := make(chan struct{})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed {
			close(lost)
		}
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		buf := make([]byte, 2048)
		for first := true; ; first = false {
			if _, _, err := track.Read(buf); err != nil {
				return
			}
			if first && track.Kind() == webrtc.RTPCodecTypeVideo {
				playing()
			}
		}
	})
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		return fmt.Errorf("ask for video: %w", err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("make an offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return fmt.Errorf("set the offer: %w", err)
	}
	<-gathered
	answer, err := postOffer(ctx, srv, pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("set the answer: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-lost:
		return errors.New("the connection was lost")
	}
}

func postOffer(ctx context.Context, srv *server, sdp string) (string, error) {
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // loopback measurement
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.whep, strings.NewReader(sdp))
	if err != nil {
		return "", fmt.Errorf("make the WHEP request: %w", err)
	}
	req.Header.Set("Content-Type", "application/sdp")
	srv.authorize(req)
	res, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("post the offer: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the offer was answered %s: %s", res.Status, strings.TrimSpace(string(b)))
	}
	return string(b), nil
}
