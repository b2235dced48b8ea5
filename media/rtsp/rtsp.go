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
	// ID is the stream's path on the Hub: a camera's id for its first stream, "ID/2" and "ID/3" for the others.
	ID string
	// URL is rtsp:// or rtsps://, without credentials. With rtsps any certificate is accepted.
	URL string
	// User and Password are for the camera; empty User means none.
	User, Password string
	// Transport is how RTP travels from the camera: "tcp", "udp", or "auto" (also ""), which tries TCP first.
	Transport string
	// Auth is what readers have to show; empty means AnyAuth.
	Auth Auth
	// TokenHash is the SHA-256, in lowercase hex, of the token that stands for the stream in rtsp://HOST/t/TOKEN; empty
	// if it has none.
	TokenHash string
	// AlwaysOn keeps the stream connected without readers.
	AlwaysOn bool
	Options  Options
}

// Auth is what a reader without trust has to show. A stream's token is always enough.
type Auth string

// The ways of authentication.
const (
	// AnyAuth offers Digest with MD5 and Basic, and takes Digest with SHA-256 too (RFC 7616).
	AnyAuth Auth = "any"
	// DigestAuth offers and takes Digest only.
	DigestAuth Auth = "digest"
	// BasicAuth offers and takes Basic only.
	BasicAuth Auth = "basic"
	// NoAuth asks nobody who comes from one of the open networks; others as AnyAuth.
	NoAuth Auth = "none"
)

// Options change what readers are told of a stream.
type Options struct {
	// DropAudio leaves the sound out; it is not even asked for. DropFramerate leaves out a=framerate, and DropFramesize
	// a=framesize and a=x-dimensions, which pass otherwise.
	DropAudio, DropFramerate, DropFramesize bool
	// NptNow turns a=range:npt=0- into npt=now-, ExtraCRLF ends the description with an empty line more.
	NptNow, ExtraCRLF bool
	// BandwidthKbps is announced with b=AS in kbit/s; 0 leaves the camera's line.
	BandwidthKbps int
}

// Account may read every camera of a Hub.
type Account struct {
	User string
	// HA1 is MD5(User:Realm:password) in hex (RFC 2617 section 3.2.2.2).
	HA1 string
	// HA1SHA256 is the same with SHA-256 (RFC 7616 section 3.4.2); empty if it is not known.
	HA1SHA256 string
}

// Via is where a connection comes from.
type Via string

// The ways to a Hub.
const (
	// ViaTLS is the shared port.
	ViaTLS Via = "tls"
	// ViaTest is the plain test socket; RTP over UDP is allowed there too.
	ViaTest Via = "test"
	// ViaSocket is a unix socket whose peer is trusted: nobody is asked for a password.
	ViaSocket Via = "socket"
)

// SessionStatus describes a reader, running or ended. The last 100 ended ones are kept.
type SessionStatus struct {
	// ID names the session for EndSession; it is not the one of the protocol.
	ID string `json:"id"`
	// Stream is the Source's ID.
	Stream string `json:"stream"`
	// Peer is the reader's address without port; empty for ViaSocket.
	Peer string `json:"peer"`
	Via  Via    `json:"via"`
	// User is the account; empty with a token, without authentication, and for ViaSocket.
	User string `json:"user,omitempty"`
	// Auth is how the reader was let in: "digest", "basic", "token", "open" or "trusted".
	Auth      string `json:"auth"`
	UserAgent string `json:"user_agent,omitempty"`
	// Transport is "tcp" or "udp".
	Transport string    `json:"transport"`
	Since     time.Time `json:"since"`
	// Ended is zero while the session runs; Reason says in words why it ended.
	Ended  time.Time `json:"ended,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// BytesOut counts RTP packets' bytes, Dropped the packets and DroppedGOPs the gaps that a slow reader missed.
	BytesOut    uint64 `json:"bytes_out"`
	Dropped     uint64 `json:"dropped"`
	DroppedGOPs uint64 `json:"dropped_gops"`
}

// LogLine is one line of the RTSP log: a request or an answer, credentials and tokens masked.
type LogLine struct {
	// Seq counts from 1 and never repeats.
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"time"`
	// Stream is the Source's ID, empty where none is known.
	Stream string `json:"stream,omitempty"`
	// Side is "reader" or "camera", Peer that side's address.
	Side string `json:"side"`
	Peer string `json:"peer"`
	// From says who sent it: "them" or "us".
	From string `json:"from"`
	Text string `json:"text"`
}

// ProbeResult is what trying a camera found.
type ProbeResult struct {
	// OK says that pictures come. Problem is one sentence on what is wrong, or what to look out for, for the camera's
	// owner; empty if all is well. Code names it: "address", "refused", "timeout", "unauthorized", "not-found", "tls",
	// "no-video", "codec", "failed". A problem without a code is only to look out for.
	OK      bool   `json:"ok"`
	Code    string `json:"code,omitempty"`
	Problem string `json:"problem,omitempty"`
	// Tracks, Repairs and Transport are as far as it got.
	Tracks    []TrackStatus `json:"tracks"`
	Repairs   []string      `json:"repairs"`
	Transport string        `json:"transport,omitempty"`
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
	// DroppedGOPs counts the gaps that slow readers missed.
	DroppedGOPs uint64 `json:"dropped_gops"`
	// Reconnects counts connections made after the first.
	Reconnects int `json:"reconnects"`
	// Sessions counts readers since the Hub took the source, without our own (ViaSocket), LastSession is when the last one
	// began and LastDuration how long it lasted, or lasts, in seconds.
	Sessions     uint64    `json:"sessions"`
	LastSession  time.Time `json:"last_session,omitzero"`
	LastDuration float64   `json:"last_duration_s,omitempty"`
	// KbitPerSecond and FPS are of the last ten seconds; zero while nothing comes.
	KbitPerSecond float64 `json:"kbit_per_s"`
	FPS           float64 `json:"fps"`
	// GOPPictures and GOPSeconds are from one key picture to the next, the last time; zero while not known.
	GOPPictures int     `json:"gop_pictures"`
	GOPSeconds  float64 `json:"gop_s"`
	// Transport is how RTP comes: "tcp" or "udp"; empty while not connected.
	Transport string `json:"transport,omitempty"`
	// Repairs are sentences on what was mended in the camera's description and answers.
	Repairs []string `json:"repairs"`
}

// TrackStatus describes a track to a person.
type TrackStatus struct {
	Kind   Kind   `json:"kind"`
	Codec  Codec  `json:"codec"`
	Detail string `json:"detail,omitempty"`
	// Width and Height are in pixels, from the SPS; Profile is H.264's or H.265's name, BFrames says that pictures are
	// shown in another order than they are sent. Zero while not known.
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
	Profile string `json:"profile,omitempty"`
	BFrames bool   `json:"b_frames,omitempty"`
	// ClockRate is in Hz, Channels zero for video.
	ClockRate int `json:"clock_rate,omitempty"`
	Channels  int `json:"channels,omitempty"`
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
	// JPEG is RFC 2435, MPEG4 is MPEG-4 part 2 in RFC 6416, LATM is AAC in RFC 6416.
	JPEG  Codec = "JPEG"
	MPEG4 Codec = "MP4V-ES"
	LATM  Codec = "MP4A-LATM"
)

// Track is one elementary stream of a camera.
type Track struct {
	Kind  Kind
	Codec Codec
	// ClockRate is in Hz; RTP timestamps count in it.
	ClockRate int
	// Channels is zero for video.
	Channels int
	// SPS and PPS, with H.265 also VPS, are parameter sets as the camera described them, without start codes; they may be empty.
	VPS, SPS, PPS []byte
	// Config is AAC's AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1), or the headers in front of an MPEG-4 video's
	// pictures; it may be empty.
	Config []byte
	// Width and Height are of H.264 and H.265 pictures; zero while unknown.
	Width, Height int
	// InOrder says that pictures are certainly sent in the order that they are shown in.
	InOrder bool
}

// Unit is one access unit or picture of a video track, or the payload of one audio packet.
type Unit struct {
	// Track is the index in the slice given to Sink.Tracks.
	Track int
	// RTPTime counts in the track's ClockRate and wraps (RFC 3550 section 5.1).
	RTPTime uint32
	// NTP is the capture time by the sender's reports; zero while unknown.
	NTP time.Time
	// NALUs are H.264 or H.265 units without start codes.
	NALUs [][]byte
	// Frames are those of an AAC packet, one behind the other from RTPTime on.
	Frames [][]byte
	// Payload is the RTP payload of any other audio packet, a picture of a JPEG track as a file, or one of an MPEG-4 track.
	Payload []byte
}
