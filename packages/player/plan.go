package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"porthole/packages/internal/settings"
	"porthole/packages/player/facts"
	"porthole/packages/player/picture"
	"porthole/packages/player/stage"
)

const (
	// patience is how long something may take before it is said on the screen that it does.
	patience = 3 * time.Second
	// leave is how long a camera that nobody wants any more stays on the screen while the next is not there: it would
	// be taken for live.
	leave = 6 * time.Second
	// slowNetwork and slowStart are how long network and console may take before that is said.
	slowNetwork, slowStart = 15 * time.Second, 30 * time.Second
	// maxAddresses and maxMessages bound the status screen.
	maxAddresses, maxMessages = 4, 6
)

// defaultName is what a device is called that nobody gave a name.
const defaultName = "porthole"

// plan is what should be on the screen.
type plan struct {
	// status says that it is the status screen.
	status      bool
	screen      stage.Status
	note, strip string
	problems    []string
}

// plan decides. The caller holds d.mu.
func (d *director) plan() plan {
	now := d.now()
	waiting := d.waiting(now)
	stale := d.shown != d.want && (d.shown.show == settings.ShowCamera || d.want.show == settings.ShowProgram) && now.Sub(d.since) > leave
	over := d.shown.show == settings.ShowProgram && d.want == d.shown && !d.asked.playing
	p := plan{status: d.want.show == "" || d.shown.show == "" || stale || over}
	p.screen = d.statusScreen(waiting, now)
	p.problems = p.screen.Messages
	if text := serverWords(d.asked.link); text != "" && len(p.problems) < maxMessages {
		p.screen.Messages = append(slices.Clip(p.problems), text)
	}
	if p.status {
		return p
	}
	if waiting.problem != "" && waiting.long {
		p.note = waiting.problem
	}
	if d.facts.Claim.Code != "" && p.screen.URL != "" {
		p.strip = fmt.Sprintf("To set this device up, open %s and type the code %s", p.screen.URL, d.facts.Claim.Code)
	}
	if d.facts.Claim.Closed {
		p.strip = "To set this device up, " + d.facts.Claim.Restart
	}
	return p
}

// wait is what is in the way of what is wanted.
type wait struct {
	problem string
	// program is the same of a program, in several sentences.
	program []string
	// long says that it takes longer than one should have to wait.
	long bool
}

func (d *director) waiting(now time.Time) wait {
	switch d.want.show {
	case settings.ShowCamera:
		return d.waitingForCamera(now)
	case settings.ShowPicture:
		long := now.Sub(d.since) > patience
		if d.pictureErr != nil {
			return wait{problem: fmt.Sprintf("The picture %s cannot be shown: %s.", d.want.picture, pictureWords(d.pictureErr)), long: true}
		}
		if d.shown != d.want {
			return wait{problem: fmt.Sprintf("The picture %s is being read.", d.want.picture), long: long}
		}
	case settings.ShowProgram:
		if !d.asked.playing {
			return wait{program: d.waitingForProgram()}
		}
		return wait{problem: d.asked.problem, long: true}
	}
	return wait{}
}

func pictureWords(err error) string {
	for _, known := range []error{picture.ErrMissing, picture.ErrLarge, picture.ErrFormat} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "it cannot be read; player's log says why"
}

func (d *director) waitingForCamera(now time.Time) wait {
	s := d.watcher.State()
	name := d.cameraName(d.want.camera)
	since := s.LastPicture
	if since.IsZero() {
		since = d.since
	}
	quiet := now.Sub(since)
	long := quiet > patience
	reason := s.Problem
	if d.shown != d.want {
		if reason == "" {
			return wait{problem: fmt.Sprintf("The camera %s is being connected.", name), long: long}
		}
		return wait{problem: fmt.Sprintf("The camera %s cannot be shown: %s.", name, reason), long: long}
	}
	if !long {
		return wait{}
	}
	text := "No new picture from " + name
	if quiet >= time.Minute {
		text += " for " + age(quiet)
	}
	if reason != "" {
		text += ": " + reason
	}
	return wait{problem: text + ".", long: true}
}

// age says a duration in its largest unit, so that it changes seldom.
func age(d time.Duration) string {
	if d >= time.Hour {
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}

func (d *director) cameraName(id string) string {
	for _, c := range d.view.Cameras {
		if c.ID == id {
			return c.Name
		}
	}
	return id
}

// statusScreen says what is known.
func (d *director) statusScreen(w wait, now time.Time) stage.Status {
	f := d.facts
	s := stage.Status{Name: d.view.Hostname, Fingerprint: f.Fingerprint, Unreachable: f.Unreachable, Minute: now.Truncate(time.Minute)}
	if s.Name == "" {
		s.Name = f.Kernel
	}
	if s.Name == "" {
		s.Name = defaultName
	}
	if !f.Claim.Claimed && !f.Unreachable {
		s.ClaimCode = f.Claim.Code
	}
	// A single one stands in the console's address already, if that is shown.
	if len(f.Addresses) > 1 || f.Unreachable {
		for _, a := range f.Addresses[:min(len(f.Addresses), maxAddresses)] {
			s.Addresses = append(s.Addresses, a.String())
		}
	}
	if len(f.Addresses) > 0 && !f.Unreachable {
		s.URL = consoleURL(f.Addresses[0], d.port)
	}
	s.Messages = d.messages(w, now)
	return s
}

func consoleURL(a netip.Addr, port string) string {
	if port != "443" {
		return "https://" + net.JoinHostPort(a.String(), port) + "/"
	}
	if a.Is6() {
		return "https://[" + a.String() + "]/"
	}
	return "https://" + a.String() + "/"
}

// messages says what is wrong, the worst first.
func (d *director) messages(w wait, now time.Time) []string {
	var list []string
	add := func(text string) {
		if text != "" {
			list = append(list, text)
		}
	}
	for _, p := range d.facts.Problems {
		// What was refused of porthole.toml stays until an admin has put it away: that is for console to say.
		if p.Area != facts.FileArea || d.view.Revision == 0 {
			add(p.Text)
		}
	}
	// Without a certificate, the reason for that stands above.
	if !d.facts.Claim.Known && !d.facts.Unreachable && now.Sub(d.start) > slowStart {
		add("The console does not answer. It may be restarting.")
	}
	if len(d.facts.Addresses) == 0 && now.Sub(d.start) > slowNetwork {
		add("There is no network. Is the cable plugged in?")
	}
	if d.facts.Claim.Closed && !d.facts.Unreachable {
		add("The time in which this device can be claimed is over. To open it again, " + d.facts.Claim.Restart + ".")
	}
	add(d.misfit())
	add(w.problem)
	list = append(list, w.program...)
	if now.Sub(d.start) > slowStart {
		add(clockWords(d.asked.clock))
	}
	for i, n := range d.view.Notices {
		if left := len(d.view.Notices) - i; left > 1 && len(list) >= maxMessages-1 {
			add(fmt.Sprintf("porthole.toml: %d more lines were refused; the console lists them.", left))
			break
		}
		add("porthole.toml, " + n)
	}
	return list[:min(len(list), maxMessages)]
}

// misfit says why settings cannot be followed.
func (d *director) misfit() string {
	s := d.view.Settings
	switch {
	case s.Show == settings.ShowCamera && s.Camera == "":
		return "The screen is to show a camera, but not which one. Choose it in the console."
	case s.Show == settings.ShowCamera && !d.hasCamera(s.Camera):
		return fmt.Sprintf("The screen is to show the camera %q, which this device does not have. Choose another in the console.", s.Camera)
	case s.Show == settings.ShowPicture && s.Picture == "":
		return "The screen is to show a picture, but not which one."
	}
	return ""
}
