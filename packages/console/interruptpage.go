package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// interruptView is the page that interrupts screens.
type interruptView struct {
	What               string // "text", "playlist" or "medium"
	Medium             int64  // the picture or video that one came from, or 0
	MediumName         string
	Text               string
	Playlists, Targets []choice
	Ends               []choice
	At                 string
	Zone               string
	Errors             fieldErrors
}

// runningInterrupt is an interruption that is not over.
type runningInterrupt struct {
	ID                int64
	What, Whom, Until string
}

// interruptEnds are how long an interruption may last; "day" is the end of the day, "at" a time of day.
var interruptEnds = []choice{{Value: "5", Text: "5 minutes"}, {Value: "15", Text: "15 minutes"}, {Value: "60", Text: "1 hour"}, {Value: "day", Text: "until the end of the day"}, {Value: "at", Text: "until a time"}}

// running are the interruptions that are not over, for the page and the banner.
func (c *console) running(ctx context.Context, now time.Time) ([]runningInterrupt, error) {
	all, err := c.signage.Interrupts(ctx, now)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	f, err := c.scheduleFacts(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]runningInterrupt, 0, len(all))
	for _, i := range all {
		v := runningInterrupt{ID: i.ID, What: "“" + firstLine(i.Text) + "”", Whom: f.targetText(i.Target)}
		if i.Playlist != 0 {
			v.What = "the playlist “" + f.playlistName(i.Playlist) + "”"
		}
		ends := i.Ends.In(f.zone)
		v.Until = ends.Format("15:04")
		if f.dateOf(ends) != f.dateOf(now) {
			v.Until = ends.Format("Mon 2 Jan, 15:04")
		}
		list = append(list, v)
	}
	return list, nil
}

func (c *console) interruptPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v := interruptView{What: "text"}
	if n, err := strconv.ParseInt(r.URL.Query().Get("media"), 10, 64); err == nil {
		v.What, v.Medium = "medium", n
	}
	c.showInterrupt(w, r, http.StatusOK, id, v, "all", 0, "15")
}

func (c *console) showInterrupt(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v interruptView, target string, playlist int64, ends string) {
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	// The screens have only what was published.
	f.playlists = slices.DeleteFunc(f.playlists, func(p signage.Playlist) bool { return p.Version == 0 })
	v.Targets, v.Playlists, v.Zone = f.targetChoices(target), f.playlistChoices(playlist), f.zoneName
	if v.Medium != 0 {
		m, err := c.signage.Media(r.Context(), v.Medium)
		if err != nil {
			c.signageFailed(w, r, err)
			return
		}
		v.MediumName = m.Name
	}
	for _, e := range interruptEnds {
		e.Chosen = e.Value == ends
		v.Ends = append(v.Ends, e)
	}
	c.render(w, r, status, "interrupt", page{Title: "Interrupt now", User: id, Body: v})
}

// interruptEnd is when an interruption ends that begins now.
func (f scheduleFacts) interruptEnd(chosen, clock string, now time.Time) (time.Time, string) {
	local := now.In(f.zone)
	y, m, d := local.Date()
	switch chosen {
	case "day":
		return time.Date(y, m, d+1, 0, 0, 0, 0, f.zone), ""
	case "at":
		t, err := time.Parse("15:04", clock)
		if err != nil {
			return time.Time{}, "give a time like 17:30"
		}
		at := time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, f.zone)
		if !at.After(now) {
			at = time.Date(y, m, d+1, t.Hour(), t.Minute(), 0, 0, f.zone)
		}
		return at, ""
	}
	n, err := strconv.Atoi(chosen)
	if err != nil || n < 1 || n > 1440 {
		return time.Time{}, "choose when it ends"
	}
	return now.Add(time.Duration(n) * time.Minute), ""
}

func (c *console) interrupt(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	f, err := c.scheduleFacts(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	now := time.Now()
	v := interruptView{What: r.PostFormValue("what"), Text: r.PostFormValue("text"), At: r.PostFormValue("at"), Errors: fieldErrors{}}
	i := signage.Interrupt{Begins: now, By: id.User}
	playlist, _ := strconv.ParseInt(r.PostFormValue("playlist"), 10, 64)
	v.Medium, _ = strconv.ParseInt(r.PostFormValue("media"), 10, 64)
	switch v.What {
	case "medium":
		// Its playlist is made below, when nothing else is wrong.
	case "playlist":
		i.Playlist = playlist
		if p, ok := f.playlist(playlist); !ok {
			v.Errors["playlist"] = "choose the playlist to show"
		} else if p.Version == 0 || p.Items == 0 {
			v.Errors["playlist"] = "this playlist was never published, so the screens do not have it; publish it first"
		}
	default:
		v.What = "text"
		if i.Text = strings.TrimSpace(v.Text); i.Text == "" {
			v.Errors["text"] = "write what the screens are to show"
		}
	}
	var ok bool
	if i.Target, ok = targetOf(r.PostFormValue("target")); !ok {
		v.Errors["target"] = "choose all screens, one group or one screen"
	}
	var wrong string
	if i.Ends, wrong = f.interruptEnd(r.PostFormValue("ends"), v.At, now); wrong != "" {
		v.Errors["ends"] = wrong
	}
	if len(v.Errors) == 0 && v.What == "medium" {
		i.Playlist, err = c.playlistOfOne(r.Context(), f, v.Medium)
	}
	if len(v.Errors) == 0 && err == nil {
		i, err = c.signage.CreateInterrupt(r.Context(), i)
		v.Errors.add(err)
	}
	switch {
	case len(v.Errors) > 0:
		c.showInterrupt(w, r, http.StatusUnprocessableEntity, id, v, r.PostFormValue("target"), playlist, r.PostFormValue("ends"))
	case err != nil:
		c.signageFailed(w, r, err)
	default:
		c.log.Info("screens interrupted", "interrupt", i.ID, "until", i.Ends, "account", id.User)
		c.back(w, r, "/interrupt", fmt.Sprintf("It goes to %s now, until %s.", f.targetText(i.Target), i.Ends.In(f.zone).Format("15:04")))
	}
}

// playlistOfOne returns a published playlist with nothing but that medium; there is one of that name, or it is made.
func (c *console) playlistOfOne(ctx context.Context, f scheduleFacts, medium int64) (int64, error) {
	m, err := c.signage.Media(ctx, medium)
	if err != nil {
		return 0, err
	}
	name := "Only " + m.Name
	// A file's name may be longer than a playlist's, which needs room for a number too.
	if r := []rune(name); len(r) > 90 {
		name = strings.TrimSpace(string(r[:90]))
	}
	for _, p := range f.playlists {
		if p.Name != name || p.Version == 0 {
			continue
		}
		if live, err := c.signage.Items(ctx, p.ID, signage.Live); err != nil || len(live) == 1 && live[0].MediaID == medium {
			return p.ID, err
		}
	}
	p, err := c.newNumbered(ctx, name)
	if err != nil {
		return 0, err
	}
	if _, err := c.signage.AddItems(ctx, p.ID, 0, []signage.Item{{Kind: signage.ItemMedia, MediaID: medium}}); err != nil {
		return 0, err
	}
	_, err = c.signage.Publish(ctx, p.ID)
	return p.ID, err
}

func (c *console) endInterrupt(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	n, ok := c.pathID(w, r, "id")
	if !ok {
		return
	}
	if err := c.signage.EndInterrupt(r.Context(), n, time.Now()); err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("interruption ended", "interrupt", n, "account", id.User)
	c.back(w, r, "/interrupt", "It is over; the screens go on as planned.")
}
