package main

import (
	_ "embed"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/program"
)

// zoneNames are the places in the time zone database's zone.tab (IANA, public domain), and UTC: others work too.
//
//go:embed zones.txt
var zoneNames string

// signageView is the page of what holds for all screens, as it was typed.
type signageView struct {
	Timezone, Origins, Clock string
	Zones                    []string
	Playlists                []choice
	Errors                   fieldErrors
}

func (c *console) signagePage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	var v signageView
	var err error
	var origins []string
	if v.Timezone, err = c.signage.Timezone(r.Context()); err == nil {
		origins, err = c.signage.Origins(r.Context())
	}
	var base int64
	if err == nil {
		base, err = c.signage.DefaultPlaylist(r.Context())
	}
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.Origins = strings.Join(origins, "\n")
	c.showSignage(w, r, http.StatusOK, id, v, base)
}

func (c *console) showSignage(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v signageView, base int64) {
	lists, err := c.signage.Playlists(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	saved, err := c.signage.Timezone(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	zone, _ := program.Zone(saved)
	v.Clock = time.Now().In(zone).Format("Monday, 15:04")
	v.Zones = strings.Fields(zoneNames)
	v.Playlists = playlistChoices(lists, base, "none: such a screen shows its status")
	c.render(w, r, status, "signage", page{Title: "Signage", User: id, Body: v})
}

// saveSignage takes the form; everything that is wrong is said at once, and nothing of it is kept then.
func (c *console) saveSignage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	v := signageView{Timezone: strings.TrimSpace(r.PostFormValue("timezone")), Origins: r.PostFormValue("cors_origins"), Errors: fieldErrors{}}
	base, err := strconv.ParseInt(r.PostFormValue("default_playlist"), 10, 64)
	if err != nil {
		v.Errors["default_playlist"] = "choose one of the list"
	}
	if base != 0 && v.Errors["default_playlist"] == "" {
		switch _, err := c.signage.Playlist(r.Context(), base); {
		case errors.Is(err, signage.ErrNotFound):
			v.Errors["default_playlist"] = "it is not there any more; choose another"
		case err != nil:
			c.failed(w, r, err)
			return
		}
	}
	if _, ok := program.Zone(v.Timezone); !ok {
		v.Errors["timezone"] = "is not known; use a name like Europe/Bucharest, or UTC"
	}
	if len(v.Errors) == 0 {
		// What can be wrong with a list of origins is said before the rest is kept.
		for _, keep := range []func() error{
			func() error {
				return c.signage.SetOrigins(r.Context(), strings.Fields(strings.ReplaceAll(v.Origins, ",", " ")))
			},
			func() error { return c.signage.SetDefaultPlaylist(r.Context(), base) },
			func() error { return c.signage.SetTimezone(r.Context(), v.Timezone) },
		} {
			err := keep()
			if v.Errors.add(err); err != nil && len(v.Errors) == 0 {
				c.failed(w, r, err)
				return
			}
			if err != nil {
				break
			}
		}
	}
	if len(v.Errors) > 0 {
		c.showSignage(w, r, http.StatusUnprocessableEntity, id, v, base)
		return
	}
	c.log.Info("signage settings changed", "account", id.User, "timezone", v.Timezone, "default_playlist", base)
	c.back(w, r, "/settings/signage", "Saved. Screens follow.")
}
