package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// groupsView is the page of all groups.
type groupsView struct {
	Groups []groupRow
	Name   string
	Errors fieldErrors
}

type groupRow struct {
	ID           int64
	Name, Detail string
}

// groupView is the page of one group, as it was typed.
type groupView struct {
	ID                 int64
	Title, Name        string
	Playlists, Members []choice
	Errors             fieldErrors
}

func (c *console) groupsPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showGroups(w, r, http.StatusOK, id, groupsView{})
}

func (c *console) showGroups(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v groupsView) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	for _, g := range s.groups {
		row := groupRow{ID: g.ID, Name: g.Name, Detail: countText(g.Players, "screen", "screens")}
		if g.Playlist != 0 {
			row.Detail += " · " + s.nameOf(g.Playlist)
		} else {
			row.Detail += " · no playlist of its own"
		}
		v.Groups = append(v.Groups, row)
	}
	c.render(w, r, status, "groups", page{Title: "Groups", User: id, Body: v})
}

// group takes what the store says is wrong; it is false when that is no fault of the form.
func (e fieldErrors) group(err error) bool {
	if errors.Is(err, signage.ErrTaken) {
		e["name"] = "another group has this name already"
		return true
	}
	_, ok := asFieldError(err)
	e.add(err)
	return ok || err == nil
}

func (c *console) newGroup(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	v := groupsView{Name: strings.TrimSpace(r.PostFormValue("name")), Errors: fieldErrors{}}
	g, err := c.signage.CreateGroup(r.Context(), signage.Group{Name: v.Name})
	switch {
	case err == nil:
		c.log.Info("group added", "group", g.ID, "account", id.User)
		c.back(w, r, "/groups/"+idText(g.ID), "The group was added. Now say which screens are in it.")
	case v.Errors.group(err):
		c.showGroups(w, r, http.StatusUnprocessableEntity, id, v)
	default:
		c.failed(w, r, err)
	}
}

// findGroup returns the group the path names; false when it was answered that there is none.
func (c *console) findGroup(w http.ResponseWriter, r *http.Request) (signage.Group, bool) {
	return named(c, w, r, c.signage.Group)
}

func (c *console) groupPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	g, ok := c.findGroup(w, r)
	if !ok {
		return
	}
	c.showGroup(w, r, http.StatusOK, id, g, g, nil, nil)
}

// showGroup shows the form of a group; typed is what somebody made of it, members who is ticked, nil for who is in it.
func (c *console) showGroup(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, g, typed signage.Group, members []int64, wrong fieldErrors) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v := groupView{ID: g.ID, Title: g.Name, Name: typed.Name, Errors: wrong, Playlists: playlistChoices(s.playlists, typed.Playlist, "none: the default one")}
	for _, p := range s.players {
		m := choice{Value: idText(p.ID), Text: p.Name, Chosen: p.Group == g.ID}
		if members != nil {
			m.Chosen = slices.Contains(members, p.ID)
		}
		if other := s.group(p.Group); other != "" && p.Group != g.ID {
			m.Text += " (now in " + other + ")"
		}
		v.Members = append(v.Members, m)
	}
	c.render(w, r, status, "group", page{Title: g.Name, User: id, Body: v})
}

// editGroup takes a group's name, playlist and members.
func (c *console) editGroup(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	g, ok := c.findGroup(w, r)
	if !ok || !c.form(w, r) {
		return
	}
	typed, wrong := g, fieldErrors{}
	typed.Name = strings.TrimSpace(r.PostFormValue("name"))
	var err error
	if typed.Playlist, err = strconv.ParseInt(r.PostFormValue("playlist"), 10, 64); err != nil {
		wrong["playlist"] = "choose one of the list"
	}
	members := append([]int64{}, tickedIDs(r.PostForm["screen"])...)
	if len(wrong) == 0 {
		if err := c.signage.UpdateGroup(r.Context(), typed); !wrong.group(err) {
			c.signageFailed(w, r, err)
			return
		}
	}
	if len(wrong) > 0 {
		c.showGroup(w, r, http.StatusUnprocessableEntity, id, g, typed, members, wrong)
		return
	}
	if err := c.setMembers(r, g.ID, members); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("group changed", "group", g.ID, "screens", len(members), "playlist", typed.Playlist, "account", id.User)
	c.back(w, r, "/groups", typed.Name+" was saved.")
}

// setMembers puts screens into a group, and takes the others out of it.
func (c *console) setMembers(r *http.Request, group int64, members []int64) error {
	all, err := c.signage.Players(r.Context())
	if err != nil {
		return err
	}
	for _, p := range all {
		in := slices.Contains(members, p.ID)
		if in == (p.Group == group) {
			continue
		}
		p.Group = 0
		if in {
			p.Group = group
		}
		if err := c.signage.UpdatePlayer(r.Context(), p); err != nil {
			return err
		}
	}
	return nil
}

func (c *console) dropGroup(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	g, ok := c.findGroup(w, r)
	if !ok {
		return
	}
	if err := c.signage.DeleteGroup(r.Context(), g.ID); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("group deleted", "group", g.ID, "account", id.User)
	c.back(w, r, "/groups", "The group "+g.Name+" was deleted; its screens stay.")
}
