package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pion/webrtc/v4"
)

// maxMessage bounds a client's message in bytes.
const maxMessage = 64 << 10

// The types of messages clients send.
const (
	typeViewer    = "viewer"
	typeCandidate = "onIceCandidate"
	typeStop      = "stop"
)

// clientMessage is what a client sends: the camera platform's protocol, and "token" in the first message of a client
// that has neither session nor header.
type clientMessage struct {
	Type     string `json:"type"`
	Token    string `json:"token"`
	CameraID string `json:"cameraId"`
	// StreamID is a stream's number; another name, which old clients have, means the first.
	StreamID  string                   `json:"streamId"`
	SDPOffer  string                   `json:"sdpOffer"`
	Candidate *webrtc.ICECandidateInit `json:"candidate"`
}

// serverMessage is what we send. Reason and Info are for programs; old clients ignore them.
type serverMessage struct {
	Type string `json:"type"`
	// viewerResponse
	SDPAnswer string `json:"sdpAnswer,omitempty"`
	ViewerID  string `json:"viewerId,omitempty"`
	// iceCandidate
	Candidate *webrtc.ICECandidateInit `json:"candidate,omitempty"`
	// error, info
	Message string `json:"message,omitempty"`
	Code    string `json:"code,omitempty"`
}

var (
	errNotJSON     = errors.New("the message is not JSON as expected")
	errUnknownType = errors.New("unknown type of message")
	errIncomplete  = errors.New("the message is incomplete")
)

// parseMessage reads and checks a client's message.
func parseMessage(b []byte) (clientMessage, error) {
	var m clientMessage
	if len(b) > maxMessage {
		return clientMessage{}, fmt.Errorf("%w: it is longer than %d bytes", errNotJSON, maxMessage)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return clientMessage{}, fmt.Errorf("%w: %w", errNotJSON, err)
	}
	if strings.ContainsAny(m.Token, "\r\n") || len(m.Token) > 1024 {
		return clientMessage{}, fmt.Errorf("%w: the token is no token", errNotJSON)
	}
	switch m.Type {
	case typeViewer:
		if m.CameraID == "" {
			return clientMessage{}, fmt.Errorf("%w: cameraId is missing", errIncomplete)
		}
		if m.SDPOffer == "" {
			return clientMessage{}, fmt.Errorf("%w: sdpOffer is missing", errIncomplete)
		}
	case typeCandidate:
		// null means that there are no more.
		if m.Candidate == nil {
			m.Candidate = &webrtc.ICECandidateInit{}
		}
	case typeStop:
	default:
		return clientMessage{}, fmt.Errorf("%w: %.40q; known are viewer, onIceCandidate and stop", errUnknownType, m.Type)
	}
	return m, nil
}
