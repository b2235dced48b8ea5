package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/settings"
)

// listedCameras is the part of a form that says for which cameras something is good.
type listedCameras struct {
	// All means every camera, those added later as well.
	All     bool
	Cameras []choice
	Error   string
}

// cameraChoices is the form's part for the cameras that may be chosen; chosen is nil for all.
func cameraChoices(cameras []settings.Camera, chosen []string) listedCameras {
	v := listedCameras{All: chosen == nil}
	for _, cam := range cameras {
		v.Cameras = append(v.Cameras, choice{Value: cam.ID, Text: cam.Name, Chosen: slices.Contains(chosen, cam.ID)})
	}
	return v
}

// chosenCameras reads the form's part: nil for all cameras. It adds what is wrong to errs.
func chosenCameras(r *http.Request, cameras []settings.Camera, errs fieldErrors) []string {
	if r.PostFormValue("see") != "listed" {
		return nil
	}
	chosen := []string{}
	for _, cam := range cameras {
		if slices.Contains(r.PostForm["camera"], cam.ID) {
			chosen = append(chosen, cam.ID)
		}
	}
	if len(chosen) == 0 {
		errs["cameras"] = "choose at least one camera, or all of them"
	}
	return chosen
}

// camerasText says which cameras they are.
func camerasText(cameras []settings.Camera, chosen []string) string {
	if chosen == nil {
		return "all cameras"
	}
	var names []string
	for _, cam := range cameras {
		if slices.Contains(chosen, cam.ID) {
			names = append(names, cam.Name)
		}
	}
	if len(names) == 0 {
		return "no camera"
	}
	return strings.Join(names, ", ")
}

// endViewsWithin bounds how long a change of an account waits for its live views to end.
const endViewsWithin = 5 * time.Second

// endViews sends away who watches as the account, except what keep lets go on: what somebody may watch no more ends now,
// and not when they leave.
func (c *console) endViews(ctx context.Context, account string, keep func(camera string) bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endViewsWithin)
	defer cancel()
	c.backends.viewers.forget()
	list, err := c.backends.viewers.answer(ctx)
	if err != nil {
		// Without signaling nobody watches; when it is only slow, each new view is asked for anew.
		c.log.Warn("cannot look whether live views have to end", "err", err)
		return
	}
	for _, v := range list.Viewers {
		camera, _, _ := strings.Cut(v.Stream, "/")
		if v.User != account || keep(camera) {
			continue
		}
		if status, err := c.backends.endViewer(ctx, v.ID); err != nil && status != http.StatusNotFound {
			c.log.Warn("a live view could not be ended", "viewer", v.ID, "err", err)
		}
	}
}

// noCamera keeps no live view.
func noCamera(string) bool { return false }
