package provision

import (
	"reflect"
	"strconv"

	"porthole/packages/internal/settings"
)

// Empty reports whether the file says nothing of it.
func (p Player) Empty() bool { return reflect.ValueOf(p).IsZero() }

// playerSetters are those of [player].
func playerSetters() map[string]func(f *File, v string) (reason string) {
	type set = func(*File, string) string
	return map[string]set{
		"player.show": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Show: settings.Show(v)}, v, func(s settings.PlayerSettings) { f.Player.Show = s.Show })
		},
		"player.picture": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Picture: v}, v, func(s settings.PlayerSettings) { f.Player.Picture = s.Picture })
		},
		"player.camera": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Camera: v}, v, func(s settings.PlayerSettings) { f.Player.Camera = s.Camera })
		},
		"player.server": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Server: v}, v, func(s settings.PlayerSettings) { f.Player.Server = s.Server })
		},
		"player.hostname": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Hostname: v}, v, func(s settings.PlayerSettings) { f.Player.Hostname = s.Hostname })
		},
		"player.quickconnect_code": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{QuickConnectCode: v}, v, func(s settings.PlayerSettings) { f.Player.QuickConnectCode = s.QuickConnectCode })
		},
		"player.orientation": func(f *File, v string) string { return setOrientation(&f.Player.Orientation, v) },
		"player.timeout":     func(f *File, v string) string { return upTo(&f.Player.Timeout, v, settings.MaxTimeout) },
		"player.retry_attempts": func(f *File, v string) string {
			return upTo(&f.Player.RetryAttempts, v, settings.MaxRetryAttempts)
		},
		"player.retry_delay": func(f *File, v string) string { return upTo(&f.Player.RetryDelay, v, settings.MaxRetryDelay) },
		"player.trust": func(f *File, v string) string {
			// Whether there is a pin is seen when the whole file is there.
			if settings.Trust(v) == settings.TrustPinned {
				f.Player.Trust = settings.TrustPinned
				return ""
			}
			return playerValue(settings.PlayerSettings{Trust: settings.Trust(v)}, v, func(s settings.PlayerSettings) { f.Player.Trust = s.Trust })
		},
		"player.pin": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Pin: v}, v, func(s settings.PlayerSettings) { f.Player.Pin = s.Pin })
		},
		"player.mode": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Mode: v}, v, func(s settings.PlayerSettings) { f.Player.Mode = s.Mode })
		},
		"player.hours": func(f *File, v string) string {
			list, reason := settings.ParseHours(v)
			if reason == "" {
				f.Player.Hours = list
			}
			return reason
		},
		"player.off": func(f *File, v string) string {
			return playerValue(settings.PlayerSettings{Off: settings.Off(v)}, v, func(s settings.PlayerSettings) { f.Player.Off = s.Off })
		},
		"player.log": func(f *File, v string) string {
			f.Player.Log = new(v == "true")
			return ""
		},
	}
}

// playerValue hands one value, typed as v, to take as settings completes it, or says why not.
func playerValue(s settings.PlayerSettings, v string, take func(settings.PlayerSettings)) (reason string) {
	if v == "" {
		return "must not be empty; put a # in front of the line to leave it off"
	}
	s, wrong := s.Normalize()
	if len(wrong) > 0 {
		return wrong[0].Reason
	}
	take(s)
	return ""
}

func setOrientation(to *string, v string) (reason string) {
	return playerValue(settings.PlayerSettings{Orientation: v}, v, func(s settings.PlayerSettings) { *to = s.Orientation })
}

func upTo(to *int, v string, most int) (reason string) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return "use 1 to " + strconv.Itoa(most)
	}
	*to = n
	return ""
}
