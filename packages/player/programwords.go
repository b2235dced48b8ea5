package main

import (
	"fmt"
	"slices"
	"strings"

	"porthole/packages/internal/settings"
	"porthole/packages/internal/units"
	"porthole/packages/player/cache"
	"porthole/packages/player/clock"
	"porthole/packages/player/link"
)

// waitingForProgram says in sentences why no program plays and what to do about it; none where nobody has asked for one. The
// caller holds d.mu.
func (d *director) waitingForProgram() []string {
	a := d.asked
	var say []string
	// Nobody has to know of this device's own server before there is something to show.
	quiet := a.link.Server == "" && d.view.Settings.Show == ""
	switch {
	case a.link.PairingCode != "":
		say = append(say, fmt.Sprintf("To connect this screen, open %s and type the code %s.", a.link.PairingURI, a.link.PairingCode))
	case !quiet && a.link.Problem != "":
		say = append(say, sentence(a.link.Problem)+" "+sentence(a.link.Step))
	}
	say = append(say, downloadWords(a.cache), a.cache.Problem)
	if a.link.Connected && a.cache.Missing == 0 && a.link.Problem == "" && a.cache.Problem == "" {
		say = append(say, d.nothingPlays())
	}
	return slices.DeleteFunc(say, func(s string) bool { return s == "" })
}

// sentence ends a text with a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// shortFingerprint is as many bytes of a fingerprint as the status screen shows of its own, in characters.
const shortFingerprint = 8*3 - 1

// serverWords says by what people recognize another server: what stands here is to be compared with what its own screen says.
func serverWords(l link.State) string {
	if l.Server == "" || l.Fingerprint == "" {
		return ""
	}
	text := fmt.Sprintf("The certificate of %s begins with %s", strings.TrimPrefix(l.Server, "https://"), l.Fingerprint[:min(len(l.Fingerprint), shortFingerprint)])
	if l.Pending != "" {
		text += "; it is not the one that was known"
	}
	return text + "."
}

// nothingPlays is said while the server has nothing for this screen.
func (d *director) nothingPlays() string {
	switch {
	case d.asked.link.Kind != link.Own && d.asked.link.Kind != "":
		return fmt.Sprintf("%s has nothing for this screen now.", d.asked.link.Server)
	case d.view.Settings.Show == settings.ShowProgram:
		return "There is nothing to show now. In the console, give this screen a playlist with something in it."
	}
	return ""
}

// downloadWords says how far the downloads are.
func downloadWords(s cache.State) string {
	if s.Missing == 0 || s.Problem != "" {
		return ""
	}
	files := "1 file"
	if s.Missing > 1 {
		files = fmt.Sprintf("%d files", s.Missing)
	}
	left := s.MissingBytes
	if left <= 0 {
		return fmt.Sprintf("What is to be shown is being downloaded: %s to go.", files)
	}
	return fmt.Sprintf("What is to be shown is being downloaded: %s to go, %s.", files, units.Bytes(left))
}

// clockWords says where the time comes from, unless it is where it should be from.
func clockWords(s clock.State) string {
	switch s.Source {
	case clock.LastKnown:
		return fmt.Sprintf("The time is not known: neither network nor server has told it. Schedules go on from the last known time, %s.", s.Now.Format("2 January 2006"))
	case clock.Server:
		return "The time is the signage server's: no time server answers."
	}
	return ""
}
