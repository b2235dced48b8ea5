package main

import (
	"fmt"
	"strings"

	"porthole/packages/internal/settings"
)

// nowShown says what is on the screen.
func (f ownFacts) nowShown() ownNow {
	p := f.screen.Playback
	if f.away != nil {
		return ownNow{State: state{"player does not answer", toneBusy}}
	}
	v := ownNow{State: state{"playing", toneGood}, Skipped: f.rows(p.Skipped)}
	show := f.settings.Show
	switch {
	case f.screen.Power != nil && !f.screen.Power.On:
		v.State = state{"switched off for now", toneMuted}
	case show == settings.ShowStatus:
		v.State = state{"shows its status", toneMuted}
	case show == settings.ShowPicture || show == settings.ShowCamera:
		v.State = state{"shows a " + string(show), toneGood}
	case !p.Playing:
		v.State = state{"nothing to play", toneBusy}
		v.Lines = append(v.Lines, "The status screen is shown until there is something to play.")
	}
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, printable(value)})
		}
	}
	if p.Playing {
		add("Playlist", playlistWords(p))
		add("Until", f.at(p.Until))
	}
	if i := p.Item; i != nil {
		add("On the screen", itemWords(*i))
		add("Since", f.at(i.Since))
		add("Frames of it", frameWords(i.Presented, i.Dropped))
	}
	if p.Next != nil {
		add("Next", itemWords(*p.Next))
	}
	add("Frames in all", frameWords(f.screen.Presented, f.screen.Dropped))
	add("Changes", gapWords(p))
	if p.Restarts > 0 {
		add("Begun anew", strings.TrimSuffix(count(p.Restarts, "time")+": "+p.LastRestart, ": "))
	}
	return v
}

func playlistWords(p playbackStatus) string {
	text := p.PlaylistName
	if text == "" {
		text = "without a name"
	}
	switch {
	case p.Interrupt != 0:
		text += ", an interruption"
	case p.Rule != 0:
		text += ", planned"
	}
	return text
}

func itemWords(i itemStatus) string {
	if i.Name == "" {
		return i.Kind
	}
	return i.Name + " (" + i.Kind + ")"
}

func frameWords(presented, dropped uint64) string {
	switch {
	case presented == 0 && dropped == 0:
		return ""
	case dropped == 0:
		return fmt.Sprintf("%d, none dropped", presented)
	}
	return fmt.Sprintf("%d, %d dropped", presented, dropped)
}

// gapWords say how the changes from one item to the next went.
func gapWords(p playbackStatus) string {
	g := p.Gaps
	switch {
	case g.Changes == 0:
		return ""
	case g.Late == 0:
		return count(g.Changes, "change") + ", none late"
	}
	return fmt.Sprintf("%s, %d late, by %s at most", count(g.Changes, "change"), g.Late, refreshes(g.Max))
}

func refreshes(n uint64) string {
	if n == 1 {
		return "1 refresh"
	}
	return fmt.Sprintf("%d refreshes", n)
}

// link says how it goes with the server.
func (f ownFacts) link() ownLink {
	l := f.screen.Link
	v := ownLink{Problem: printable(l.Problem), Step: printable(l.Step), Code: printable(l.PairingCode), URI: printable(l.PairingURI)}
	server := f.settings.Server
	switch {
	case server == "":
		v.To = "This device’s own server: what Media, Playlists and Schedule say."
	case l.Kind == "digiserver":
		v.To = "A DigiServer, " + server
	case l.Kind == "porthole":
		v.To = "Another Porthole, " + server
	default:
		v.To = server
	}
	switch {
	case f.away != nil:
		v.State = state{"not known", toneMuted}
		return v
	case v.Code != "":
		v.State = state{"waits to be paired", toneBusy}
	case l.Pending != "":
		v.State = state{"stopped: another certificate", toneBad}
	case l.Connected && l.Problem == "":
		v.State = state{"connected", toneGood}
	case l.Connected:
		v.State = state{"connected, but", toneBusy}
	case l.Problem == "" && l.Attempts == 0:
		v.State = state{"connecting", toneBusy}
	default:
		v.State = state{"not connected", toneBad}
	}
	v.CanRetry = !l.Connected && server != ""
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, fact{name, printable(value)})
		}
	}
	add("This screen there", l.PlayerName)
	add("Last answer", f.at(l.LastContact))
	if l.Attempts > 0 {
		add("Tried since", count(l.Attempts, "time"))
	}
	if !l.Connected {
		add("Next try", f.at(l.Next))
	}
	if l.Spooled > 0 {
		add("Reports that wait", count(l.Spooled, "report"))
	}
	if l.Lost > 0 {
		add("Reports lost", count(l.Lost, "report"))
	}
	for _, t := range l.LeftOut {
		v.LeftOut = append(v.LeftOut, printable(t))
	}
	return v
}

// Linked reports whether what the server gave as the place for the code can be followed.
func (l ownLink) Linked() bool { return strings.HasPrefix(l.URI, "https://") }

// trustWords say how a server is recognized (link.State, Trust).
var trustWords = map[string]string{
	"public":     "A public authority vouches for it.",
	"pinned ca":  "By its authority, which was pinned: it may renew its certificate.",
	"pinned key": "By its key, which was pinned.",
	"preset":     "By the pin that was set.",
}

// decisionTones are the colours of the actions of trust.Decision.
var decisionTones = map[string]string{
	"pinned": toneGood, "preset": toneGood, "public": toneGood, "renewed": toneGood, "approved": toneGood, "refused": toneBad, "forgotten": toneMuted,
}

func (f ownFacts) trust() ownTrust {
	l := f.screen.Link
	v := ownTrust{Fingerprint: printable(l.Fingerprint), CA: printable(l.CA), Pending: printable(l.Pending), PendingCA: printable(l.PendingCA)}
	switch says := trustWords[l.Trust]; {
	case f.away != nil:
	case f.settings.Server == "":
		v.How = "Its own server is on this device and needs no certificate."
	case strings.HasPrefix(f.settings.Server, "http://"):
		v.How = "Nobody vouches for it: the address begins with http://."
	case says != "":
		v.How = says
	case l.Fingerprint == "":
		v.How = "It has not shown a certificate yet."
	default:
		v.How = "It is not recognized."
	}
	for _, d := range f.screen.Trust {
		tone := decisionTones[d.Action]
		if tone == "" {
			tone = toneMuted
		}
		why := d.Detail
		if d.Fingerprint != "" {
			why = strings.TrimSpace(why + " SHA-256 " + d.Fingerprint)
		}
		v.Log = append(v.Log, ownRow{When: f.at(d.Time), What: printable(d.Action + ", " + d.Server), Why: printable(why), Tone: tone})
	}
	return v
}

// cache says what was downloaded.
func (f ownFacts) cache() ownCache {
	c := f.screen.Cache
	v := ownCache{Problem: printable(c.Problem), Fetching: printable(c.Fetching), Done: c.Done, Size: c.Size, Failed: f.rows(c.Failed)}
	if f.away != nil {
		return v
	}
	v.Text = "Nothing has been downloaded."
	if c.Files > 0 {
		v.Text = count(c.Files, "file") + " here, " + sizeText(c.Bytes)
		if c.Limit > 0 {
			v.Text += " of at most " + sizeText(c.Limit)
		}
		v.Text += "."
	}
	if c.Missing > 0 {
		v.Text += " Still to come: " + count(c.Missing, "file")
		if c.MissingBytes > 0 {
			v.Text += ", " + sizeText(c.MissingBytes)
		}
		v.Text += "; what was there before plays on until then."
	}
	return v
}

// Percent is how much of what comes in now is here.
func (c ownCache) Percent() int64 {
	if c.Size <= 0 {
		return 0
	}
	return min(max(c.Done, 0)*100/c.Size, 100)
}

// clock says what time it is on the screen, and who says so.
func (f ownFacts) clock() string {
	c := f.screen.Clock
	if f.away != nil || c.Now.IsZero() {
		return ""
	}
	text := c.Now.In(f.zone).Format("Monday, 2 January 2006, 15:04")
	switch c.Source {
	case "system":
		return text + ", from the network"
	case "server":
		return text + ", from the signage server, as the network has not told the time yet"
	case "last known":
		return text + ", counted on from the last time that was known: neither network nor server has told it yet"
	}
	return text
}

// power says whether the screen is on.
func (f ownFacts) power() string {
	p := f.screen.Power
	if f.away != nil || p == nil {
		return ""
	}
	text := "off"
	switch {
	case p.On:
		text = "on"
	case p.Off == string(settings.OffBlack):
		text = "black"
	}
	if !p.Next.IsZero() {
		text += " until " + f.at(p.Next)
	}
	if p.Note != "" {
		text += ". " + printable(p.Note)
	}
	return text
}

// device says how the processor is.
func (f ownFacts) device() (facts []fact, troubles []string) {
	h := f.hardware
	if f.sysAway != nil {
		return nil, nil
	}
	degrees := func(m *int) string { return fmt.Sprintf("%.1f °C", float64(*m)/1000) }
	if h.MilliCelsius != nil {
		text := degrees(h.MilliCelsius)
		if h.Hottest != nil {
			text += ", at most " + degrees(h.Hottest) + " since the start"
		}
		facts = append(facts, fact{"Temperature", text})
	}
	if h.KHz > 0 {
		facts = append(facts, fact{"Speed", fmt.Sprintf("%d of %d MHz, governor %s", h.KHz/1000, h.MaxKHz/1000, printable(h.Governor))})
	}
	if h.Now == nil {
		return append(facts, fact{"Power supply", "nothing watches it on this machine"}), nil
	}
	var since limitsOfDevice
	if h.SinceStart != nil {
		since = *h.SinceStart
	}
	for _, l := range []struct {
		now, since  bool
		holds, held string
	}{
		{h.Now.UnderVoltage, since.UnderVoltage, "The power supply is too weak now.", "The power supply was too weak for moments since the start."},
		{h.Now.Throttled, since.Throttled, "The processor is slowed down now.", "The processor was slowed down for a while since the start."},
		{h.Now.Capped, since.Capped, "The processor’s speed is bounded now.", "The processor’s speed was bounded for a while since the start."},
		{h.Now.Hot, since.Hot, "The temperature is at its soft limit now.", "The temperature was at its soft limit for a while since the start."},
	} {
		switch {
		case l.now:
			troubles = append(troubles, l.holds)
		case l.since:
			troubles = append(troubles, l.held)
		}
	}
	if len(troubles) == 0 {
		facts = append(facts, fact{"Power supply", "suffices, and has since the start"})
	}
	return facts, troubles
}
