package trial

import (
	"context"
	"fmt"
	"net/http"
)

// shown is what player says of the screen (docs/architecture.md, "player.sock").
type shown struct {
	Display struct {
		Kind, Connector, Mode, Problem string
		Connected                      bool
	} `json:"display"`
	Showing   string `json:"showing"`
	Presented uint64 `json:"presented"`
}

// screen looks whether something is on the screen.
func (t *Trial) screen(ctx context.Context) (string, error) {
	var s shown
	if _, err := t.cfg.Player.Call(ctx, http.MethodGet, "/status", nil, &s); err != nil {
		return "", failf("Nobody says what is on the screen: player does not answer.")
	}
	switch {
	case s.Display.Problem != "":
		return "", failf("There is no picture: %s.", s.Display.Problem)
	case !s.Display.Connected:
		return "", failf("No display is connected.")
	case s.Presented == 0:
		return "", failf("Nothing has been shown on the display at %s yet.", s.Display.Connector)
	}
	return fmt.Sprintf("The display at %s shows a picture, %s.", s.Display.Connector, s.Display.Mode), nil
}
