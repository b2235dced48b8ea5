// Package settings holds what console tells the other processes and how they follow it: a long-poll on console's
// internal socket, with the last good copy kept on disk so that a dead console stops nobody.
package settings

import (
	"net/url"
	"regexp"
	"strings"
)

// Proxy is what proxy needs to know.
type Proxy struct {
	Revision int64     `json:"revision"`
	Hostname string    `json:"hostname"`
	Cameras  []Camera  `json:"cameras"`
	Accounts []Account `json:"accounts"`
}

// Signaling is what signaling needs to know.
type Signaling struct {
	Revision int64       `json:"revision"`
	Hostname string      `json:"hostname"`
	Cameras  []CameraRef `json:"cameras"`
}

// Account may read cameras over RTSP.
type Account struct {
	User string `json:"user"`
	// HA1 is MD5(user:realm:password) in lowercase hex, realm "Streaming Server" (RFC 2617 section 3.2.2.2).
	HA1 string `json:"ha1"`
}

// CameraRef names a camera without saying where it is.
type CameraRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
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
	URL       string    `json:"url"`
	User      string    `json:"user,omitempty"`
	Password  string    `json:"password,omitempty"`
	Transport Transport `json:"transport"`
}

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
	if !cameraID.MatchString(id) || id == "t" {
		return "use 1 to 32 lowercase letters, digits and hyphens, with a letter or digit at both ends (\"t\" is taken)"
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
	u, err := url.Parse(strings.TrimSpace(c.URL))
	if err != nil {
		// The error repeats parts of the URL, which may hold a password.
		return Camera{}, &FieldError{"url", "cannot be read as an address; use for example rtsp://192.168.1.20/stream1, and give user and password on their own"}
	}
	if u.Scheme != "rtsp" && u.Scheme != "rtsps" {
		return Camera{}, &FieldError{"url", "must start with rtsp:// or rtsps://"}
	}
	if u.Hostname() == "" {
		return Camera{}, &FieldError{"url", "names no host, for example rtsp://192.168.1.20/stream1"}
	}
	if u.User != nil {
		if c.User == "" {
			c.User = u.User.Username()
			c.Password, _ = u.User.Password()
		}
		u.User = nil
	}
	c.URL = u.String()
	switch c.Transport {
	case "":
		c.Transport = Auto
	case Auto, TCP, UDP:
	default:
		return Camera{}, &FieldError{"transport", `must be "auto", "tcp" or "udp"`}
	}
	return c, nil
}
