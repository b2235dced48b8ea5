package main

import (
	"fmt"
	"net/http"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// previewView plays a draft in the browser.
type previewView struct {
	ID         int64
	Name, Says string
	Transition string
	Items      []previewItem
}

// previewItem is an item as the preview's script reads it: Shown is image, video, camera, stream or text.
type previewItem struct {
	Shown, Source, Text, Fit string
	Name, Detail             string
	Millis                   int64
}

func (c *console) previewPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok {
		return
	}
	items, err := c.signage.Items(r.Context(), p.ID, signage.Draft)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	names, _, err := c.cameraNames(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := previewView{ID: p.ID, Name: p.Name, Transition: p.Transition, Says: "This is the draft. Nothing here reaches a screen before you publish."}
	if !p.Changed && p.Version > 0 {
		v.Says = "This is what the screens have."
	}
	for _, i := range items {
		row := c.itemRow(p.ID, i, len(items), names)
		item := previewItem{Shown: string(i.Kind), Name: row.Name, Detail: "until the video ends", Fit: i.Fit, Text: i.Text, Millis: i.Duration.Milliseconds()}
		if i.Duration > 0 {
			item.Detail = lengthText(i.Duration)
		}
		switch i.Kind {
		case signage.ItemMedia:
			item.Shown, item.Source = string(i.Media.Kind), fmt.Sprintf("/media/%d/file", i.MediaID)
			if i.Media.Kind == signage.Image && i.Media.Duration > 0 && i.Duration == 0 {
				// An animated picture: a browser does not say when it ends.
				item.Millis = max(i.Media.Duration, time.Second).Milliseconds()
			}
		case signage.ItemCamera:
			item.Source = i.Camera
		case signage.ItemStream:
			item.Source = streamAddress(i.URL)
		}
		v.Items = append(v.Items, item)
	}
	c.render(w, r, http.StatusOK, "preview", page{Title: "Preview of " + p.Name, User: id, Body: v})
}
