package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// fewScreens are seen at a glance: no filter is needed. More than maxTiles are not shown at once.
const fewScreens, maxTiles = 6, 120

// screensView is the page of all screens.
type screensView struct {
	Admin    bool
	Count    string
	Away     string
	Cards    []screenTile
	Knocks   []knock
	Fragment string
	// Filtered says that there is a filter, Narrowed that it leaves something out, Alone that there is no screen but the
	// device's own.
	Filtered, Narrowed, Alone bool
	// More is how many are not shown.
	More           int
	Query          string
	Groups, States []choice
	// Showable says that there is something to show, and somewhere.
	Showable                           bool
	Playlists, ShowGroups, ShowScreens []choice
	ShowError                          string
}

type screenTile struct {
	ID                 int64
	Name, Now, Version string
	Detail, NoPicture  string
	State              state
	Knocks             []knock
	Identifies         bool
}

func idText(id int64) string { return strconv.FormatInt(id, 10) }

// screensPage shows all screens, or its changing part.
func (c *console) screensPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showScreens(w, r, http.StatusOK, id, showForm{})
}

// showForm is the form that shows a playlist on many, as it was sent.
type showForm struct {
	playlist        int64
	groups, screens []int64
	wrong           string
}

func (c *console) showScreens(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, form showForm) {
	s, err := c.readScreens(r.Context(), r.Host)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	s.forAdmin = isAdmin(id)
	v := screensView{Admin: s.forAdmin, Away: s.away, Knocks: s.strangers(), ShowError: form.wrong, Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	group, _ := strconv.ParseInt(r.URL.Query().Get("group"), 10, 64)
	wanted := r.URL.Query().Get("state")
	for _, p := range s.players {
		if v.Query != "" && !hasText(p, v.Query) || group != 0 && p.Group != group || !s.matches(p, wanted) {
			v.Narrowed = true
			continue
		}
		if len(v.Cards) == maxTiles {
			v.More++
			continue
		}
		tile, err := c.tile(r, s, p)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		v.Cards = append(v.Cards, tile)
	}
	v.Alone = v.Admin && !slices.ContainsFunc(s.players, func(p signage.Player) bool { return !p.Own })
	v.Filtered = len(s.players) > fewScreens || v.Narrowed
	v.Groups = groupChoices(s.groups, group)[1:]
	for _, o := range []choice{{Value: "", Text: "any"}, {Value: "trouble", Text: "with problems"}, {Value: "online", Text: "online"}} {
		o.Chosen = o.Value == wanted
		v.States = append(v.States, o)
	}
	v.Count = s.summary()
	v.Fragment = "/fragments/screens"
	if r.URL.RawQuery != "" {
		v.Fragment += "?" + r.URL.Query().Encode()
	}
	if isFragment(r) {
		c.renderPart(w, r, "screens", "screens", v)
		return
	}
	s.showOn(&v, form)
	c.render(w, r, status, "screens", page{Title: "Screens", User: id, Body: v})
}

// showOn fills in the form that shows a playlist on many.
func (s *screens) showOn(v *screensView, form showForm) {
	v.Showable = len(s.players) > 0
	v.Playlists = playlistChoices(s.playlists, form.playlist, "none: take away what they have of their own")
	for _, g := range s.groups {
		n := countText(g.Players, "screen", "screens")
		v.ShowGroups = append(v.ShowGroups, choice{Value: idText(g.ID), Text: g.Name + " (" + n + ")", Chosen: slices.Contains(form.groups, g.ID)})
	}
	for _, p := range s.players {
		v.ShowScreens = append(v.ShowScreens, choice{Value: idText(p.ID), Text: p.Name, Chosen: slices.Contains(form.screens, p.ID)})
	}
}

func (s *screens) summary() string {
	total, troubled, online := s.count()
	text := fmt.Sprintf("%s, %d online", countText(total, "screen", "screens"), online)
	if troubled > 0 {
		text += fmt.Sprintf(", %d to look after", troubled)
	}
	return text
}

// hasText reports whether a screen has the text in its name, hostname or address.
func hasText(p signage.Player, text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{p.Name, p.Hostname, p.Address}, func(s string) bool { return strings.Contains(strings.ToLower(s), text) })
}

func (s *screens) matches(p signage.Player, wanted string) bool {
	switch wanted {
	case "trouble":
		return s.troubled(p)
	case "online":
		return s.state(p).Tone == toneGood
	}
	return true
}

func (c *console) tile(r *http.Request, s *screens, p signage.Player) (screenTile, error) {
	prog, err := c.signage.Program(r.Context(), p.ID, s.now)
	if err != nil && !errors.Is(err, signage.ErrNotFound) {
		return screenTile{}, err
	}
	v := s.showing(p, prog)
	t := screenTile{ID: p.ID, Name: p.Name, Now: v.What, Version: s.version(p, v), State: s.state(p), Knocks: s.knocksOf(p)}
	if says := s.says(p); says != "" {
		t.Now = says + ". " + t.Now
	}
	t.NoPicture = noPicture(p, s)
	t.Identifies = c.identifies(p)
	var detail []string
	if g := s.group(p.Group); g != "" {
		detail = append(detail, "Group "+g)
	}
	if !p.Own && !p.LastSeen.IsZero() {
		detail = append(detail, "last seen "+s.ago(p.LastSeen))
	}
	if p.Agent != "" {
		detail = append(detail, printable(p.Agent))
	}
	t.Detail = strings.Join(detail, " · ")
	if t.Detail != "" {
		t.Detail = strings.ToUpper(t.Detail[:1]) + t.Detail[1:]
	}
	return t, nil
}

// noPicture says why there is no picture of a screen.
func noPicture(p signage.Player, s *screens) string {
	switch {
	case p.Own && s.ownErr != nil:
		return "player does not answer"
	case p.LastSeen.IsZero() && !p.Own:
		return "Never seen"
	case p.Own:
		return "No picture now"
	}
	return "Sends no pictures of its screen"
}

// screenPicture hands on the last picture of a screen and asks for the next one: somebody looks.
func (c *console) screenPicture(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok {
		return
	}
	if p.Own {
		c.screenShot(w, r, id)
		return
	}
	b, at := c.players.Screenshot(p.ID)
	if c.identifies(p) {
		c.players.WantScreenshot(p.ID)
	}
	if b == nil {
		// Most players send none: that is no error.
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Last-Modified", at.UTC().Format(http.TimeFormat))
	w.Write(b)
}

// askPicture asks a screen for a picture and says when it comes.
func (c *console) askPicture(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	p, ok := c.findScreen(w, r)
	if !ok {
		return
	}
	text := "This is the screen now."
	if !p.Own {
		c.players.WantScreenshot(p.ID)
		text = p.Name + " was asked for a picture. It stands here as soon as it comes."
	}
	c.log.Info("picture of a screen wanted", "screen", p.ID, "account", id.User)
	c.back(w, r, "/screens/"+idText(p.ID), text)
}

// showOnMany gives a playlist to groups and screens.
func (c *console) showOnMany(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	form := showForm{groups: tickedIDs(r.PostForm["group"]), screens: tickedIDs(r.PostForm["screen"])}
	form.playlist, _ = strconv.ParseInt(r.PostFormValue("playlist"), 10, 64)
	if len(form.groups)+len(form.screens) == 0 {
		form.wrong = "Tick at least one group or screen."
		c.showScreens(w, r, http.StatusUnprocessableEntity, id, form)
		return
	}
	name := ""
	if form.playlist != 0 {
		p, err := c.signage.Playlist(r.Context(), form.playlist)
		if err != nil {
			c.signageFailed(w, r, err)
			return
		}
		name = p.Name
	}
	kept, err := c.assign(r, form)
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("playlist shown on many", "playlist", form.playlist, "groups", len(form.groups), "screens", len(form.screens), "account", id.User)
	text := "Their own playlists were taken away."
	if name != "" {
		text = name + " is shown there from now on."
	}
	if len(kept) > 0 {
		text += " These have a playlist of their own, which goes before their group’s: " + strings.Join(kept, ", ") + "."
	}
	c.back(w, r, "/screens", text)
}

// assign gives the playlist away, and returns the screens in the groups that keep one of their own.
func (c *console) assign(r *http.Request, form showForm) (kept []string, err error) {
	for _, id := range form.groups {
		g, err := c.signage.Group(r.Context(), id)
		if err != nil {
			return nil, err
		}
		g.Playlist = form.playlist
		if err := c.signage.UpdateGroup(r.Context(), g); err != nil {
			return nil, err
		}
	}
	for _, id := range form.screens {
		p, err := c.signage.Player(r.Context(), id)
		if err != nil {
			return nil, err
		}
		p.Playlist = form.playlist
		if err := c.signage.UpdatePlayer(r.Context(), p); err != nil {
			return nil, err
		}
	}
	all, err := c.signage.Players(r.Context())
	for _, p := range all {
		if slices.Contains(form.groups, p.Group) && p.Playlist != 0 && p.Playlist != form.playlist && !slices.Contains(form.screens, p.ID) {
			kept = append(kept, p.Name)
		}
	}
	return kept, err
}

// tickedIDs reads the ids of ticked boxes; what is none is left out.
func tickedIDs(values []string) []int64 {
	var list []int64
	for _, v := range values {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 0 {
			list = append(list, n)
		}
	}
	return list
}

// findScreen returns the screen the path names; false when it was answered that there is none.
func (c *console) findScreen(w http.ResponseWriter, r *http.Request) (signage.Player, bool) {
	return named(c, w, r, c.signage.Player)
}

// identifyFor is how long a screen shows its name.
const identifyFor = 30 * time.Second
