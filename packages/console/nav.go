package main

import (
	"net/http"
	"strings"

	"porthole/packages/internal/identity"
)

// navItem is a link of the navigation.
type navItem struct {
	Path, Text string
	// Exact says that it leads to the page one is on, Here that it leads to the part of the site one is in.
	Exact, Here bool
	// Hint says what is there, for the page that lists the settings.
	Hint string
}

// is marks the item when the path is its own or below it or below one of more.
func (n navItem) is(path string, more ...string) navItem {
	n.Exact = path == n.Path
	n.Here = n.Exact
	for _, p := range append(more, n.Path) {
		n.Here = n.Here || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/") && p != "/" || path == p
	}
	return n
}

// settingsPages are all pages of settings, with what one finds there.
var settingsPages = []navItem{
	{Path: "/screen", Text: "This screen", Hint: "What this device’s own screen plays, from where, when it is on; temperature and power."},
	{Path: "/settings/signage", Text: "Signage", Hint: "Time zone, what screens show when nothing is planned, how players may come."},
	{Path: "/settings/people", Text: "People", Hint: "Who may log in, and what they may do."},
	{Path: "/settings/audit", Text: "Audit log", Hint: "Who changed what and when, and who logged in."},
	{Path: "/settings/proxy", Text: "Proxy", Hint: "The public name, who may connect, the ports, the accounts for cameras."},
	{Path: "/settings/live", Text: "Live view", Hint: "How browsers outside reach the cameras, and how many at once."},
	{Path: "/sessions", Text: "Sessions", Hint: "Who watches a camera now."},
	{Path: "/rtsp-log", Text: "RTSP log", Hint: "What cameras, Alexa and players said to each other."},
	{Path: "/certificate", Text: "Certificate", Hint: "Which certificate is in service, and how to end browsers’ warnings."},
	{Path: "/settings/updates", Text: "Updates", Hint: "Which version runs, install another one, what became of former updates."},
	{Path: "/settings/transfer", Text: "Transfer", Hint: "Everything of the signage in one file: take it away, bring it back."},
	{Path: "/settings/import", Text: "Import", Hint: "Take over the cameras of an AlexaCamProxy4P3, or the settings of a signage player."},
	{Path: "/settings/reset", Text: "Factory reset", Hint: "Delete everything and begin anew, as with a new device."},
}

// navigation returns the links that somebody may follow, and below them those of the settings where one is in them.
func navigation(id identity.Identity, here string) (top, sub []navItem) {
	if id.User == "" {
		return nil, nil
	}
	top = []navItem{navItem{Path: "/", Text: "Home"}.is(here, "/camera", "/settings/cameras"), {Path: "/live", Text: "Live"}}
	if isEditor(id) {
		top = append(top,
			navItem{Path: "/media", Text: "Media"}.is(here),
			navItem{Path: "/playlists", Text: "Playlists"}.is(here),
			navItem{Path: "/schedule", Text: "Schedule"}.is(here, "/interrupt"),
			navItem{Path: "/screens", Text: "Screens"}.is(here, "/groups"))
	}
	if !isAdmin(id) {
		return append(top, navItem{Path: "/certificate", Text: "Certificate"}.is(here)), nil
	}
	settings := navItem{Path: "/settings", Text: "Settings"}
	settings.Exact = here == settings.Path
	for _, p := range settingsPages {
		more := []string(nil)
		if p.Path == "/certificate" {
			more = []string{"/settings/certificate"}
		}
		p = p.is(here, more...)
		settings.Here = settings.Here || p.Here
		sub = append(sub, p)
	}
	settings.Here = settings.Here || settings.Exact
	top = append(top, settings)
	if !settings.Here || settings.Exact {
		sub = nil
	}
	return top, sub
}

// isEditor reports whether somebody may change what screens show.
func isEditor(id identity.Identity) bool {
	return may(id.Role, editor)
}

// settingsPage lists the pages of settings.
func (c *console) settingsPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.render(w, r, http.StatusOK, "settings", page{Title: "Settings", User: id, Body: settingsPages})
}
