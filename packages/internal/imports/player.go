package imports

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"

	"porthole/packages/internal/settings"
)

// playerConfig is an app_config.json of the signage players in the field, in the form of documents 002 and 004, or the older
// one.
type playerConfig struct {
	*reader
	list []jsonEntry
	seen map[string]jsonEntry
}

// json reads a JSON file.
func (r *reader) json(content []byte) {
	list, bad := jsonEntries(content)
	if bad > 0 {
		r.note(bad, "", Refused, "from here on the file is no JSON; look for a missing quote, a comma too many or too few")
	}
	c := &playerConfig{reader: r, list: list, seen: map[string]jsonEntry{}}
	ours := false
	for _, e := range list {
		if _, ok := c.seen[e.path]; !ok {
			c.seen[e.path] = e
		}
		switch e.path {
		case "server.url", "server.hostname", "server.quickconnect_code", "server_ip", "screen_name", "quickconnect_key":
			ours = true
		}
	}
	switch {
	case !ours && bad == 0:
		r.note(0, "", Ignored, "there are no settings of a signage player in it")
	case ours:
		c.read()
	}
}

// read takes the settings in the order of the file.
func (c *playerConfig) read() {
	p := &c.result.Provision.Player
	if !p.Empty() {
		c.note(0, "", Refused, "this device has one screen, and another file's settings were taken for it")
		return
	}
	for _, e := range c.list {
		if first := c.seen[e.path]; first != e {
			c.note(e.line, e.path, Refused, fmt.Sprintf("is already on line %d", first.line))
			continue
		}
		if !e.single {
			c.note(e.line, e.path, Ignored, "no such setting of a signage player is known")
			continue
		}
		switch e.path {
		case "server.url":
			c.server(e, strings.TrimSpace(e.text))
		case "server_ip":
			c.oldServer(e)
		case "port":
			c.portOf(e)
		case "server.hostname", "screen_name":
			if c.take(e, settings.PlayerSettings{Hostname: e.text}) {
				p.Hostname = strings.TrimSpace(e.text)
			}
		case "server.quickconnect_code", "quickconnect_key":
			if c.take(e, settings.PlayerSettings{QuickConnectCode: e.text}) {
				p.QuickConnectCode = strings.TrimSpace(e.text)
			}
		case "orientation":
			c.orientation(e)
		case "connection.timeout":
			c.number(e, &p.Timeout, settings.MaxTimeout)
		case "connection.retry_attempts":
			c.number(e, &p.RetryAttempts, settings.MaxRetryAttempts)
		case "connection.retry_delay":
			c.number(e, &p.RetryDelay, settings.MaxRetryDelay)
		case "server.verify_ssl", "verify_ssl":
			c.verify(e)
		case "server.use_server_certificate":
			c.useCertificate(e)
		case "server.certificate_path":
			c.certificatePath(e)
		default:
			c.note(e.line, e.path, Ignored, "no such setting of a signage player is known")
		}
	}
	if p.Server != "" {
		p.Show = settings.ShowProgram
	}
}

// take says whether a text can be used here.
func (c *playerConfig) take(e jsonEntry, s settings.PlayerSettings) bool {
	if strings.TrimSpace(e.text) == "" {
		c.note(e.line, e.path, Refused, "is empty")
		return false
	}
	if _, wrong := s.Normalize(); len(wrong) > 0 {
		c.note(e.line, e.path, Refused, wrong[0].Reason)
		return false
	}
	c.note(e.line, e.path, Taken, "")
	return true
}

// server takes the address.
func (c *playerConfig) server(e jsonEntry, address string) {
	p := &c.result.Provision.Player
	s, wrong := settings.PlayerSettings{Server: address}.Normalize()
	switch {
	case p.Server != "":
		c.note(e.line, e.path, Refused, "the file names another server, which was taken")
	case s.Server == "" || len(wrong) > 0:
		reason := "is empty"
		if len(wrong) > 0 {
			reason = wrong[0].Reason
		}
		c.note(e.line, e.path, Refused, reason)
	case strings.HasPrefix(s.Server, "http://"):
		p.Server = s.Server
		c.note(e.line, e.path, Changed, "as "+s.Server+"; without TLS everybody on the way reads the code along: write https:// as soon as the server can do that")
	default:
		p.Server = s.Server
		c.note(e.line, e.path, Taken, "as "+s.Server)
	}
}

// oldServer puts the address together of what the older form has.
func (c *playerConfig) oldServer(e jsonEntry) {
	host, port := strings.TrimSpace(e.text), strings.TrimSpace(c.seen["port"].text)
	if strings.Contains(host, "://") {
		c.server(e, host)
		return
	}
	scheme := "http"
	if !checkPort(port) || port == "443" || port == "8443" {
		scheme = "https"
	}
	host = strings.Trim(host, "[]")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if checkPort(port) && port != map[string]string{"https": "443", "http": "80"}[scheme] {
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	c.server(e, scheme+"://"+host)
}

func checkPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && port == strconv.FormatUint(n, 10)
}

func (c *playerConfig) portOf(e jsonEntry) {
	switch port := strings.TrimSpace(e.text); {
	case checkPort(port):
		c.note(e.line, e.path, Taken, "as a part of the server's address")
	case port == "":
		c.note(e.line, e.path, Ignored, "the usual one is used")
	default:
		c.note(e.line, e.path, Refused, "is no port (1 to 65535); the usual one is used")
	}
}

// orientation takes Landscape and Portrait, however they are written.
func (c *playerConfig) orientation(e jsonEntry) {
	v := strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(strings.TrimSpace(e.text)))
	if c.take(e, settings.PlayerSettings{Orientation: v}) {
		c.result.Provision.Player.Orientation = v
	}
}

// number takes whole numbers, which may stand in quotes or have a fraction there.
func (c *playerConfig) number(e jsonEntry, to *int, most int) {
	v, err := strconv.ParseFloat(strings.TrimSpace(e.text), 64)
	switch n := math.Ceil(v); {
	case err != nil || n < 1 || n > float64(most):
		c.note(e.line, e.path, Refused, fmt.Sprintf("use 1 to %d", most))
	case n != v:
		*to = int(n)
		c.note(e.line, e.path, Changed, fmt.Sprintf("as %d: whole numbers only", *to))
	default:
		*to = int(n)
		c.note(e.line, e.path, Taken, "")
	}
}

// truth reads a switch, which may stand in quotes.
func truth(e jsonEntry) (on, ok bool) {
	switch strings.ToLower(strings.TrimSpace(e.text)) {
	case "true", "1", "yes", "on":
		return true, true
	case "false", "0", "no", "off":
		return false, true
	}
	return false, false
}

// on is a switch of the file; absent where it says nothing.
func (c *playerConfig) on(path string, absent bool) bool {
	if v, ok := truth(c.seen[path]); ok {
		return v
	}
	return absent
}

// trusts reports whether the file wants the server's certificate compared with one that it names.
func (c *playerConfig) trusts() bool {
	path := strings.TrimSpace(c.seen["server.certificate_path"].text)
	return c.on("server.use_server_certificate", path != "")
}

// verify takes the switch that the players' guides tell people to put off.
func (c *playerConfig) verify(e jsonEntry) {
	p := &c.result.Provision.Player
	on, ok := truth(e)
	switch {
	case !ok:
		c.note(e.line, e.path, Refused, "must be true or false; certificates are always checked here")
	case !on:
		p.Trust = settings.TrustFirst
		c.note(e.line, e.path, Changed, "checking cannot be switched off here. A certificate that public authorities vouch for is taken, else the first connection's is pinned: "+
			"compare its fingerprint on the console's page Screen; another one later is refused until you approve it there")
	case c.trusts() && c.pem != "":
		p.Trust = settings.TrustPinned
		c.note(e.line, e.path, Taken, "only the certificate that the file names counts")
	case c.trusts():
		p.Trust = settings.TrustFirst
		c.note(e.line, e.path, Changed, "the first connection's certificate is pinned, as the one that the file names is not here")
	case c.seen["server.use_server_certificate"].single:
		p.Trust = settings.TrustPublic
		c.note(e.line, e.path, Taken, "only certificates that public authorities vouch for count")
	default:
		p.Trust = settings.TrustFirst
		c.note(e.line, e.path, Taken, "a certificate that public authorities vouch for is taken, else the first connection's is pinned")
	}
}

func (c *playerConfig) useCertificate(e jsonEntry) {
	switch on, ok := truth(e); {
	case !ok:
		c.note(e.line, e.path, Refused, "must be true or false")
	case on:
		c.note(e.line, e.path, Taken, "the certificate comes from the connection itself, or from certificate_path, never from an address that nobody has checked")
	default:
		c.note(e.line, e.path, Taken, "")
	}
}

// certificatePath takes the file's content, if somebody gave it.
func (c *playerConfig) certificatePath(e jsonEntry) {
	switch {
	case !c.trusts():
		c.note(e.line, e.path, Ignored, "use_server_certificate is off")
	case c.pem != "":
		c.result.Provision.Player.Pin = c.pem
		c.pemUsed = true
		c.note(e.line, e.path, Taken, "the server is recognized by the certificate in "+c.pemFile)
	case strings.TrimSpace(e.text) == "":
		c.note(e.line, e.path, Ignored, "it is empty")
	default:
		c.note(e.line, e.path, Changed, "the file is not here, so the first connection's certificate is pinned; to have it expected from the start, import the file as well")
	}
}

// certificates looks for files with a certificate before anything else is read: another file may name them.
func (r *reader) certificates(files []File) {
	for i, f := range files {
		content := withoutMark(f.Content)
		if i >= MaxFiles || len(content) > MaxSize || !isPEM(content) || isJSON(content) {
			continue
		}
		s, wrong := settings.PlayerSettings{Pin: string(content)}.Normalize()
		if len(wrong) == 0 && r.pem == "" {
			r.pem, r.pemFile = s.Pin, shown(f.Name)
		}
	}
}

// certificate says what becomes of a file with a certificate.
func (r *reader) certificate(content []byte) {
	_, wrong := settings.PlayerSettings{Pin: string(content)}.Normalize()
	switch {
	case len(wrong) > 0:
		r.note(0, "", Refused, wrong[0].Reason)
	case r.file != r.pemFile:
		r.note(0, "", Refused, "a player has one server, and its certificate is "+r.pemFile)
	}
}
