package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"porthole/packages/internal/certs"
)

// What Alexa shows: https://developer.amazon.com/docs/device-apis/alexa-camerastreamcontroller.html (port 443, TLS 1.2,
// the codecs, first picture within 6 s); the rest is what Echo devices were seen to do.
const (
	alexaWidth, alexaHeight = 1920, 1080
	alexaPort               = "443"
	// goodGOP is how far key pictures may be apart; up to maxGOP it is slow, beyond it often fails.
	goodGOP, maxGOP = 2.0, 4.0
	// gopSlack allows for cameras' clocks.
	gopSlack = 0.15
)

// verdictLine is one thing that Alexa asks for, and how it is here.
type verdictLine struct {
	State state
	What  string
	// Text says what is there and, unless all is well, what to do.
	Text string
}

func good(what, text string) verdictLine { return verdictLine{state{"ok", toneGood}, what, text} }
func warn(what, text string) verdictLine { return verdictLine{state{"look", toneBusy}, what, text} }
func bad(what, text string) verdictLine  { return verdictLine{state{"no", toneBad}, what, text} }

// streamVerdict judges a stream as an Echo would; dropAudio says that its sound is left out.
func streamVerdict(s cameraStatus, dropAudio bool) []verdictLine {
	v, ok := s.video()
	if !ok {
		return []verdictLine{warn("Picture", "Not known yet: Porthole looks at the picture when somebody first watches. Watch it once, then come back.")}
	}
	return []verdictLine{resolutionVerdict(v), codecVerdict(v), orderVerdict(v), gopVerdict(s), soundVerdict(s, dropAudio)}
}

func resolutionVerdict(v trackStatus) verdictLine {
	const what = "Resolution"
	switch {
	case v.Width == 0 || v.Height == 0:
		return warn(what, "Not known: the camera does not say. It must not be over 1920×1080.")
	case v.Width > alexaWidth || v.Height > alexaHeight:
		return bad(what, sizeOf(v)+" is over 1080p, which Echo devices do not show. Choose 1920×1080 or less in the camera, or give Alexa the camera’s second stream.")
	}
	return good(what, sizeOf(v))
}

func codecVerdict(v trackStatus) verdictLine {
	const what = "Video codec"
	switch v.Codec {
	case "H264":
		return good(what, strings.TrimSpace("H.264 "+v.Profile))
	case "H265":
		return bad(what, "H.265 is not among Alexa’s codecs. Switch the camera, or its second stream, to H.264.")
	}
	return bad(what, v.Codec+": Alexa knows H.264, and that is what works. Switch the camera to H.264.")
}

func orderVerdict(v trackStatus) verdictLine {
	const what = "B-frames"
	if v.BFrames {
		return warn(what, "The camera sends pictures out of order, which costs delay and stutters on some Echo devices. Switch B-frames off, or choose the profile Baseline.")
	}
	return good(what, "None")
}

func gopVerdict(s cameraStatus) verdictLine {
	const what = "Key pictures"
	if s.GOPSeconds == 0 {
		return warn(what, "How often they come is not known yet. At least one in 2 seconds is good.")
	}
	every := fmt.Sprintf("One in %.1f s", s.GOPSeconds)
	switch {
	case s.GOPSeconds <= goodGOP+gopSlack:
		return good(what, every)
	case s.GOPSeconds <= maxGOP+gopSlack:
		return warn(what, every+". Porthole starts with the last one, so the picture comes at once; after a loss it stands still for that long. Set the I-frame interval to 2 s (twice the frame rate).")
	}
	return bad(what, every+" is too seldom: Alexa gives up after 6 s. Set the I-frame interval to 2 s (twice the frame rate).")
}

func soundVerdict(s cameraStatus, dropped bool) verdictLine {
	const what = "Sound"
	a, ok := s.audio()
	switch {
	case dropped:
		return good(what, "Left out, as chosen")
	case !ok:
		return good(what, "None")
	}
	switch codec := alexaAudio(a.Codec); codec {
	case "":
		return bad(what, a.Codec+" is not among Alexa’s codecs. Set the camera to AAC or G.711, or leave out the sound (Edit, under quirks).")
	default:
		return good(what, codec)
	}
}

// alexaAudio is Alexa's name for an audio codec; empty when it has none.
func alexaAudio(codec string) string {
	switch codec {
	case "AAC", "MPEG-4 Audio":
		return "AAC"
	case "PCMU", "PCMA", "G711":
		return "G711"
	}
	return ""
}

// doorVerdict judges what is the same for all cameras: the name, the port and the certificate.
func doorVerdict(around proxySettings, host string, cert certificateStatus, certErr error, access accessStatus) []verdictLine {
	return []verdictLine{nameVerdict(around, access), portVerdict(host), issuerVerdict(around, cert, certErr), keyVerdict(around, cert, certErr)}
}

func nameVerdict(around proxySettings, access accessStatus) verdictLine {
	const what = "Public name"
	if around.PublicName == "" {
		return bad(what, "None is set. Amazon’s devices find you by a DNS name that leads to your router from outside: get one (DynDNS) and write it under Proxy.")
	}
	for _, p := range access.Problems {
		if strings.Contains(p, around.PublicName) {
			return bad(what, printable(p))
		}
	}
	return good(what, around.PublicName)
}

func portVerdict(host string) verdictLine {
	const what = "Port 443"
	port := alexaPort
	if _, p, err := net.SplitHostPort(host); err == nil {
		port = p
	}
	if port != alexaPort {
		return warn(what, "You came by port "+port+". Alexa calls port 443 and no other: forward port 443 of your router to this device.")
	}
	return good(what, "You came by it. From outside, your router has to forward it to this device.")
}

// echoChain is the chain that an Echo gets: of the public pairs one for the name, RSA first (packages/internal/certstore); nil when
// there is none.
func echoChain(cert certificateStatus, name string) []*x509.Certificate {
	var best []*x509.Certificate
	rank := -1
	for _, p := range cert.Certificates {
		chain := p.chain()
		if !p.Public || chain == nil {
			continue
		}
		r := 0
		if chain[0].VerifyHostname(name) == nil {
			r += 2
		}
		if chain[0].PublicKeyAlgorithm == x509.RSA {
			r++
		}
		if r > rank {
			best, rank = chain, r
		}
	}
	return best
}

func issuerVerdict(around proxySettings, cert certificateStatus, err error) verdictLine {
	const what = "Certificate"
	if err != nil {
		return warn(what, "Not known while system does not answer.")
	}
	chain := echoChain(cert, around.PublicName)
	if chain == nil {
		return bad(what, "It is from this device’s own authority, which Amazon does not know. Get one from Let’s Encrypt for the public name, under Settings, Certificate.")
	}
	leaf := chain[0]
	_, unknown := leaf.Verify(x509.VerifyOptions{Intermediates: certs.Intermediates(chain)})
	switch {
	case time.Now().After(leaf.NotAfter):
		return bad(what, "It expired on "+dayText(leaf.NotAfter)+". Renew it.")
	case around.PublicName != "" && leaf.VerifyHostname(around.PublicName) != nil:
		return bad(what, "It is not for "+around.PublicName+". Get one that names it, under Settings, Certificate.")
	case unknown != nil:
		return bad(what, "It is from "+certs.Issuer(leaf)+", which is not known as a public authority, or its chain is not whole. Amazon takes neither: get one from Let’s Encrypt, under Settings, Certificate.")
	}
	return good(what, "From "+certs.Issuer(leaf)+", until "+dayText(leaf.NotAfter))
}

func keyVerdict(around proxySettings, cert certificateStatus, err error) verdictLine {
	const what = "Certificate’s key"
	if err != nil {
		return warn(what, "Not known while system does not answer.")
	}
	chain := echoChain(cert, around.PublicName)
	switch {
	case chain == nil:
		return warn(what, "There is no public certificate yet.")
	case chain[0].PublicKeyAlgorithm != x509.RSA:
		return warn(what, chain[0].PublicKeyAlgorithm.String()+". Newer Echo devices take it; older ones and some Fire TVs want RSA: tick “Also for Echo and older devices” under Settings, Certificate.")
	}
	return good(what, keyText(chain[0]))
}
