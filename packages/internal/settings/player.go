package settings

import "time"

// Player is what player needs to know.
type Player struct {
	Revision int64          `json:"revision"`
	Hostname string         `json:"hostname"`
	Cameras  []CameraRef    `json:"cameras"`
	Settings PlayerSettings `json:"settings"`
	// Notices are for the owner, until put away: one line for each thing that was refused of porthole.toml.
	Notices []string `json:"notices,omitempty"`
	// Identify is laid over everything for a while, so that people see which screen this is.
	Identify Identify `json:"identify,omitzero"`
	// Timezone is the IANA name of the device's zone: screen hours are in it.
	Timezone string `json:"timezone,omitempty"`
}

// Identify is a text for the whole screen until a time.
type Identify struct {
	Text  string    `json:"text"`
	Until time.Time `json:"until"`
}

// MaxIdentify bounds how long a screen is covered by its name, whatever a clock says.
const MaxIdentify = 2 * time.Minute

// Now returns the text to show, or nothing.
func (i Identify) Now(now time.Time) string {
	if left := i.Until.Sub(now); left <= 0 || left > MaxIdentify {
		return ""
	}
	return i.Text
}

// PlayerSettings say what is on the screen. console keeps each under the key of its JSON name; empty means not set.
type PlayerSettings struct {
	Show Show `json:"show,omitempty"`
	// Picture is a file's name in player's own folder of persistent state.
	Picture string `json:"picture,omitempty"`
	// Camera is a camera's id.
	Camera string `json:"camera,omitempty"`
	// Server, Hostname and QuickConnectCode are those of the signage server (provision.Player).
	Server           string `json:"server,omitempty"`
	Hostname         string `json:"hostname,omitempty"`
	QuickConnectCode string `json:"quickconnect_code,omitempty"`
	// Orientation is "landscape", "portrait", "landscape-flipped" or "portrait-flipped".
	Orientation string `json:"orientation,omitempty"`
	// Timeout bounds one request to the server, in seconds (1 to 300); 0 means 10. RetryAttempts quick attempts (1 to 100; 0
	// means 3) are RetryDelay seconds (1 to 3600; 0 means 5) apart; after them the wait grows to a minute, and never ends.
	Timeout       int `json:"timeout,omitempty"`
	RetryAttempts int `json:"retry_attempts,omitempty"`
	RetryDelay    int `json:"retry_delay,omitempty"`
	// Trust is how the server is recognized; empty means TrustFirst.
	Trust Trust `json:"trust,omitempty"`
	// Pin presets what a server's certificate is recognized by: the SHA-256 of the certificate or of its key (SubjectPublicKeyInfo)
	// in hex, with or without colons, or certificates in PEM (certificate_path of players in the field).
	Pin string `json:"pin,omitempty"`
	// Mode is the wanted picture size and rate, as "1920x1080@60" or "1920x1080"; empty means the display's own choice.
	Mode string `json:"mode,omitempty"`
	// Hours are when the screen is on, in Player.Timezone; empty means always. Off says what it does at other times; empty
	// means OffSignal.
	Hours []Hours `json:"hours,omitempty"`
	Off   Off     `json:"off,omitempty"`
	// Log shows the live log on the screen.
	Log bool `json:"log,omitempty"`
}

// Trust says how a player recognizes its server.
type Trust string

// The ways. There is none without verification.
const (
	// TrustFirst takes a certificate that public CAs vouch for, else pins what the first connection shows.
	TrustFirst Trust = "first"
	// TrustPublic takes only what public CAs vouch for.
	TrustPublic Trust = "public"
	// TrustPinned takes only Pin.
	TrustPinned Trust = "pinned"
)

// Hours are hours of certain days, as in program.Rule: weekdays on which they begin from bit 0 for Monday, minutes of the
// wall clock, ending on the next day where ToMinute is not after FromMinute.
type Hours struct {
	Weekdays   uint8 `json:"weekdays"`
	FromMinute int   `json:"from_minute"`
	ToMinute   int   `json:"to_minute"`
}

// Off is what a screen does outside its hours.
type Off string

// What it can do.
const (
	OffSignal Off = "signal" // no signal: the display goes to sleep
	OffBlack  Off = "black"  // a black picture, for displays that do not wake up
)

// Show says what is on the screen; empty means ShowProgram where there is a program, else ShowStatus.
type Show string

// What can be on the screen.
const (
	ShowStatus  Show = "status"
	ShowPicture Show = "picture"
	ShowCamera  Show = "camera"
	ShowProgram Show = "program" // the playlists and schedule of the signage server
)
