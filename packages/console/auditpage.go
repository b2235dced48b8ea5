package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/identity"
)

// shownAudit is how many entries of the audit log a page shows; the download has all.
const shownAudit = 200

// auditAreas are the areas of the audit log in words.
var auditAreas = []struct{ area, text string }{
	{auditAccounts, "Accounts"}, {auditCertificates, "Certificates"}, {auditTrust, "Trust"}, {auditSettings, "Settings"}, {auditDevice, "Device"},
}

func areaText(area string) string {
	for _, a := range auditAreas {
		if a.area == area {
			return a.text
		}
	}
	return area
}

// auditView is the page of who did what.
type auditView struct {
	// Problems say whose part is missing.
	Problems []string
	Area     string
	Areas    []choice
	Entries  []auditRow
	Found    int
}

type auditRow struct{ At, Who, Remote, Area, What string }

// certificateEvents is what system did with certificates by itself (docs/architecture.md), the oldest first.
type certificateEvents struct {
	Events []struct {
		At          time.Time `json:"at"`
		Certificate string    `json:"certificate"`
		What        string    `json:"what"`
		Who         string    `json:"who"`
	} `json:"events"`
}

// wholeAudit is everybody's part of the audit log together, the newest first: console's own, what system did with
// certificates, and which servers the screen trusts. problems say whose part is missing.
func (c *console) wholeAudit(ctx context.Context, area string) (list []auditEntry, problems []string, err error) {
	var events certificateEvents
	var screen playerStatus
	var eventsErr, screenErr error
	var wg sync.WaitGroup
	if area == "" || area == auditCertificates {
		wg.Go(func() { events, eventsErr = c.backends.events.answer(ctx) })
	}
	if area == "" || area == auditTrust {
		wg.Go(func() { screen, screenErr = c.backends.screen.answer(ctx) })
	}
	wg.Wait()
	if list, err = c.store.auditLog(ctx, c.store.r, area, maxAudit); err != nil {
		return nil, nil, err
	}
	if eventsErr != nil {
		problems = append(problems, "system does not answer, so what it did with certificates is missing here. Load this page again in a moment.")
	}
	if screenErr != nil {
		problems = append(problems, "player does not answer, so what this device’s screen trusts is missing here. Load this page again in a moment.")
	}
	for _, e := range events.Events {
		list = append(list, auditEntry{At: e.At.UTC(), Who: e.Who, Area: auditCertificates, What: strings.TrimSpace(e.What + " (" + e.Certificate + ")")})
	}
	for _, d := range screen.Trust {
		list = append(list, auditEntry{At: d.Time.UTC(), Who: "player", Area: auditTrust, What: d.auditText()})
	}
	slices.SortStableFunc(list, func(a, b auditEntry) int { return b.At.Compare(a.At) })
	return list, problems, nil
}

// auditText is a decision as the audit log says it.
func (d trustDecision) auditText() string {
	text := d.Action + " " + d.Server
	if d.Detail != "" {
		text += ": " + d.Detail
	}
	if d.Fingerprint != "" {
		text += " SHA-256 " + d.Fingerprint
	}
	return text
}

func (c *console) auditPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	v := auditView{Area: r.FormValue("area")}
	list, problems, err := c.wholeAudit(r.Context(), v.Area)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	v.Problems, v.Found = problems, len(list)
	v.Areas = []choice{{"", "Everything", v.Area == ""}}
	for _, a := range auditAreas {
		v.Areas = append(v.Areas, choice{a.area, a.text, a.area == v.Area})
	}
	for _, e := range list[:min(len(list), shownAudit)] {
		v.Entries = append(v.Entries, auditRow{At: e.At.Format("2006-01-02 15:04:05"), Who: printable(e.Who), Remote: e.Remote, Area: areaText(e.Area), What: printable(e.What)})
	}
	c.render(w, r, http.StatusOK, "audit", page{Title: "Audit log", User: id, Body: v})
}

// auditText is the audit log as a file.
func (c *console) auditText(w http.ResponseWriter, r *http.Request, _ identity.Identity) {
	list, problems, err := c.wholeAudit(r.Context(), r.FormValue("area"))
	if err != nil {
		c.failed(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="audit-`+time.Now().UTC().Format("20060102-150405")+`.txt"`)
	for _, p := range problems {
		fmt.Fprintf(w, "# %s\n", p)
	}
	for _, e := range list {
		from := ""
		if e.Remote != "" {
			from = " from " + e.Remote
		}
		fmt.Fprintf(w, "%s [%s] %s%s: %s\n", e.At.Format(time.RFC3339), e.Area, printable(e.Who), from, printable(e.What))
	}
}
