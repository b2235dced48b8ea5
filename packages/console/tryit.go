package main

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// triedStream is what came of trying a stream's address.
type triedStream struct {
	N int
	// OK says that pictures come; Text what was found, or what is wrong.
	OK   bool
	Text string
	// Found are codec, resolution and more, a line per track; Repairs what had to be mended.
	Found, Repairs []string
	// Picture is the address of a picture, good for a minute; empty if there is none.
	Picture string
}

// tryCamera tries what was typed, without saving it, and shows the form again with the results.
func (c *console) tryCamera(w http.ResponseWriter, r *http.Request, id identity.Identity, f cameraForm, old settings.Camera) {
	typed := f.Camera
	// Trying needs no name and no options; what is wrong there is said when the camera is saved.
	typed.ID, typed.Name, typed.Auth, typed.Options = "x", "", "", settings.StreamOptions{}
	cam, errs := checkTyped(typed)
	if f.Errors = errs; len(errs) > 0 {
		c.showCamera(w, r, http.StatusUnprocessableEntity, id, f)
		return
	}
	keepPassword(&cam, old)
	addresses := append([]string{cam.URL}, cam.MoreURLs...)
	f.Tried = make([]triedStream, len(addresses))
	var wg sync.WaitGroup
	for i, address := range addresses {
		wg.Go(func() {
			answer, status, err := c.backends.tryStream(r.Context(), cam, address)
			if err != nil {
				c.log.Warn("trying a camera failed", "status", status, "err", err)
			}
			f.Tried[i] = tried(i+1, answer, status, err)
		})
	}
	wg.Wait()
	c.showCamera(w, r, http.StatusOK, id, f)
}

// keepPassword leaves the password as it was where none was typed, as long as there is a user it can belong to.
func keepPassword(cam *settings.Camera, old settings.Camera) {
	if cam.Password == "" && cam.User != "" {
		cam.Password = old.Password
	}
}

func tried(n int, answer probeAnswer, status int, err error) triedStream {
	t := triedStream{N: n}
	switch {
	case status == http.StatusTooManyRequests:
		t.Text = "Too many cameras are being tried just now. Wait a few seconds, then try again."
		return t
	case status != 0 && err != nil:
		t.Text = "The camera could not be tried. Save it and watch it instead; proxy’s log says what went wrong."
		return t
	case err != nil:
		t.Text = "proxy, which connects to cameras, does not answer. It may be restarting: try again in a moment."
		return t
	}
	t.OK, t.Text = answer.Result.OK, printable(answer.Result.Problem)
	if t.OK && t.Text == "" {
		t.Text = "It works."
	}
	for _, track := range answer.Result.Tracks {
		t.Found = append(t.Found, trackText(track))
	}
	if answer.Result.Transport != "" {
		t.Found = append(t.Found, "over "+strings.ToUpper(answer.Result.Transport))
	}
	t.Repairs = answer.Result.Repairs
	if strings.HasPrefix(answer.ID, settings.ProbePrefix) {
		t.Picture = "/cameras/" + answer.ID + "/snapshot.jpg?w=640"
	}
	return t
}

// trackText describes a track in a line: H264 High, 1920×1080.
func trackText(t trackStatus) string {
	parts := []string{strings.TrimSpace(t.Codec + " " + t.Profile)}
	switch {
	case t.Width > 0 && t.Height > 0:
		parts = append(parts, sizeOf(t))
	case t.Detail != "" && t.ClockRate == 0:
		parts = append(parts, printable(t.Detail))
	}
	if t.Kind == "audio" && t.ClockRate > 0 {
		parts = append(parts, strconv.Itoa(t.ClockRate)+" Hz")
	}
	return strings.Join(parts, ", ")
}

func sizeOf(t trackStatus) string { return strconv.Itoa(t.Width) + "×" + strconv.Itoa(t.Height) }
