package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// addItems puts what a form names at the end of the draft.
func (c *console) addItems(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	typed := playlistEditor{Errors: fieldErrors{}}
	kind := signage.ItemKind(r.PostFormValue("kind"))
	seconds, wrong := secondsOf(r.PostFormValue("seconds"))
	var add []signage.Item
	// What is wrong with the time is said beside the form that it was typed into.
	field := ""
	switch kind {
	case signage.ItemMedia:
		typed.Adding.Media, field = true, "media"
		for _, v := range r.PostForm["media"] {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				add = append(add, signage.Item{Kind: kind, MediaID: n})
			}
		}
		if len(add) == 0 {
			wrong = "mark the pictures and videos to add"
		}
	case signage.ItemCamera:
		typed.Adding.Camera, typed.CameraSeconds, field = true, r.PostFormValue("seconds"), "camera"
		add = []signage.Item{{Kind: kind, Camera: r.PostFormValue("camera"), Duration: seconds}}
	case signage.ItemStream:
		typed.Adding.Stream, typed.StreamSeconds, field = true, r.PostFormValue("seconds"), "stream"
		typed.URL = strings.TrimSpace(r.PostFormValue("url"))
		add = []signage.Item{{Kind: kind, URL: typed.URL, Duration: seconds}}
	case signage.ItemText:
		typed.Adding.Text, typed.TextSeconds, field = true, r.PostFormValue("seconds"), "textseconds"
		typed.Text = r.PostFormValue("text")
		add = []signage.Item{{Kind: kind, Text: typed.Text, Duration: seconds}}
	default:
		c.sorry(w, r, http.StatusBadRequest, "Not understood", "Choose what to add on the playlist’s page.")
		return
	}
	if wrong != "" {
		typed.Errors[field] = wrong
	}
	var err error
	if len(typed.Errors) == 0 {
		_, err = c.signage.AddItems(r.Context(), p.ID, 0, add)
	}
	if fe, ok := asFieldError(err); ok {
		if fe.Field == "duration" || fe.Field == "items" {
			fe.Field = field
		}
		typed.Errors.add(fe)
	} else if errors.Is(err, signage.ErrNotFound) && kind == signage.ItemMedia {
		typed.Errors[field] = "somebody deleted one of them meanwhile; mark them again"
	}
	if len(typed.Errors) > 0 {
		c.showEditor(w, r, http.StatusUnprocessableEntity, id, p.ID, typed)
		return
	}
	c.edited(w, r, id, p.ID, err, countText(len(add), "item was added.", "items were added."))
}

// findItem returns the item that the path names, as it is in the draft now. The caller holds c.editing.
func (c *console) findItem(w http.ResponseWriter, r *http.Request, id identity.Identity) (list int64, i signage.Item, ok bool) {
	list, ok = c.pathID(w, r, "id")
	if !ok {
		return 0, i, false
	}
	item, ok := c.pathID(w, r, "item")
	if !ok {
		return 0, i, false
	}
	items, err := c.signage.Items(r.Context(), list, signage.Draft)
	if err != nil {
		c.failed(w, r, err)
		return 0, i, false
	}
	n := slices.IndexFunc(items, func(i signage.Item) bool { return i.ID == item })
	if n < 0 {
		c.edited(w, r, id, list, signage.ErrNotFound, "")
		return 0, i, false
	}
	return list, items[n], true
}

// changeItem takes what a row of the editor holds. What somebody else changed meanwhile is not overwritten but shown.
func (c *console) changeItem(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	c.editing.Lock()
	defer c.editing.Unlock()
	list, i, ok := c.findItem(w, r, id)
	if !ok {
		return
	}
	errs := fieldErrors{}
	if r.PostFormValue("rev") != itemRev(i) {
		errs["rev"] = "somebody changed this meanwhile, and yours was not saved. This is how it is now; change it again if you like"
		c.showItemErrors(w, r, http.StatusConflict, id, list, i, errs)
		return
	}
	var wrong string
	if i.Duration, wrong = secondsOf(r.PostFormValue("seconds")); wrong != "" {
		errs["seconds"] = wrong
	} else if i.Duration == 0 && (i.Media == nil || i.Media.Duration == 0) {
		errs["seconds"] = "say for how many seconds, for example 10"
	}
	i.Fit, i.Description = r.PostFormValue("fit"), r.PostFormValue("description")
	switch i.Kind {
	case signage.ItemText:
		i.Text = r.PostFormValue("text")
	case signage.ItemStream:
		i.URL = strings.TrimSpace(r.PostFormValue("url"))
	}
	var err error
	if len(errs) == 0 {
		err = c.signage.UpdateItem(r.Context(), list, i)
	}
	if fe, ok := asFieldError(err); ok {
		if fe.Field == "duration" {
			fe.Field = "seconds"
		}
		errs.add(fe)
	}
	if len(errs) > 0 {
		c.showItemErrors(w, r, http.StatusUnprocessableEntity, id, list, i, errs)
		return
	}
	c.edited(w, r, id, list, err, "Saved.")
}

// showItemErrors shows the editor with one row as it was typed and what is wrong with it.
func (c *console) showItemErrors(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, list int64, typed signage.Item, errs fieldErrors) {
	v, err := c.editorOf(r, list, playlistEditor{})
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	for n := range v.Items {
		row := &v.Items[n]
		if row.ID != typed.ID {
			continue
		}
		row.Errors, row.Fits, row.Description, row.Text, row.URL = errs, fitChoices(typed.Fit), typed.Description, typed.Text, typed.URL
		row.Open = errs["text"] != "" || errs["url"] != "" || errs["description"] != ""
		if errs["rev"] == "" {
			row.Seconds = r.PostFormValue("seconds")
		}
	}
	if isFragment(r) {
		c.execute(w, r, status, "playlist", "editor", v)
		return
	}
	c.render(w, r, status, "playlist", page{Title: v.Name, User: id, Body: v})
}

func (c *console) moveItem(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	list, ok := c.pathID(w, r, "id")
	if !ok {
		return
	}
	item, ok := c.pathID(w, r, "item")
	if !ok || !c.form(w, r) {
		return
	}
	to, err := strconv.Atoi(r.PostFormValue("to"))
	if err != nil {
		c.sorry(w, r, http.StatusBadRequest, "Not understood", "Say to which place it goes.")
		return
	}
	c.editing.Lock()
	defer c.editing.Unlock()
	c.edited(w, r, id, list, c.signage.MoveItem(r.Context(), list, item, to), fmt.Sprintf("Moved to place %d.", to))
}

func (c *console) removeItem(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.editing.Lock()
	defer c.editing.Unlock()
	list, i, ok := c.findItem(w, r, id)
	if !ok {
		return
	}
	err := c.signage.RemoveItem(r.Context(), list, i.ID)
	if err == nil {
		b, jerr := json.Marshal(removal{list, i})
		if err = jerr; err == nil {
			c.sessions.Put(r.Context(), sessionRemoved, string(b))
		}
	}
	c.edited(w, r, id, list, err, "")
}

// undoRemoval puts back what this person removed last.
func (c *console) undoRemoval(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	list, ok := c.pathID(w, r, "id")
	if !ok {
		return
	}
	c.editing.Lock()
	defer c.editing.Unlock()
	last, ok := c.removedOf(r.Context(), list)
	if !ok {
		c.edited(w, r, id, list, nil, "There is nothing to undo.")
		return
	}
	c.sessions.Remove(r.Context(), sessionRemoved)
	i := last.Item
	i.ID = 0
	_, err := c.signage.AddItems(r.Context(), list, i.Position, []signage.Item{i})
	if errors.Is(err, signage.ErrNotFound) {
		c.showEditor(w, r, http.StatusConflict, id, list, playlistEditor{Problem: "It cannot come back: the picture or video was deleted meanwhile."})
		return
	}
	c.edited(w, r, id, list, err, "It is back.")
}
