package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"porthole/packages/console/signage"
)

// words says why somebody was turned away, and what to do. The id is that of the screen it belongs to, 0 for none.
func (s *screens) words(k knocker, id int64) knock {
	v := knock{Who: k.address, How: times(k.count) + ", last " + s.ago(k.last)}
	if k.hostname != "" {
		v.Who = printable(k.hostname)
		if k.address != "" {
			v.Who += ", " + k.address
			if id != 0 {
				v.How += ", from " + k.address
			}
		}
	}
	if v.Who == "" {
		v.Who = "Somebody"
	}
	if k.tls {
		tlsWords(&v, k.reason)
		return v
	}
	s.apiWords(&v, k, id)
	if !s.forAdmin {
		v.Link, v.LinkText = "", ""
	}
	return v
}

// apiWords says why the players' API refused somebody.
func (s *screens) apiWords(v *knock, k knocker, id int64) {
	v.Do = printable(k.advice)
	switch {
	case k.status == http.StatusUpgradeRequired:
		v.What = "Comes without TLS"
		v.Do = "Change the address in its settings to https://" + s.host + ". If it cannot do that, let it in without TLS on its page here, in a network that you trust."
		settingsLink(v, id)
	case k.status == http.StatusUnauthorized && id == 0 && k.hostname != "":
		v.What = "Calls itself by a name that no screen has"
		v.Link, v.LinkText = "/screens/new?hostname="+url.QueryEscape(k.hostname), "Add a screen of that name"
	case k.status == http.StatusUnauthorized && id != 0:
		v.What = "Could not log in: wrong code, or none"
		v.Link, v.LinkText = fmt.Sprintf("/screens/%d#connect", id), "Make a new code"
	case k.status == http.StatusUnauthorized:
		v.What = "Did not say who it is"
	case k.status == http.StatusForbidden:
		v.What = "Is not allowed to: " + strings.TrimPrefix(printable(k.reason), "this screen ")
		settingsLink(v, id)
	default:
		v.What = "Turned away: " + printable(k.reason)
	}
}

// settingsLink leads to the settings of a screen, if it belongs to one.
func settingsLink(v *knock, id int64) {
	if id != 0 {
		v.Link, v.LinkText = fmt.Sprintf("/screens/%d#settings-title", id), "Settings"
	}
}

// tlsAdvice says what to do when TLS does not come about, by what proxy says (packages/proxy/door).
var tlsAdvice = map[string]struct {
	what, do string
	ca       bool
}{
	"does not trust this certificate": {
		"Does not trust this device’s certificate",
		"Fetch /api/certificate, or the file here, and save it on the player as the CA file that certificate_path names. In a browser, trust it.", true,
	},
	"takes the certificate for expired: check its clock": {
		"Takes the certificate for expired", "Its clock is probably wrong: set date and time there, or give it a time server.", false,
	},
	"speaks no TLS version that we do": {
		"Speaks no TLS that is safe", "It knows only versions before TLS 1.2. Update it; a player that cannot be updated may be let in without TLS, on its page here.", false,
	},
	"plain HTTP on the TLS port": {
		"Speaks plain HTTP on the port for TLS", "Write https:// instead of http:// in its settings.", false,
	},
}

// tlsWords says why TLS did not come about.
func tlsWords(v *knock, reason string) {
	a, ok := tlsAdvice[reason]
	if !ok {
		v.What = "TLS did not come about: " + printable(reason)
		v.Do = "If it is a player, it mostly does not trust the certificate: save this CA file there, as the file that certificate_path names."
		a.ca = true
	} else {
		v.What, v.Do = a.what, a.do
	}
	if a.ca {
		v.Link, v.LinkText, v.Download = "/ca.pem", "Download the CA file", true
	}
}

// orientationChoices are the orientations for a form.
func orientationChoices(chosen string) []choice {
	var list []choice
	for _, o := range []choice{
		{Value: "landscape", Text: "Landscape"},
		{Value: "portrait", Text: "Portrait, display turned to the left"},
		{Value: "landscape-flipped", Text: "Landscape, upside down"},
		{Value: "portrait-flipped", Text: "Portrait, display turned to the right"},
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
