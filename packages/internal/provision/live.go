package provision

import (
	"fmt"
	"strconv"

	"porthole/packages/internal/settings"
)

// Live says how the live view is reached from outside, and what it may cost: settings.Live, as far as the file gives it.
type Live struct {
	PublicAddress string   `json:"public_address,omitempty"`
	STUN          string   `json:"stun,omitempty"`
	TURN          []string `json:"turn,omitempty"`
	// TURNSecret is empty in a file whose secrets were taken over: the relay keeps the one it has.
	TURNSecret string `json:"turn_secret,omitempty"`
	PerCamera  int    `json:"per_camera,omitempty"`
	Total      int    `json:"total,omitempty"`
	// MaxMinutes is nil where the file says nothing; 0 means never.
	MaxMinutes *int `json:"max_minutes,omitempty"`
}

// Empty reports whether the file says nothing of it.
func (l Live) Empty() bool {
	return l.PublicAddress == "" && l.STUN == "" && len(l.TURN) == 0 && l.TURNSecret == "" && l.PerCamera == 0 && l.Total == 0 && l.MaxMinutes == nil
}

// Apply sets in to what the file says; the rest stays.
func (l Live) Apply(to *settings.Live) {
	set := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	set(&to.PublicAddress, l.PublicAddress)
	set(&to.STUN, l.STUN)
	set(&to.TURN.Secret, l.TURNSecret)
	if len(l.TURN) > 0 {
		to.TURN.URLs = l.TURN
	}
	if l.PerCamera > 0 {
		to.PerCamera = l.PerCamera
	}
	if l.Total > 0 {
		to.Total = l.Total
	}
	if l.MaxMinutes != nil {
		to.MaxMinutes = *l.MaxMinutes
	}
}

// liveValue completes one value, typed as v, or says why not.
func liveValue(l settings.Live, v string) (settings.Live, string) {
	if v == "" {
		return settings.Live{}, "must not be empty; put a # in front of the line to leave it off"
	}
	l, wrong := l.Normalize()
	if len(wrong) > 0 {
		return settings.Live{}, wrong[0].Reason
	}
	return l, ""
}

// places reads how many viewers there may be.
func places(to *int, v string) (reason string) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > settings.MaxViewers {
		return fmt.Sprintf("use 1 to %d", settings.MaxViewers)
	}
	*to = n
	return ""
}

func minutes(to **int, v string) (reason string) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > settings.MaxLiveMinutes {
		return fmt.Sprintf("use 1 to %d, or 0 for never", settings.MaxLiveMinutes)
	}
	*to = &n
	return ""
}
