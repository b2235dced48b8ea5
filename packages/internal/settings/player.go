package settings

import (
	"strings"
	"time"
	"unicode"
)

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
}

// Show says what is on the screen; empty means ShowStatus.
type Show string

// What can be on the screen.
const (
	ShowStatus  Show = "status"
	ShowPicture Show = "picture"
	ShowCamera  Show = "camera"
)

// Check reports what is wrong with the settings on what to show. The error is a *FieldError.
func (s PlayerSettings) Check() error {
	switch s.Show {
	case "", ShowStatus, ShowPicture, ShowCamera:
	default:
		return &FieldError{"show", `must be "status", "picture" or "camera"`}
	}
	if s.Picture != "" && !fileName(s.Picture) {
		return &FieldError{"picture", "use the name of a file, without a folder, at most 200 bytes"}
	}
	if s.Camera != "" {
		if reason := checkCameraID(s.Camera); reason != "" {
			return &FieldError{"camera", reason}
		}
	}
	return nil
}

func fileName(name string) bool {
	return len(name) <= 200 && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, `/\`) && !strings.ContainsFunc(name, unicode.IsControl)
}
