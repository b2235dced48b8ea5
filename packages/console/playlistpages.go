package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

func (c *console) playlistRoutes() []route {
	return []route{
		{"GET /playlists", editor, c.playlistsPage},
		{"POST /playlists", editor, c.newPlaylist},
		{"GET /playlists/{id}", editor, c.playlistPage},
		{"GET /fragments/playlists/{id}", editor, c.playlistPage},
		{"GET /playlists/{id}/preview", editor, c.previewPage},
		{"GET /playlists/{id}/name", editor, c.playlistNamePage},
		{"POST /playlists/{id}/name", editor, c.renamePlaylist},
		{"GET /playlists/{id}/copy", editor, c.copyPlaylistPage},
		{"POST /playlists/{id}/copy", editor, c.copyPlaylist},
		{"GET /playlists/{id}/delete", editor, c.dropPlaylistPage},
		{"POST /playlists/{id}/delete", editor, c.dropPlaylist},
		{"POST /playlists/{id}/transition", editor, c.setTransition},
		{"POST /playlists/{id}/publish", editor, c.publishPlaylist},
		{"POST /playlists/{id}/revert", editor, c.revertPlaylist},
		{"POST /playlists/{id}/undo", editor, c.undoRemoval},
		{"POST /playlists/{id}/items", editor, c.addItems},
		{"POST /playlists/{id}/items/{item}", editor, c.changeItem},
		{"POST /playlists/{id}/items/{item}/move", editor, c.moveItem},
		{"POST /playlists/{id}/items/{item}/remove", editor, c.removeItem},
	}
}

// nameError takes what is wrong with a name: it is taken, or it cannot be one.
func (e fieldErrors) name(err error) {
	if errors.Is(err, signage.ErrTaken) {
		e["name"] = "something else has this name already; choose another"
		return
	}
	e.add(err)
}

// playlistsView is the page of all playlists.
type playlistsView struct {
	Lists  []playlistRow
	Typed  string
	Errors fieldErrors
}

type playlistRow struct {
	ID           int64
	Colour       int
	Name, Detail string
	State        state
}

func (c *console) playlistsPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showPlaylists(w, r, http.StatusOK, id, playlistsView{})
}

func (c *console) showPlaylists(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v playlistsView) {
	all, err := c.signage.Playlists(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	to, err := c.readReach(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	for _, p := range all {
		used := "on no screen yet"
		if n := len(to.screens(p.ID)); n > 0 {
			used = "for " + countText(n, "screen", "screens")
		}
		v.Lists = append(v.Lists, playlistRow{ID: p.ID, Colour: colourOf(p.ID), Name: p.Name, State: playlistState(p),
			Detail: fmt.Sprintf("%s · %s · version %d · %s", countText(p.Items, "item", "items"), lengthText(p.Total), p.Version, used)})
	}
	c.render(w, r, status, "playlists", page{Title: "Playlists", User: id, Body: v})
}

func (c *console) newPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	v := playlistsView{Typed: r.PostFormValue("name"), Errors: fieldErrors{}}
	p, err := c.signage.CreatePlaylist(r.Context(), v.Typed)
	if v.Errors.name(err); len(v.Errors) > 0 {
		c.showPlaylists(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.log.Info("playlist made", "playlist", p.ID, "account", id.User)
	c.back(w, r, fmt.Sprintf("/playlists/%d", p.ID), "Now add something to it.")
}

// nameView asks for a name.
type nameView struct {
	Title, Says, Typed, Button, Back string
	Errors                           fieldErrors
}

// findPlaylist returns the playlist that the path names; false when it was answered that there is none.
func (c *console) findPlaylist(w http.ResponseWriter, r *http.Request) (signage.Playlist, bool) {
	return named(c, w, r, c.signage.Playlist)
}

func playlistPath(id int64) string { return "/playlists/" + strconv.FormatInt(id, 10) }

func (c *console) playlistNamePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if p, ok := c.findPlaylist(w, r); ok {
		c.showName(w, r, http.StatusOK, id, renameOf(p, p.Name))
	}
}

func renameOf(p signage.Playlist, typed string) nameView {
	return nameView{Title: "Rename " + p.Name, Typed: typed, Button: "Rename", Back: playlistPath(p.ID), Errors: fieldErrors{}}
}

func (c *console) showName(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v nameView) {
	c.render(w, r, status, "name", page{Title: v.Title, User: id, Body: v})
}

func (c *console) renamePlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	v := renameOf(p, r.PostFormValue("name"))
	c.editing.Lock()
	defer c.editing.Unlock()
	p, err := c.signage.Playlist(r.Context(), p.ID)
	if err == nil {
		p.Name = v.Typed
		err = c.signage.UpdatePlaylist(r.Context(), p)
	}
	if v.Errors.name(err); len(v.Errors) > 0 {
		c.showName(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.back(w, r, v.Back, "Renamed.")
}

func copyOf(p signage.Playlist, typed string) nameView {
	return nameView{Title: "Copy " + p.Name, Says: "The copy has the same items, as a draft. Change it, then publish it.", Typed: typed, Button: "Copy", Back: playlistPath(p.ID), Errors: fieldErrors{}}
}

func (c *console) copyPlaylistPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if p, ok := c.findPlaylist(w, r); ok {
		c.showName(w, r, http.StatusOK, id, copyOf(p, p.Name+" (2)"))
	}
}

func (c *console) copyPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	v := copyOf(p, strings.TrimSpace(r.PostFormValue("name")))
	if v.Typed == "" {
		v.Errors["name"] = "give the copy a name"
		c.showName(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	made, err := c.signage.CopyPlaylist(r.Context(), p.ID, v.Typed)
	if v.Errors.name(err); len(v.Errors) > 0 {
		c.showName(w, r, http.StatusUnprocessableEntity, id, v)
		return
	}
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.back(w, r, playlistPath(made.ID), "This is the copy.")
}

// sureView asks whether something may be deleted. Without a Button it only says why not.
type sureView struct {
	Title        string
	Says, Things []string
	Action       string
	Hidden       []hidden
	Button       string
	Back, Keep   string
}

type hidden struct{ Name, Value string }

func (c *console) dropPlaylistPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok {
		return
	}
	screens, err := c.screensOf(r.Context(), p.ID)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	rules, err := c.signage.Rules(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := sureView{Title: "Delete " + p.Name + "?", Action: playlistPath(p.ID) + "/delete", Button: "Delete", Back: playlistPath(p.ID), Keep: "Keep it",
		Says: []string{"Its items go with it; pictures and videos stay under Media."}}
	for _, s := range screens {
		v.Things = append(v.Things, "Screen "+s.Name+" shows it")
	}
	for _, rule := range rules {
		if rule.Playlist == p.ID {
			v.Things = append(v.Things, "The plan “"+rule.Name+"” goes with it")
		}
	}
	c.render(w, r, http.StatusOK, "sure", page{Title: v.Title, User: id, Body: v})
}

func (c *console) dropPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok {
		return
	}
	if err := c.signage.DeletePlaylist(r.Context(), p.ID); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("playlist deleted", "playlist", p.ID, "account", id.User)
	c.back(w, r, "/playlists", "“"+p.Name+"” was deleted.")
}

// edited answers an operation of the editor: with the changed part for its script, else by going back to the page.
func (c *console) edited(w http.ResponseWriter, r *http.Request, id identity.Identity, playlist int64, err error, said string) {
	switch {
	case errors.Is(err, signage.ErrNotFound):
		if _, gone := c.signage.Playlist(r.Context(), playlist); gone != nil {
			c.signageFailed(w, r, gone)
			return
		}
		c.showEditor(w, r, http.StatusConflict, id, playlist, playlistEditor{Problem: "Somebody else removed it meanwhile. This is how the playlist is now."})
	case err != nil:
		if fe, ok := asFieldError(err); ok {
			c.showEditor(w, r, http.StatusUnprocessableEntity, id, playlist, playlistEditor{Problem: fe.Reason})
			return
		}
		c.failed(w, r, err)
	case isFragment(r):
		c.showEditor(w, r, http.StatusOK, id, playlist, playlistEditor{})
	default:
		c.back(w, r, playlistPath(playlist), said)
	}
}

func (c *console) setTransition(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	c.editing.Lock()
	defer c.editing.Unlock()
	p, err := c.signage.Playlist(r.Context(), p.ID)
	if err == nil {
		p.Transition = r.PostFormValue("transition")
		err = c.signage.UpdatePlaylist(r.Context(), p)
	}
	c.edited(w, r, id, p.ID, err, "Saved.")
}

// publishPlaylist gives the draft to the screens, if it is the draft that was seen.
func (c *console) publishPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	c.editing.Lock()
	defer c.editing.Unlock()
	items, err := c.signage.Items(r.Context(), p.ID, signage.Draft)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	problem := ""
	switch {
	case len(items) == 0:
		problem = "There is nothing in this playlist. Add something, then publish it."
	case r.PostFormValue("rev") != draftRev(p, items):
		problem = "Somebody changed this playlist meanwhile. Look at it as it is now, then publish it."
	}
	if problem != "" {
		c.showEditor(w, r, http.StatusConflict, id, p.ID, playlistEditor{Problem: problem})
		return
	}
	p, err = c.signage.Publish(r.Context(), p.ID)
	if err == nil {
		c.log.Info("playlist published", "playlist", p.ID, "version", p.Version, "account", id.User)
	}
	said := fmt.Sprintf("Published as version %d.", p.Version)
	if screens, err := c.screensOf(r.Context(), p.ID); err == nil && len(screens) > 0 {
		said = fmt.Sprintf("Published as version %d: it goes to %s now.", p.Version, countText(len(screens), "screen", "screens"))
	}
	c.edited(w, r, id, p.ID, err, said)
}

func (c *console) revertPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findPlaylist(w, r)
	if !ok {
		return
	}
	c.editing.Lock()
	defer c.editing.Unlock()
	err := c.signage.Revert(r.Context(), p.ID)
	c.edited(w, r, id, p.ID, err, "This is what is published.")
}

const sessionRemoved = "removed-item"

// removal is the last item that somebody took out of a playlist.
type removal struct {
	Playlist int64
	Item     signage.Item
}

// removedOf returns the item that this person removed last, if it was of this playlist.
func (c *console) removedOf(ctx context.Context, playlist int64) (removal, bool) {
	var last removal
	err := json.Unmarshal([]byte(c.sessions.GetString(ctx, sessionRemoved)), &last)
	return last, err == nil && last.Playlist == playlist
}
