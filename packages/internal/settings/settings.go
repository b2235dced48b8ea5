// Package settings holds what console tells the other processes and how they follow it: a long-poll on console's
// internal socket, with the last good copy kept on disk so that a dead console stops nobody.
package settings

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Proxy is what proxy needs to know.
type Proxy struct {
	Revision int64  `json:"revision"`
	Hostname string `json:"hostname"`
	// PublicName is the DNS name under which the device is reached from outside; empty if there is none.
	PublicName string    `json:"public_name,omitempty"`
	Cameras    []Camera  `json:"cameras"`
	Accounts   []Account `json:"accounts"`
	Access     Access    `json:"access"`
	// PlainHTTP serves the port for plain HTTP, TestSocket the one for plain RTSP on the LAN.
	PlainHTTP  bool `json:"plain_http"`
	TestSocket bool `json:"test_socket"`
}

// Access says who may connect to the shared port at all, and who needs no account.
type Access struct {
	// Restricted refuses at accept whoever is not on loopback, on a network of the device's own, at PublicName's
	// address, or in Allowed.
	Restricted bool `json:"restricted,omitempty"`
	// Allowed are addresses, networks (CIDR) and DNS names.
	Allowed []string `json:"allowed,omitempty"`
	// Open are the networks (CIDR) from which a camera with NoAuth is read without an account.
	Open []string `json:"open,omitempty"`
	// TrustedProxies are the addresses and networks (CIDR) of reverse proxies in front of this device, whose word on who
	// the client is counts; at most MaxTrustedProxies, as CheckTrustedProxies writes them.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
}

// Signaling is what signaling needs to know.
type Signaling struct {
	Revision int64       `json:"revision"`
	Hostname string      `json:"hostname"`
	Cameras  []CameraRef `json:"cameras"`
	// SignalingPort serves the camera platform's own port, 8765.
	SignalingPort bool `json:"signaling_port"`
	Live          Live `json:"live,omitzero"`
}

// Live says how the live view is reached from outside, and what it may cost.
type Live struct {
	// PublicAddress is the IP address or DNS name at which a router passes the shared port on to the device; empty: console
	// gives Proxy.PublicName, if there is one.
	PublicAddress string `json:"public_address,omitempty"`
	// STUN is the host:port of a STUN server (RFC 8489) that is asked for the device's public address; empty: none is asked.
	STUN string `json:"stun,omitempty"`
	TURN TURN   `json:"turn,omitzero"`
	// PerCamera and Total bound the viewers, of one stream and of all, 1 to 500; 0 means 10 and 50.
	PerCamera int `json:"per_camera,omitempty"`
	Total     int `json:"total,omitempty"`
	// MaxMinutes ends a viewer after that time, 1 to 1,440, until the person asks for more; 0 means never.
	MaxMinutes int `json:"max_minutes,omitempty"`
}

// TURN is an external relay (RFC 8656) for viewers that can reach nothing else.
type TURN struct {
	// URLs are turn: or turns: URIs (RFC 7065), at most 4.
	URLs []string `json:"urls,omitempty"`
	// Secret makes credentials that end after some hours (draft-uberti-behave-turn-rest, coturn's use-auth-secret).
	Secret string `json:"secret,omitempty"`
}

// Account may read cameras over RTSP.
type Account struct {
	User string `json:"user"`
	// HA1 is MD5(user:realm:password) in lowercase hex, realm "Streaming Server" (RFC 2617 section 3.2.2.2).
	HA1 string `json:"ha1"`
	// HA1SHA256 is the same with SHA-256 (RFC 7616 section 3.4.2); empty if it is not known.
	HA1SHA256 string `json:"ha1_sha256,omitempty"`
}

// CameraRef names a camera without saying where it is.
type CameraRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Streams is how many streams the camera has; 0 means one. Stream 1 is ID on rtsp.sock, stream N is ID/N.
	Streams int `json:"streams,omitempty"`
}

// ReaderAuth is what a reader of a camera has to show.
type ReaderAuth string

// The ways to read a camera; a stream's token is always enough.
const (
	// AnyAuth offers Digest (MD5) and Basic and takes SHA-256 Digest too.
	AnyAuth ReaderAuth = "any"
	// DigestAuth offers and takes Digest only, SHA-256 first.
	DigestAuth ReaderAuth = "digest"
	// BasicAuth offers and takes Basic only.
	BasicAuth ReaderAuth = "basic"
	// NoAuth asks nobody on the networks of Access.Open; elsewhere it is AnyAuth.
	NoAuth ReaderAuth = "none"
)

// StreamOptions change what readers are told of a camera's streams; document 003 has them under the names in brackets.
type StreamOptions struct {
	// DropAudio leaves out sound [del_audio].
	DropAudio bool `json:"drop_audio,omitempty"`
	// DropFramerate and DropFramesize leave out the description's a=framerate and a=framesize/a=x-dimensions lines.
	DropFramerate bool `json:"drop_framerate,omitempty"`
	DropFramesize bool `json:"drop_framesize,omitempty"`
	// NptNow turns a=range:npt=0- into npt=now- [mod_ntp].
	NptNow bool `json:"npt_now,omitempty"`
	// ExtraCRLF ends the description with an empty line more [add_crlf].
	ExtraCRLF bool `json:"extra_crlf,omitempty"`
	// BandwidthKbps announces that bandwidth with b=AS, 0 to 1,000,000; 0 leaves the camera's line [b=AS:50].
	BandwidthKbps int `json:"bandwidth_kbps,omitempty"`
}

// Transport is how RTP travels from the camera.
type Transport string

// The transports; Auto tries TCP first.
const (
	Auto Transport = "auto"
	TCP  Transport = "tcp"
	UDP  Transport = "udp"
)

// Camera is a camera as the user configured it.
type Camera struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// URL is rtsp:// or rtsps:// without credentials.
	URL string `json:"url"`
	// MoreURLs are those of streams 2 and 3, with the same credentials.
	MoreURLs  []string  `json:"more_urls,omitempty"`
	User      string    `json:"user,omitempty"`
	Password  string    `json:"password,omitempty"`
	Transport Transport `json:"transport"`
	// Auth is AnyAuth if it is empty.
	Auth ReaderAuth `json:"auth,omitempty"`
	// AlwaysOn keeps the camera connected without readers.
	AlwaysOn bool          `json:"always_on,omitempty"`
	Options  StreamOptions `json:"options,omitzero"`
	// TokenHashes are the SHA-256 of each stream's token in lowercase hex, in the order of the streams; only proxy has
	// them.
	TokenHashes []string `json:"token_hashes,omitempty"`
}

// ProbePrefix begins the ids of cameras that proxy tries out for a while (POST /probe); only who trusts proxy's sockets
// can read them.
const ProbePrefix = "probe-"

// MaxStreams is how many streams a camera may have.
const MaxStreams = 3

var (
	cameraID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$`)
	hostname = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
)

// FieldError names the element that is wrong.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// CheckHostname reports whether name can be the device's name on the network (RFC 1123 section 2.1, one label).
func CheckHostname(name string) error {
	if !hostname.MatchString(name) {
		return &FieldError{"hostname", "use 1 to 63 lowercase letters, digits and hyphens, with a letter or digit at both ends"}
	}
	return nil
}

func checkCameraID(id string) (reason string) {
	if !cameraID.MatchString(id) || id == "t" || strings.HasPrefix(id, ProbePrefix) {
		return "use 1 to 32 lowercase letters, digits and hyphens, with a letter or digit at both ends (\"t\" and \"probe-\" are taken)"
	}
	return ""
}

// Normalize returns c checked and completed: credentials moved out of the URL, the name and transport defaulted.
// Every error is a *FieldError.
func (c Camera) Normalize() (Camera, error) {
	c.ID = strings.TrimSpace(c.ID)
	c.Name = strings.TrimSpace(c.Name)
	if reason := checkCameraID(c.ID); reason != "" {
		return Camera{}, &FieldError{"id", reason}
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	if len(c.Name) > 100 {
		return Camera{}, &FieldError{"name", "use at most 100 bytes"}
	}
	if err := c.normalizeURL("url", &c.URL); err != nil {
		return Camera{}, err
	}
	more := c.MoreURLs
	c.MoreURLs = nil
	for i, u := range more {
		if strings.TrimSpace(u) == "" {
			continue
		}
		if err := c.normalizeURL(fmt.Sprintf("url%d", i+2), &u); err != nil {
			return Camera{}, err
		}
		c.MoreURLs = append(c.MoreURLs, u)
	}
	if len(c.MoreURLs) > MaxStreams-1 {
		return Camera{}, &FieldError{"url2", fmt.Sprintf("a camera may have %d streams", MaxStreams)}
	}
	switch c.Auth {
	case "":
		c.Auth = AnyAuth
	case AnyAuth, DigestAuth, BasicAuth, NoAuth:
	default:
		return Camera{}, &FieldError{"auth", `must be "any", "digest", "basic" or "none"`}
	}
	if k := c.Options.BandwidthKbps; k < 0 || k > 1_000_000 {
		return Camera{}, &FieldError{"bandwidth_kbps", "must be 0 to 1000000"}
	}
	switch c.Transport {
	case "":
		c.Transport = Auto
	case Auto, TCP, UDP:
	default:
		return Camera{}, &FieldError{"transport", `must be "auto", "tcp" or "udp"`}
	}
	return c, nil
}

// normalizeURL checks the URL of a stream and moves credentials in it to the camera.
func (c *Camera) normalizeURL(field string, to *string) error {
	u, err := url.Parse(strings.TrimSpace(*to))
	if err != nil {
		// The error repeats parts of the URL, which may hold a password.
		return &FieldError{field, "cannot be read as an address; use for example rtsp://192.168.1.20/stream1, and give user and password on their own"}
	}
	if u.Scheme != "rtsp" && u.Scheme != "rtsps" {
		return &FieldError{field, "must start with rtsp:// or rtsps://"}
	}
	if u.Hostname() == "" {
		return &FieldError{field, "names no host, for example rtsp://192.168.1.20/stream1"}
	}
	if u.User != nil {
		if c.User == "" {
			c.User = u.User.Username()
			c.Password, _ = u.User.Password()
		}
		u.User = nil
	}
	*to = u.String()
	return nil
}
