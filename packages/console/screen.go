package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// maxShot bounds a picture of the screen, in bytes; player makes them much smaller.
const maxShot = 4 << 20

// screenCard is what the home page says of the screen.
type screenCard struct {
	// Away says why there is nothing to say, or is empty.
	Away string
	// Display is what the picture comes out of; Unplugged that nothing is plugged in there.
	Display       string
	Unplugged     bool
	Width, Height int
	Problems      []string
	Choices       []screenChoice
}

// screenChoice is something the screen can show. Its value is a settings.Show, for cameras with the id behind a colon.
type screenChoice struct {
	Value, Text string
	Chosen      bool
}

func newScreenCard(s playerStatus, err error, own settings.PlayerSettings, cameras []settings.Camera) *screenCard {
	card := &screenCard{Choices: screenChoices(own, cameras)}
	if err != nil {
		card.Away = "player does not answer, so the screen is not known. It may be restarting; this page keeps asking."
		return card
	}
	d := s.Display
	card.Width, card.Height, card.Problems = d.Width, d.Height, s.Problems
	if d.Kind == "offscreen" {
		card.Display = "drawn for this page only"
		if d.Problem != "" {
			card.Display = d.Problem + ": " + card.Display
		}
	} else {
		card.Display, card.Unplugged = d.Connector, !d.Connected
	}
	for _, more := range []string{d.Mode, d.Monitor, d.Note} {
		if more != "" {
			card.Display += " · " + printable(more)
		}
	}
	return card
}

// programWords is the choice that shows what the signage server says; without that it is the status screen.
const programWords = "Program: playlists and schedule"

func screenChoices(own settings.PlayerSettings, cameras []settings.Camera) []screenChoice {
	show := own.Show
	if show == "" {
		show = settings.ShowProgram
	}
	list := []screenChoice{
		{string(settings.ShowProgram), programWords, show == settings.ShowProgram},
		{string(settings.ShowStatus), "Status: name, addresses, QR code", show == settings.ShowStatus},
	}
	if own.Picture != "" {
		list = append(list, screenChoice{string(settings.ShowPicture), "Picture " + own.Picture, show == settings.ShowPicture})
	}
	for _, cam := range cameras {
		list = append(list, screenChoice{
			string(settings.ShowCamera) + ":" + cam.ID, "Camera " + cam.Name, show == settings.ShowCamera && own.Camera == cam.ID,
		})
	}
	return list
}

// chooseScreen takes what the screen is to show.
func (c *console) chooseScreen(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	chosen := r.PostFormValue("show")
	cameras, err := c.cameras(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	own, err := playerSettings(r.Context(), c.store.r)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	choices := screenChoices(own, cameras)
	i := slices.IndexFunc(choices, func(o screenChoice) bool { return o.Value == chosen })
	if i < 0 {
		c.sorry(w, r, http.StatusUnprocessableEntity, "Not possible", "The screen cannot show this. The camera may have been deleted meanwhile.")
		return
	}
	show, camera, _ := strings.Cut(chosen, ":")
	err = c.store.change(r.Context(), func(tx *sql.Tx) error {
		if camera != "" {
			if err := setPlayerSetting(r.Context(), tx, "camera", camera); err != nil {
				return err
			}
		}
		return setPlayerSetting(r.Context(), tx, "show", show)
	})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("screen changed", "show", chosen, "account", id.User)
	to := "/"
	if r.PostFormValue("back") == "/screen" {
		to = "/screen"
	}
	c.back(w, r, to, "The screen shows this now: "+choices[i].Text+".")
}

// shotWithin is how long player may take for a picture: it encodes it when asked, on a busy board.
const shotWithin = 15 * time.Second

// screenShot hands on a picture of the screen.
func (c *console) screenShot(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	ctx, cancel := context.WithTimeout(r.Context(), shotWithin)
	defer cancel()
	b, err := c.backends.shot(ctx, r.URL.Query().Has("small"))
	if err != nil {
		w.Header().Set("Retry-After", "3")
		c.sorry(w, r, http.StatusServiceUnavailable, "No picture", "player does not answer, so there is no picture of the screen. Try again in a moment.")
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(b)
}

// shot returns a JPEG of what is on the screen; a small one has half the width and height.
func (b *backends) shot(ctx context.Context, small bool) ([]byte, error) {
	target := "http://porthole/screen.jpg"
	if small {
		target += "?small"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for a picture of the screen: %w", err)
	}
	res, err := b.screens.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for a picture of the screen: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for a picture of the screen: answered %s", res.Status)
	}
	shot, err := io.ReadAll(io.LimitReader(res.Body, maxShot))
	if err != nil {
		return nil, fmt.Errorf("read the picture of the screen: %w", err)
	}
	return shot, nil
}
