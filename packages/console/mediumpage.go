package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/library"
	"porthole/packages/internal/identity"
)

// mediumView is the page of one picture or video.
type mediumView struct {
	ID            int64
	Name, Typed   string
	Video         bool
	Width, Height int
	Boards        []library.Verdict
	Facts         []fact
	Used          []signage.Playlist
	Playlists     []choice
	Errors        fieldErrors
}

func mediumFacts(m signage.Media) []fact {
	var list []fact
	add := func(name, value string) {
		if value != "" {
			list = append(list, fact{name, value})
		}
	}
	add("Size", sizeText(m.SizeBytes))
	if m.Width > 0 {
		add("Resolution", fmt.Sprintf("%d×%d", m.Width, m.Height))
	}
	if m.Duration > 0 {
		add("Plays for", lengthText(m.Duration))
	}
	add("Format", strings.TrimSpace(strings.ToUpper(m.Probe.Codec)+" "+m.Probe.Profile))
	if m.Probe.FPS > 0 {
		add("Pictures a second", strconv.FormatFloat(m.Probe.FPS, 'f', -1, 64))
	}
	add("Sound", m.Probe.Audio)
	if m.Version > 1 {
		add("Version", strconv.Itoa(m.Version))
	}
	add("Came", m.Created.Format("2 January 2006"))
	add("From", m.By)
	return list
}

// findMedium returns the medium that the path names; false when it was answered that there is none.
func (c *console) findMedium(w http.ResponseWriter, r *http.Request) (signage.Media, bool) {
	return named(c, w, r, c.signage.Media)
}

func (c *console) mediumPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if m, ok := c.findMedium(w, r); ok {
		c.showMedium(w, r, http.StatusOK, id, m, m.Name, nil)
	}
}

func (c *console) showMedium(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, m signage.Media, typed string, errs fieldErrors) {
	v := mediumView{ID: m.ID, Name: m.Name, Typed: typed, Video: m.Kind == signage.Video, Width: m.Width, Height: m.Height,
		Boards: library.Boards(m), Facts: mediumFacts(m), Errors: errs}
	var err error
	if v.Used, err = c.signage.PlaylistsWith(r.Context(), m.ID); err == nil {
		v.Playlists, err = c.playlistChoices(r, true)
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, status, "medium", page{Title: m.Name, User: id, Body: v})
}

func (c *console) renameMedium(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	m, ok := c.findMedium(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	typed, errs := r.PostFormValue("name"), fieldErrors{}
	err := c.signage.RenameMedia(r.Context(), m.ID, typed)
	if errs.name(err); len(errs) > 0 {
		c.showMedium(w, r, http.StatusUnprocessableEntity, id, m, typed, errs)
		return
	}
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.back(w, r, "/media/"+strconv.FormatInt(m.ID, 10), "Renamed.")
}

func (c *console) mediumToPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if m, ok := c.findMedium(w, r); ok && c.form(w, r) {
		c.toPlaylist(w, r, id, []int64{m.ID}, "/media/"+strconv.FormatInt(m.ID, 10))
	}
}

func (c *console) dropMediumPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if m, ok := c.findMedium(w, r); ok {
		c.askDrop(w, r, id, []int64{m.ID})
	}
}

// askDrop asks whether media may be deleted, and names the playlists that keep some of them.
func (c *console) askDrop(w http.ResponseWriter, r *http.Request, id identity.Identity, ids []int64) {
	v := sureView{Action: "/media/delete", Back: "/media", Keep: "Keep"}
	var names, kept []string
	for _, n := range ids {
		m, err := c.signage.Media(r.Context(), n)
		if errors.Is(err, signage.ErrNotFound) {
			continue
		}
		if err != nil {
			c.failed(w, r, err)
			return
		}
		used, err := c.signage.PlaylistsWith(r.Context(), n)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		if len(used) > 0 {
			kept = append(kept, m.Name+" is in "+playlistNames(used))
			continue
		}
		names = append(names, m.Name)
		v.Hidden = append(v.Hidden, hidden{"media", strconv.FormatInt(n, 10)})
	}
	switch {
	case len(names) == 1:
		v.Title, v.Button = "Delete "+names[0]+"?", "Delete"
	case len(names) > 1:
		v.Title, v.Button, v.Things = fmt.Sprintf("Delete %d files?", len(names)), "Delete them", names
	case len(kept) == 1:
		v.Title, v.Keep = "It is in use", "Back"
	default:
		v.Title, v.Keep = "Nothing to delete", "Back"
	}
	if len(names) > 0 {
		v.Says = []string{"They cannot be brought back, but by uploading them again."}
		if len(names) == 1 {
			v.Says[0] = "It cannot be brought back, but by uploading it again."
		}
	}
	if len(kept) > 0 {
		v.Says = append(v.Says, "What is in a playlist stays until it is taken out there, and the playlist is published: "+strings.Join(kept, "; ")+".")
	}
	c.render(w, r, http.StatusOK, "sure", page{Title: v.Title, User: id, Body: v})
}

func playlistNames(list []signage.Playlist) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = "“" + p.Name + "”"
	}
	return inWords(names)
}

// dropMedia deletes what was confirmed. What was put into a playlist meanwhile stays, and is named.
func (c *console) dropMedia(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	gone, kept := 0, []string(nil)
	for _, v := range r.PostForm["media"] {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			continue
		}
		m, err := c.signage.Media(r.Context(), n)
		if err == nil {
			err = c.signage.DeleteMedia(r.Context(), n)
		}
		var used *db.InUseError
		switch {
		case errors.As(err, &used):
			kept = append(kept, m.Name)
		case errors.Is(err, signage.ErrNotFound):
		case err != nil:
			c.failed(w, r, err)
			return
		default:
			c.log.Info("medium deleted", "medium", n, "account", id.User)
			gone++
			if err := c.library.Forget(r.Context(), m.SHA256); err != nil {
				c.log.Warn("a deleted medium's space is free only within the hour", "err", err)
			}
		}
	}
	said := countText(gone, "file was deleted.", "files were deleted.")
	if len(kept) > 0 {
		said += " " + inWords(kept) + " stayed: somebody put it into a playlist."
	}
	c.back(w, r, "/media", said)
}

func asRefusal(err error) (string, bool) { return library.AsRefusal(err) }
