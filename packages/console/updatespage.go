package main

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"time"

	"porthole/packages/console/updates"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/update"
)

// updatesView is the page of updates.
type updatesView struct {
	// Away says why nothing is known, Unsupported why there are no updates here.
	Away, Unsupported string
	// Runs is what runs, as it says itself; OurVersion that of the process that made this page.
	Version, Board, Built, Slot, Support string
	// Other is the former version that can be started again.
	Other string

	// Phase is update's; Busy says that there is nothing to choose now, Sending that somebody sends it.
	Phase         string
	Busy, Sending bool
	Target, Who   string
	// Title and Text say how far it is, Tone in which colour.
	Title, Text, Tone string
	Steps             []updateStep
	Checks            []checkRow
	// Ready asks whether to restart; ByItself says that it happens without being asked.
	Ready, ByItself, MayCancel bool
	Fetch                      *updates.Fetch
	Fetched                    string
	History                    []eventRow

	// What was typed, and what is wrong with it.
	URL                string
	Downgrade, Install bool
	Older              bool
	Error, URLError    string
}

// updateStep is a line of what has to be done.
type updateStep struct {
	// Key names it for the page's script.
	Key, Name, Text string
	State           state
	Done, All       int64
}

type checkRow struct {
	Name, Text string
	State      state
}

// eventRow is what became of a former update.
type eventRow struct {
	Key, At, From, To string
	State             state
	Text, Detail, Who string
}

// boardNames are the families of boards for people.
var boardNames = map[string]string{"pi": "Raspberry Pi", "vm": "virtual machine"}

func boardText(board string) string { return cmp.Or(boardNames[board], printable(board)) }

// timeText is a time to the minute.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 January 2006, 15:04") + " UTC"
}

func (c *console) updatesPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showUpdates(w, r, http.StatusOK, id, updatesView{})
}

// showUpdates shows the page with what was typed.
func (c *console) showUpdates(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, v updatesView) {
	v.Support = update.SupportEnds
	if day, err := time.Parse(time.DateOnly, update.SupportEnds); err == nil {
		v.Support = dayText(day)
	}
	u, err := c.updates.View(r.Context())
	var p *updates.Problem
	switch {
	case errors.As(err, &p):
		v.Away, v.Version = p.Text, daemon.Version()
	case err != nil:
		c.failed(w, r, err)
		return
	default:
		v.fill(u)
	}
	if isFragment(r) {
		c.renderPart(w, r, "updates", "updates", v)
		return
	}
	c.render(w, r, status, "updates", page{Title: "Updates", User: id, Body: v})
}

// fill says what system says.
func (v *updatesView) fill(u updates.View) {
	v.Version, v.Board, v.Built, v.Slot = printable(u.Version), boardText(u.Board), timeText(u.Built), u.Slot
	v.Phase, v.Target, v.Who = string(u.Phase), printable(u.Target), u.Who
	v.Fetch, v.Sending, v.ByItself = u.Fetch, u.Sending, u.InstallWhenReady
	if v.Fetch != nil && v.Fetch.Error != "" && v.URL == "" {
		v.URL = v.Fetch.URL
	}
	if v.Fetch != nil {
		v.Fetched = hostOf(v.Fetch.URL)
	}
	for _, e := range u.History {
		v.History = append(v.History, newEventRow(e))
	}
	if !u.Supported {
		v.Unsupported = cmp.Or(u.Why, "This machine is not a device: updates are written to a card that has room for two versions.")
		return
	}
	v.Other = printable(u.Other)
	v.phase(u)
	v.Steps = updateSteps(u)
	if u.Phase == update.Trying {
		for _, ch := range u.Checks {
			row := checkRow{Name: printable(ch.Name), Text: printable(ch.Text), State: state{"not yet", toneBusy}}
			if ch.OK {
				row.State = state{"ok", toneGood}
			}
			v.Checks = append(v.Checks, row)
		}
	}
	v.Busy = v.Busy || u.Fetch != nil && u.Fetch.Running
	v.MayCancel = u.Phase == update.Receiving || u.Phase == update.Ready || u.Fetch != nil && u.Fetch.Running
	if u.Phase != update.Idle && u.Phase != update.Kept && u.Phase != update.Failed && u.Phase != update.RolledBack && u.Phase != update.Receiving {
		v.Other = "" // it is what is being replaced
	}
}

// phase says how far it is.
func (v *updatesView) phase(u updates.View) {
	v.Tone = ""
	switch u.Phase {
	case update.Receiving:
		v.Busy = u.Sending
		v.Title = v.Target + " is being written beside " + v.Version
		v.Text = "What runs is not touched by it."
		if !u.Sending && needs(u.Status) {
			v.Tone = "warn"
			v.Title = v.Target + " has not arrived whole"
			v.Text = "Nobody sends it now. Choose the same file again, and it goes on: parts that have arrived are kept."
		}
	case update.Ready:
		v.Busy, v.Ready = true, !v.ByItself
		v.Title = v.Target + " is ready"
		v.Text = "It lies beside " + v.Version + " and was read back from the card. Nothing boots it yet."
	case update.Restarting:
		v.Busy = true
		v.Title = "The device restarts into " + v.Target
		v.Text = "This page comes back by itself, in a minute or two. If the new version does not come up, the device goes back to " + v.Version + " on its own."
		if u.Try > 1 && u.MaxTries > 0 {
			v.Title += ", try " + strconv.Itoa(u.Try) + " of " + strconv.Itoa(u.MaxTries)
		}
	case update.Trying:
		v.Busy = true
		v.Title = v.Target + " runs and is being watched"
		v.Text = tryingText(u.Status)
	case update.Kept:
		v.Tone, v.Title, v.Text = "good", v.Target+" is installed", "It proved itself and stays."
	case update.RolledBack:
		v.Tone, v.Title, v.Text = "bad", v.Target+" was tried, and "+v.Version+" runs again", printable(u.Reason)
	case update.Failed:
		v.Tone, v.Title, v.Text = "bad", v.Target+" was not installed", printable(u.Reason)
		if v.Target == "" {
			v.Title = "The update was not installed"
		}
	case update.Idle:
	}
}

// needs reports whether a part has to be sent yet.
func needs(s update.Status) bool {
	for _, p := range s.Parts {
		if p.Step == update.Waiting || p.Step == update.Writing {
			return true
		}
	}
	return false
}

func tryingText(s update.Status) string {
	text := "Everything has to be well for " + spanText(s.HealthyNeeded) + " without a break; it has been for " + spanText(s.HealthyFor) + "."
	if s.Left > 0 {
		text += " If that is not so in " + spanText(s.Left) + ", the device goes back."
	}
	return text
}

// spanText says a number of seconds.
func spanText(s float64) string { return durationText(time.Duration(s * float64(time.Second))) }

// partNames are the parts for people.
var partNames = map[string]string{update.PartBoot: "Kernel and device files", update.PartRoot: "Programs"}

// updateSteps are all steps, in their order; none when nothing goes on.
func updateSteps(u updates.View) []updateStep {
	rank := map[update.Phase]int{update.Receiving: 1, update.Ready: 2, update.Restarting: 3, update.Trying: 4, update.Kept: 5}[u.Phase]
	if rank == 0 || rank == 5 {
		return nil
	}
	done, now, later := state{"done", toneGood}, state{"now", toneBusy}, state{"waits", toneMuted}
	list := []updateStep{{Key: "verify", Name: "Signature", Text: "It is from who makes Porthole for this device.", State: done}}
	for _, p := range u.Parts {
		list = append(list, partStep(p, rank))
	}
	at := func(n int) state {
		switch {
		case rank > n:
			return done
		case rank == n:
			return now
		}
		return later
	}
	restart, try := at(3), at(4)
	list = append(list,
		updateStep{Key: "restart", Name: "Restart", Text: "The screens go dark, cameras and this page are away meanwhile.", State: restart},
		updateStep{Key: "try", Name: "Try", Text: "Every process runs, the screen shows pictures, the network and this page answer.", State: try},
		updateStep{Key: "keep", Name: "Keep", Text: "Or go back to what ran before.", State: later})
	if u.Phase == update.Trying && u.HealthyNeeded > 0 {
		s := &list[len(list)-2]
		s.Done, s.All = int64(u.HealthyFor*10), int64(u.HealthyNeeded*10)
	}
	return list
}

// partStep says how far a part is.
func partStep(p update.Part, rank int) updateStep {
	s := updateStep{Key: "part-" + p.Name, Name: cmp.Or(partNames[p.Name], p.Name), State: state{"now", toneBusy}, Done: p.Done, All: p.Size}
	size := sizeText(p.Size)
	switch {
	case p.Step == update.Done || rank > 1:
		s.State, s.Text, s.Done, s.All = state{"done", toneGood}, size+", written and read back.", 0, 0
	case p.Step == update.Waiting:
		s.State, s.Text, s.Done, s.All = state{"waits", toneMuted}, size+" to write.", 0, 0
	case p.Step == update.Copying:
		s.Text = "The device has it already: it copies " + sizeText(p.Done) + " of " + size + "."
	case p.Step == update.Writing:
		s.Text = "Written: " + sizeText(p.Done) + " of " + size + "."
	case p.Step == update.ReadBack:
		s.Text = "Read back from the card: " + sizeText(p.Done) + " of " + size + "."
	}
	return s
}

func newEventRow(e update.Event) eventRow {
	row := eventRow{
		Key: strconv.FormatInt(e.At.UnixMilli(), 10) + e.To, At: timeText(e.At), From: printable(e.From), To: printable(e.To),
		Text: printable(e.Reason), Detail: printableLines(e.Detail), Who: printable(e.Who),
	}
	switch e.What {
	case update.Kept:
		row.State = state{"kept", toneGood}
	case update.RolledBack:
		row.State = state{"rolled back", toneBad}
	default:
		row.State = state{"failed", toneBad}
	}
	if e.Tries > 1 {
		row.Text += " It was started " + strconv.Itoa(e.Tries) + " times."
	}
	return row
}
