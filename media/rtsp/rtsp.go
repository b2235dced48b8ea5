// Package rtsp is the camera plane: it pulls cameras over RTSP (RFC 2326), each once and on demand, hands them to any
// number of RTSP readers, reads them back out of a Hub as access units, and serves a clip as a camera.
package rtsp

import (
	"time"
)

// Realm is the Digest and Basic realm (RFC 2617). Some readers, the Echo's among them, only answer this one.
const Realm = "Streaming Server"

// Source is a camera to pull.
type Source struct {
	// ID is the camera's path on the Hub: one segment, without slashes.
	ID string
	// URL is rtsp:// or rtsps://, without credentials. With rtsps any certificate is accepted.
	URL string
	// User and Password are for the camera; empty User means none.
	User, Password string
	// Transport is how RTP travels from the camera: "tcp", "udp", or "auto" (also ""), which tries TCP first.
	Transport string
}

// Account may read every camera of a Hub.
type Account struct {
	User string
	// HA1 is MD5(User:Realm:password) in hex (RFC 2617 section 3.2.2.2).
	HA1 string
}

// CameraStatus is what a Hub knows of one camera.
type CameraStatus struct {
	ID string `json:"id"`
	// State is "idle" (nobody reads), "connecting", "live", or "lost" (nothing arrives; it is being retried).
	State string `json:"state"`
	// Since is when State was entered.
	Since time.Time `json:"since"`
	// Error says why the camera is not live, in words for its owner; it holds no credentials.
	Error string `json:"error,omitempty"`
	// Readers is how many sessions read the camera now.
	Readers int `json:"readers"`
	// Tracks are those of the last connection.
	Tracks []TrackStatus `json:"tracks"`
	// BytesIn and BytesOut count RTP packets' bytes since the Hub took the source.
	BytesIn  uint64 `json:"bytes_in"`
	BytesOut uint64 `json:"bytes_out"`
	// Dropped counts packets that did not fit a reader's queue, as it was too slow, or any packet's size.
	Dropped uint64 `json:"dropped"`
	// Reconnects counts connections made after the first.
	Reconnects int `json:"reconnects"`
}

// TrackStatus describes a track to a person.
type TrackStatus struct {
	Kind   Kind   `json:"kind"`
	Codec  Codec  `json:"codec"`
	Detail string `json:"detail,omitempty"`
}

// Kind is what a track carries.
type Kind string

// The kinds of tracks.
const (
	Video Kind = "video"
	Audio Kind = "audio"
)

// Codec names a track's format. Formats without a constant here are named as gortsplib names them.
type Codec string

// The codecs Porthole knows its way around in.
const (
	H264 Codec = "H264"
	H265 Codec = "H265"
	AAC  Codec = "AAC"
	Opus Codec = "Opus"
	PCMU Codec = "PCMU"
	PCMA Codec = "PCMA"
)

// Track is one elementary stream of a camera.
type Track struct {
	Kind  Kind
	Codec Codec
	// ClockRate is in Hz; RTP timestamps count in it.
	ClockRate int
	// Channels is zero for video.
	Channels int
	// SPS and PPS are H.264 parameter sets as the camera described them, without start codes; they may be empty.
	SPS, PPS []byte
}

// Unit is one access unit of a video track or the payload of one audio packet.
type Unit struct {
	// Track is the index in the slice given to Sink.Tracks.
	Track int
	// RTPTime counts in the track's ClockRate and wraps (RFC 3550 section 5.1).
	RTPTime uint32
	// NTP is the capture time by the sender's reports; zero while unknown.
	NTP time.Time
	// NALUs are H.264 or H.265 units without start codes.
	NALUs [][]byte
	// Payload is the RTP payload of an audio packet.
	Payload []byte
}
