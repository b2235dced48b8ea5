package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
)

// What signaling-status.sock says (docs/architecture.md), as far as the pages show it.
type (
	viewerList struct {
		Viewers []viewerStatus    `json:"viewers"`
		Refused map[string]uint64 `json:"refused"`
		Ended   map[string]uint64 `json:"ended"`
		Limits  struct {
			PerCamera int `json:"per_camera"`
			Total     int `json:"total"`
		} `json:"limits"`
	}
	viewerStatus struct {
		ID         string    `json:"id"`
		Stream     string    `json:"stream"`
		User       string    `json:"user"`
		Remote     string    `json:"remote"`
		Agent      string    `json:"agent"`
		By         string    `json:"by"`
		Since      time.Time `json:"since"`
		Connected  float64   `json:"connected_s"`
		FirstFrame float64   `json:"first_frame_s"`
		Candidates *struct {
			Local    string `json:"local"`
			Remote   string `json:"remote"`
			Protocol string `json:"protocol"`
			Address  string `json:"address"`
		} `json:"candidates"`
		RTT        float64 `json:"rtt_s"`
		Loss       float64 `json:"loss"`
		Bytes      uint64  `json:"sent_bytes"`
		Kbit       float64 `json:"kbit_per_s"`
		Dropped    uint64  `json:"dropped_frames"`
		Transcoded bool    `json:"transcoded"`
	}
)

// viewerRow is a browser that watches.
type viewerRow struct {
	ID, Stream, Name, Camera    string
	Peer, Agent, Login, Way     string
	When, First, Rate, Net, Bad string
}

func newViewerRow(s viewerStatus, cameras []settings.Camera) viewerRow {
	row := viewerRow{
		ID: s.ID, Stream: s.Stream, Name: streamName(s.Stream, cameras), Peer: s.Remote, Agent: browserName(printable(s.Agent)),
		Login: s.User, Way: viewerWay(s), When: durationText(time.Since(s.Since)), First: "–", Rate: "–", Net: "–", Bad: "–",
	}
	if row.Peer == "" {
		row.Peer = "this device"
	}
	if camera, _, _ := strings.Cut(s.Stream, "/"); slices.ContainsFunc(cameras, func(c settings.Camera) bool { return c.ID == camera }) {
		row.Camera = camera
	}
	if s.FirstFrame > 0 {
		row.First = millis(s.FirstFrame)
	}
	if s.Kbit > 0 {
		row.Rate = fmt.Sprintf("%.0f kbit/s", s.Kbit)
	}
	if s.RTT > 0 {
		row.Net = millis(s.RTT)
	}
	var bad []string
	if s.Loss > 0 {
		bad = append(bad, fmt.Sprintf("%.1f %% lost", s.Loss*100))
	}
	if s.Dropped > 0 {
		bad = append(bad, fmt.Sprintf("%d pictures left out", s.Dropped))
	}
	if len(bad) > 0 {
		row.Bad = strings.Join(bad, ", ")
	}
	return row
}

func millis(seconds float64) string {
	if seconds < 0.001 {
		return "under 1 ms"
	}
	return fmt.Sprintf("%.0f ms", seconds*1000)
}

// candidateTexts are the types of RFC 8445 section 5.1.1 for people.
var candidateTexts = map[string]string{"host": "directly", "srflx": "through the router", "prflx": "through the router", "relay": "through a relay"}

// viewerWay is the way that media takes to the browser.
func viewerWay(s viewerStatus) string {
	if s.Candidates == nil {
		return "connecting"
	}
	how := candidateTexts[s.Candidates.Remote]
	if s.Candidates.Local == "relay" {
		how = candidateTexts["relay"]
	}
	way := strings.TrimSpace(strings.ToUpper(s.Candidates.Protocol) + " " + how)
	if s.Transcoded {
		way += ", converted"
	}
	return way
}

// browserName shortens what browsers call themselves to what people call them.
func browserName(agent string) string {
	for _, b := range []struct{ token, name string }{
		{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Silk/", "Silk"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	} {
		if _, version, ok := strings.Cut(agent, b.token); ok {
			version, _, _ = strings.Cut(version, ".")
			version, _, _ = strings.Cut(version, " ")
			if b.name == "Safari" {
				return b.name
			}
			return b.name + " " + version
		}
	}
	return agent
}

// endViewer sends a browser away; the status is 404 when it is gone already.
func (b *backends) endViewer(ctx context.Context, id string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	defer b.viewers.forget()
	return b.signaling.Call(ctx, http.MethodDelete, "/viewers/"+url.PathEscape(id), nil, nil)
}

func (c *console) endViewer(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	status, err := c.backends.endViewer(r.Context(), r.PathValue("viewer"))
	switch {
	case status == http.StatusNotFound:
		c.back(w, r, "/sessions", "That live view had ended already.")
	case err != nil:
		c.log.Warn("ending a live view failed", "err", err)
		c.back(w, r, "/sessions", "The live view could not be ended: signaling did not do it. Try again in a moment.")
	default:
		c.log.Info("live view ended", "viewer", r.PathValue("viewer"), "account", id.User)
		c.back(w, r, "/sessions", "The live view was ended. Whoever watched can come back as long as they are logged in.")
	}
}
