// Package provision reads porthole.toml, the file in which an installer hands a new device its name, its first
// password and its cameras. What is wrong in it is named by line and left out; everything else is taken.
package provision

import (
	"fmt"

	"porthole/packages/internal/settings"
)

// Name is the file's name on the boot partition.
const Name = "porthole.toml"

// MaxSize bounds what is read of the file, in bytes.
const MaxSize = 64 << 10

// The bounds of the administrator's password, in bytes; console has the same.
const (
	MinPassword = 10
	MaxPassword = 1024
)

// maxProblems bounds the list: beyond it, the file is not a porthole.toml at all.
const maxProblems = 100

// File is what porthole.toml asks for. A zero field was not given, or was refused.
type File struct {
	Hostname      string            `json:"hostname,omitempty"`
	AdminPassword string            `json:"admin_password,omitempty"`
	Cameras       []settings.Camera `json:"cameras,omitempty"`
	Accounts      []Account         `json:"accounts,omitempty"`
	Access        Access            `json:"access,omitzero"`
	Live          Live              `json:"live,omitzero"`
	// CertificatePassword opens the certificate's files that lie beside porthole.toml.
	CertificatePassword string `json:"certificate_password,omitempty"`
	ACME                ACME   `json:"acme,omitzero"`
	Player              Player `json:"player,omitzero"`
	// Screens are the players of this device's signage server.
	Screens []Screen `json:"screens,omitempty"`
}

// Account may read cameras over RTSP.
type Account struct {
	User string `json:"user"`
	// Password is empty in a file whose secrets were taken over: the account keeps the one it has.
	Password string `json:"password,omitempty"`
}

// Access says how the device is reached from outside, and by whom.
type Access struct {
	// PublicName is the DNS name under which it is reached.
	PublicName string `json:"public_name,omitempty"`
	// OnlyOwnNetwork keeps strangers from connecting at all (settings.Access.Restricted); nil: the file says nothing.
	OnlyOwnNetwork *bool `json:"only_own_network,omitempty"`
	// Allowed are addresses, networks (CIDR) and DNS names that may connect besides.
	Allowed []string `json:"allowed,omitempty"`
	// TrustedProxies are as in settings.Access.
	TrustedProxies []string `json:"trusted_proxies,omitempty"`
}

// Player says what the device's screen shows, and connects it to a signage server.
type Player struct {
	// Show, Picture and Camera are as in settings.PlayerSettings.
	Show    settings.Show `json:"show,omitempty"`
	Picture string        `json:"picture,omitempty"`
	Camera  string        `json:"camera,omitempty"`
	// Server is the server's https:// or http:// address without path, query and credentials.
	Server string `json:"server,omitempty"`
	// Hostname is the name under which the server knows this screen.
	Hostname string `json:"hostname,omitempty"`
	// QuickConnectCode is the secret the server gave out for this screen.
	QuickConnectCode string `json:"quickconnect_code,omitempty"`
	// Orientation is "landscape", "portrait", "landscape-flipped" or "portrait-flipped".
	Orientation string `json:"orientation,omitempty"`
	// What follows is as in settings.PlayerSettings.
	Timeout       int              `json:"timeout,omitempty"`
	RetryAttempts int              `json:"retry_attempts,omitempty"`
	RetryDelay    int              `json:"retry_delay,omitempty"`
	Trust         settings.Trust   `json:"trust,omitempty"`
	Pin           string           `json:"pin,omitempty"`
	Mode          string           `json:"mode,omitempty"`
	Hours         []settings.Hours `json:"hours,omitempty"`
	Off           settings.Off     `json:"off,omitempty"`
	// Log is nil where the file says nothing.
	Log *bool `json:"log,omitempty"`
}

// Screen is a player that this device's signage server shall know. Empty parts leave a known one's as they are.
type Screen struct {
	// Own means this device's own screen, whose connection and picture are in Player.
	Own bool `json:"own,omitempty"`
	// Hostname is what the player calls itself; empty for the own one.
	Hostname string `json:"hostname,omitempty"`
	// QuickConnectCode is empty in a file whose secrets were taken over: the screen keeps the one it has.
	QuickConnectCode string `json:"quickconnect_code,omitempty"`
	Name             string `json:"name,omitempty"`
	// Group and Playlist are names.
	Group    string `json:"group,omitempty"`
	Playlist string `json:"playlist,omitempty"`
	// Orientation is "landscape", "portrait", "landscape-flipped" or "portrait-flipped".
	Orientation string `json:"orientation,omitempty"`
	// PlainHTTP lets it come without TLS from the device's own networks; nil: the file says nothing.
	PlainHTTP *bool `json:"plain_http,omitempty"`
}

// Problem is one thing that was refused.
type Problem struct {
	// Line counts from 1.
	Line int `json:"line"`
	// Key is the setting or section, for example "camera.url"; empty when the line cannot be read at all.
	Key string `json:"key"`
	// Reason is for the person who wrote the file. It holds no value from the file.
	Reason string `json:"reason"`
}

// String is one line for a log or a terminal.
func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Key, p.Reason)
}

// Parse reads the contents of a porthole.toml. It returns everything that could be taken and, ordered by line, what
// was refused. A byte order mark, UTF-16 and CRLF line ends (Windows Notepad) are understood.
func Parse(b []byte) (File, []Problem) {
	r := read(b)
	return r.file, r.problems
}
