package main

import (
	"fmt"
	"strings"

	"porthole/packages/console/signage"
)

// Why somebody is turned away, as playerapi and proxy call it; what is not among them is shown as it came.
const (
	refusedUnknown  = "unknown"
	refusedCode     = "code"
	refusedPassword = "password"
	refusedLogin    = "auth_code"
	refusedDisabled = "disabled"
	refusedPlain    = "plain"
	refusedOften    = "often"
)

// words says why somebody was turned away, and what to do. The id is that of the screen it belongs to, 0 for none.
func (s *screens) words(k knocker, id int64) knock {
	v := knock{Who: k.address, How: times(k.count) + ", last " + s.ago(k.last)}
	if k.hostname != "" {
		v.Who = printable(k.hostname)
		if k.address != "" {
			v.Who += ", " + k.address
			v.How += ", from " + k.address
		}
	}
	if v.Who == "" {
		v.Who = "Somebody"
	}
	here := ""
	if id != 0 {
		here = fmt.Sprintf("/screens/%d", id)
	}
	if k.tls {
		tlsWords(&v, k.reason)
		return v
	}
	switch k.reason {
	case refusedUnknown:
		v.What = "Calls itself by a name that no screen has"
		v.Do = "If it is yours, add it, or correct the hostname in the player’s settings."
		v.Link, v.LinkText = "/screens/new?hostname="+queryEscape(k.hostname), "Add a screen of that name"
	case refusedCode:
		v.What = "Wrong quick-connect code"
		v.Do = "Set a new one here and type it into the player."
		v.Link, v.LinkText = here+"#connect", "Make a new code"
	case refusedPassword:
		v.What = "Wrong password"
		v.Do = "Set it anew here, and in the player."
		v.Link, v.LinkText = here+"#connect", "Set the password"
	case refusedLogin:
		v.What = "Its login has run out or was ended"
		v.Do = "Players log in again by themselves, with their quick-connect code. If this one does not, restart it."
	case refusedDisabled:
		v.What = "It is switched off here"
		v.Do = "Switch it on among its settings."
		v.Link, v.LinkText = here+"#settings-title", "Settings"
	case refusedPlain:
		v.What = "Comes without TLS"
		v.Do = "Change the address in its settings to https://" + s.host + ", or let it in without TLS among its settings here."
		v.Link, v.LinkText = here+"#settings-title", "Settings"
	case refusedOften:
		v.What = "Asks too often"
		v.Do = "It is slowed down: more than one request a second is more than a player needs. Restart it if this stays."
	default:
		v.What = "Turned away"
		v.Do = strings.TrimSuffix(printable(k.reason), ".") + "."
	}
	if strings.HasPrefix(v.Link, "#") {
		v.Link, v.LinkText = "", ""
	}
	return v
}

// tlsWords says why TLS did not come about.
func tlsWords(v *knock, reason string) {
	switch reason {
	case "untrusted":
		v.What = "Does not trust this device’s certificate"
		v.Do = "Fetch /api/certificate, or the file here, and save it on the player as the CA file that certificate_path names."
		v.Link, v.LinkText, v.Download = "/ca.pem", "Download the CA file", true
	case "expired":
		v.What = "Takes the certificate for expired"
		v.Do = "Its clock is probably wrong: set date and time on the player, or give it a time server."
	case "protocol":
		v.What = "Speaks no TLS that is safe"
		v.Do = "It knows only versions before TLS 1.2. Update the player; a very old one can be let in without TLS, from your own networks."
	default:
		v.What = "TLS did not come about"
		v.Do = "Mostly it does not trust the certificate: save this CA file on the player, as the file that certificate_path names. (" + printable(reason) + ")"
		v.Link, v.LinkText, v.Download = "/ca.pem", "Download the CA file", true
	}
}

// orientationChoices are the orientations for a form.
func orientationChoices(chosen string) []choice {
	var list []choice
	for _, o := range []choice{
		{Value: "landscape", Text: "Landscape"},
		{Value: "portrait", Text: "Portrait, turned to the right"},
		{Value: "landscape-flipped", Text: "Landscape, upside down"},
		{Value: "portrait-flipped", Text: "Portrait, turned to the left"},
	} {
		o.Chosen = o.Value == chosen
		list = append(list, o)
	}
	return list
}

// playlistChoices are the playlists for a form, with one for none.
func playlistChoices(all []signage.Playlist, chosen int64, none string) []choice {
	list := []choice{{Value: "0", Text: none, Chosen: chosen == 0}}
	for _, p := range all {
		text := p.Name
		if p.Version == 0 {
			text += " (not published yet)"
		}
		list = append(list, choice{Value: idText(p.ID), Text: text, Chosen: p.ID == chosen})
	}
	return list
}

func groupChoices(all []signage.Group, chosen int64) []choice {
	list := []choice{{Value: "0", Text: "none", Chosen: chosen == 0}}
	for _, g := range all {
		list = append(list, choice{Value: idText(g.ID), Text: g.Name, Chosen: g.ID == chosen})
	}
	return list
}
