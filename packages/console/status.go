package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/uptime"
)

// The tones a state is shown in; CSS classes.
const (
	toneGood  = "good"
	toneMuted = "muted"
	toneBusy  = "busy"
	toneBad   = "bad"
)

// homeView is the home page.
type homeView struct {
	Admin    bool
	Notices  []notice
	Cameras  []cameraCard
	Proxy    string // why there is nothing to say about cameras, or empty
	Screen   *screenCard
	Signage  *signageCard
	Process  []processRow
	System   string // why there is nothing to say about processes, or empty
	CA       *certificateView
	Hostname string
	Version  string
	Uptime   string
	StreamAs string
}

// state is a word and its colour.
type state struct{ Text, Tone string }

type cameraCard struct {
	ID, Name string
	State    state
	// Reason says why the camera is not live, in words for its owner.
	Reason string
	// Detail is codec and resolution, and how many watch.
	Detail string
	// Address is for RTSP clients, with the password; empty for who is no admin.
	Address copyLine
	Builtin bool
}

type processRow struct {
	Name          string
	State         state
	Since, Memory string
	Restarts      int
	Exit          string
}

// homeView gathers the page, asking everybody at once.
func (c *console) homeView(r *http.Request, id identity.Identity) (homeView, error) {
	ctx := r.Context()
	v := homeView{Admin: isAdmin(id), Version: daemon.Version(), Uptime: durationText(uptime.Now())}
	var proxy proxyStatus
	var processes []processStatus
	var screen playerStatus
	var problems problemList
	var proxyErr, processErr, screenErr error
	var wg sync.WaitGroup
	wg.Go(func() { proxy, proxyErr = c.backends.cameras.answer(ctx) })
	wg.Go(func() { processes, processErr = c.backends.processes.answer(ctx) })
	wg.Go(func() { v.CA = c.certificateFor(r) })
	if v.Admin {
		wg.Go(func() { screen, screenErr = c.backends.screen.answer(ctx) })
		// When system does not answer, the page says so below.
		wg.Go(func() { problems, _ = c.backends.problems.answer(ctx) })
	}
	wg.Wait()

	cameras, err := c.cameras(ctx, c.store.r)
	if err != nil {
		return v, err
	}
	stream, err := c.store.streamAccount(ctx, c.store.r)
	if err != nil {
		return v, err
	}
	if v.Hostname, err = setting(ctx, c.store.r, "hostname"); err != nil {
		return v, err
	}
	v.StreamAs = stream.user
	if v.Admin {
		if v.Notices, err = c.notices(ctx, v.CA, problems); err != nil {
			return v, err
		}
		own, err := playerSettings(ctx, c.store.r)
		if err != nil {
			return v, err
		}
		v.Screen = newScreenCard(screen, screenErr, own, cameras)
	}
	if may(id.Role, editor) {
		if v.Signage, err = c.signageCard(r); err != nil {
			return v, err
		}
	}
	if proxyErr != nil {
		v.Proxy = "proxy does not answer, so the state of the cameras is not known. It may be restarting; this page keeps asking."
	}
	if processErr != nil {
		v.System = "system does not answer. It may be restarting; this page keeps asking."
	}
	known := map[string]cameraStatus{}
	for _, s := range proxy.Cameras {
		known[s.ID] = s
	}
	for _, cam := range cameras {
		if !id.MaySee(cam.ID) {
			continue
		}
		s, ok := known[cam.ID]
		v.Cameras = append(v.Cameras, c.card(r, cam, s, ok, stream, v.Admin))
	}
	for _, p := range processes {
		v.Process = append(v.Process, row(p))
	}
	return v, nil
}

func (c *console) card(r *http.Request, cam settings.Camera, s cameraStatus, known bool, stream streamAccount, admin bool) cameraCard {
	card := cameraCard{ID: cam.ID, Name: cam.Name, Builtin: c.isBuiltin(cam.ID), State: state{"unknown", toneMuted}}
	if known {
		card.State = cameraState(s.State)
		card.Reason = printable(s.Error)
		card.Detail = cameraDetail(s)
		if s.State == "idle" && card.Reason != "" {
			card.Reason = "Last time: " + card.Reason
		}
	}
	if admin {
		card.Address = addresses(cam.ID, "", stream, r.Host, false)[0]
	}
	return card
}

// cameraState says a state of rtsp.CameraStatus in a user's words.
func cameraState(s string) state {
	switch s {
	case "live":
		return state{"live", toneGood}
	case "idle":
		return state{"idle", toneMuted}
	case "connecting":
		return state{"connecting", toneBusy}
	case "lost":
		return state{"offline", toneBad}
	}
	return state{s, toneMuted}
}

func cameraDetail(s cameraStatus) string {
	var parts []string
	for _, t := range s.Tracks {
		parts = append(parts, strings.TrimSpace(t.Codec+" "+t.Detail))
	}
	switch {
	case s.Readers == 1:
		parts = append(parts, "1 viewer")
	case s.Readers > 1:
		parts = append(parts, fmt.Sprintf("%d viewers", s.Readers))
	case s.State == "idle" && len(parts) == 0:
		parts = append(parts, "connects when somebody watches")
	}
	return strings.Join(parts, " · ")
}

func row(p processStatus) processRow {
	v := processRow{Name: p.Name, Restarts: p.Restarts, Memory: sizeText(p.RSSBytes), Since: "–"}
	switch p.State {
	case "running":
		v.State = state{p.State, toneGood}
	case "restarting":
		v.State = state{p.State, toneBusy}
	case "stopped":
		v.State = state{p.State, toneBad}
	default:
		v.State = state{p.State, toneMuted}
	}
	if p.State == "running" && !p.Started.IsZero() {
		v.Since = durationText(time.Since(p.Started))
	}
	if p.State != "running" && p.Exit != nil {
		v.Exit = printable(fmt.Sprint(p.Exit))
	}
	return v
}

// home and homeFragment show the same; the page replaces what changed from the fragment.
func (c *console) home(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, err := c.homeView(r, id)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.render(w, r, http.StatusOK, "home", page{Title: "Home", User: id, Body: v})
}

func (c *console) homeFragment(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v, err := c.homeView(r, id)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	c.renderPart(w, r, "home", "status", v)
}
