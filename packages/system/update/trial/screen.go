package trial

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// blackFor is how long the screen may be black while Porthole shows a picture of its own, none of which is: a screen is opened
// anew now and then.
const blackFor = 20 * time.Second

// shown is what player says of the screen (docs/architecture.md, "player.sock").
type shown struct {
	Display struct {
		Connector, Mode, Problem string
		Connected                bool
	} `json:"display"`
	Showing   string `json:"showing"`
	Presented uint64 `json:"presented"`
	Failing   string `json:"failing"`
	Black     bool   `json:"black"`
	Power     struct{ On bool }
	Playback  struct {
		Playing  bool
		Playlist int64
		Skipped  []struct{ Name, Reason string }
	}
	Cache struct{ Revision int64 }
}

// What is on the screen, in player's words, that somebody else has made: it may be black.
const (
	showsProgram = "program"
	showsCamera  = "camera"
)

// offText is said of a screen that is off by its hours.
const offText = "The screen is off at this hour."

func (t *Trial) shown(ctx context.Context) (s shown, err error) {
	if _, err := t.cfg.Player.Call(ctx, http.MethodGet, "/status", nil, &s); err != nil {
		t.cfg.Log.Debug("player on trial does not answer", "err", err)
		return s, failf("It is not known what is on the screen: player does not answer.")
	}
	return s, nil
}

// screen looks whether something is on the screen.
func (t *Trial) screen(ctx context.Context) (string, error) {
	s, err := t.shown(ctx)
	if err != nil {
		return "", err
	}
	if black := s.Black && s.Showing != showsProgram && s.Showing != showsCamera; !black {
		t.black = time.Time{}
	} else if t.black.IsZero() {
		t.black = time.Now()
	}
	switch {
	case s.Display.Problem != "":
		return "", failf("There is no picture: %s.", s.Display.Problem)
	case !s.Display.Connected:
		return "", failf("No display is connected.")
	case !s.Power.On:
		return offText, nil
	case s.Failing != "":
		return "", failf("The display at %s takes no pictures: %s.", s.Display.Connector, s.Failing)
	case s.Presented == 0:
		return "", failf("Nothing has been shown on the display at %s yet.", s.Display.Connector)
	case !t.black.IsZero() && time.Since(t.black) > blackFor:
		return "", failf("The display at %s is black.", s.Display.Connector)
	}
	return fmt.Sprintf("The display at %s shows a picture, %s.", s.Display.Connector, s.Display.Mode), nil
}

// playback looks whether what is to be played plays.
func (t *Trial) playback(ctx context.Context) (string, error) {
	s, err := t.shown(ctx)
	if err != nil {
		return "", err
	}
	switch {
	case !s.Power.On:
		return offText, nil
	case s.Showing == showsCamera:
		return "A camera is on the screen instead of a playlist.", nil
	case s.Playback.Playing:
		return "A playlist plays.", nil
	case len(s.Playback.Skipped) > 0:
		last := s.Playback.Skipped[0]
		return "", failf("Nothing of the playlist can be played. The last that could not be was %q: %s.", last.Name, last.Reason)
	case s.Playback.Playlist != 0:
		return "", failf("The playlist does not play yet.")
	case s.Cache.Revision != 0:
		return "Nothing is to be played at this hour.", nil
	}
	return "", failf("No playlist plays.")
}
