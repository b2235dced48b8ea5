package imports

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"porthole/packages/internal/settings"
)

// The attributes of Alexa4P3 that make an item a camera.
const (
	keyURIs     = "alexa_csc_uri"
	keyStream   = "alexa_stream_" // and a number
	keyProxy    = "alexa_csc_proxy_uri"
	keyLogin    = "alexa_auth_cred"
	keyAccount  = "alexa_proxy_credentials"
	keyImage    = "alexa_camera_imageUri"
	keyModify   = "alexa_cam_modifiers"
	keyProxied  = "alexa_proxy_url"
	maxModifier = 50
)

func isCamera(all []entry) bool {
	return slices.ContainsFunc(all, func(e entry) bool {
		return e.key == keyURIs || e.key == keyProxy || strings.HasPrefix(e.key, keyStream)
	})
}

// item is a camera whose attributes are being read.
type item struct {
	settings.Camera
	urls [settings.MaxStreams]string
	line int
	path string
	// urlLine is where the addresses stand.
	urlLine int
}

// camera reads an item.
func (r *reader) camera(all []entry, path string) {
	c := &item{path: path, line: all[0].line}
	c.ID = r.cameraID(path)
	names := map[string]string{}
	for _, e := range all {
		key, v := join(path, e.key), strings.TrimSpace(e.value.Value)
		switch {
		case e.key == "alexa_name" || e.key == "alexa_description" || e.key == "name":
			if e.value.Kind == yaml.ScalarNode && plain(v) && len(v) <= 100 {
				names[e.key] = v
			}
		case e.key == keyURIs:
			r.addresses(c, e, key)
		case e.key == keyLogin:
			r.login(c, e.line, key, v)
		case e.key == keyAccount:
			r.account(e.line, key, v)
		case e.key == keyProxy:
			r.publicName(e.line, key, v)
		case e.key == keyModify:
			r.modifiers(c, e, key)
		case e.key == keyImage:
			r.note(e.line, key, Ignored, "pictures come from the stream itself: /cameras/"+c.ID+"/snapshot.jpg")
		case strings.HasPrefix(e.key, keyProxied):
			r.note(e.line, key, Ignored, "each stream has an address here that stays the same; the console shows it")
		case strings.HasPrefix(e.key, "alexa_") && !strings.HasPrefix(e.key, keyStream):
			r.note(e.line, key, Ignored, "belongs to Alexa4P3, where it stays as it is")
		}
	}
	// After the addresses, wherever they stand.
	for _, e := range all {
		if number, ok := strings.CutPrefix(e.key, keyStream); ok {
			r.stream(c, e, join(path, e.key), number)
		}
	}
	for _, key := range []string{"alexa_name", "alexa_description", "name"} {
		if c.Name == "" {
			c.Name = names[key]
		}
	}
	r.take(c)
}

// take adds the camera if it is complete.
func (r *reader) take(c *item) {
	var urls []string
	for _, u := range c.urls {
		if u != "" {
			urls = append(urls, u)
		}
	}
	if len(urls) == 0 {
		r.note(c.line, c.path, Refused, "the camera is left out: no address of it could be taken over")
		return
	}
	c.URL, c.MoreURLs = urls[0], urls[1:]
	cam, err := c.Normalize()
	if wrong, ok := errors.AsType[*settings.FieldError](err); ok {
		r.note(c.urlLine, join(c.path, keyURIs), Refused, "the camera is left out: "+wrong.Reason)
		return
	}
	if !plain(cam.User) || !plain(cam.Password) || cam.User == "" && cam.Password != "" {
		r.note(c.line, c.path, Refused, "the camera is left out: its user or password cannot be written in a porthole.toml; add it in the console")
		return
	}
	text := "as camera " + cam.ID
	if n := len(urls); n > 1 {
		text += " with " + strconv.Itoa(n) + " streams"
	}
	r.result.Provision.Cameras = append(r.result.Provision.Cameras, cam)
	r.note(c.line, c.path, Taken, text)
}

// cameraID makes an id of an item's path.
func (r *reader) cameraID(path string) string {
	name := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	name = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss").Replace(name)
	id := strings.Join(strings.FieldsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }), "-")
	id = strings.Trim(id[:min(len(id), 28)], "-")
	if id == "" || id == "t" || strings.HasPrefix(id, settings.ProbePrefix) {
		id = "camera"
	}
	taken := func(id string) bool {
		return slices.ContainsFunc(r.result.Provision.Cameras, func(c settings.Camera) bool { return c.ID == id })
	}
	unique := id
	for n := 2; taken(unique); n++ {
		unique = id[:min(len(id), 28)] + "-" + strconv.Itoa(n)
	}
	return unique
}

// addresses reads {"Stream1":"…","Stream2":"…"}, as JSON in a text or as YAML.
func (r *reader) addresses(c *item, e entry, key string) {
	c.urlLine = e.line
	all := map[string]string{}
	if err := decode(e.value, &all); err != nil {
		r.note(e.line, key, Refused, `must look like '{"Stream1":"rtsp://192.168.178.9/live"}'`)
		return
	}
	found := false
	for i := range c.urls {
		name := "Stream" + strconv.Itoa(i+1)
		u, ok := all[name]
		delete(all, name)
		if u = strings.TrimSpace(u); !ok || u == "" {
			continue
		}
		if !strings.Contains(u, "://") {
			u = "rtsp://" + u
		}
		probe := settings.Camera{ID: "x", URL: u}
		if _, err := probe.Normalize(); err != nil || !plain(u) {
			reason := "cannot be written in a porthole.toml"
			if wrong, ok := errors.AsType[*settings.FieldError](err); ok {
				reason = wrong.Reason
			}
			r.note(e.line, key, Refused, name+" "+reason)
			continue
		}
		c.urls[i], found = u, true
	}
	if len(all) > 0 {
		r.note(e.line, key, Refused, "a camera has Stream1, Stream2 and Stream3; the others are left out")
	}
	if found {
		r.note(e.line, key, Taken, "")
	}
}

// decode reads a value that is JSON in a text, or YAML of the same form.
func decode(n *yaml.Node, out any) error {
	if n.Kind == yaml.ScalarNode {
		return json.Unmarshal([]byte(n.Value), out)
	}
	if deep(n, 0) {
		return errors.New("too deep, or with aliases")
	}
	return n.Decode(out)
}

// deep finds what must not be decoded: aliases, which can grow beyond all bounds, and what lies too deep.
func deep(n *yaml.Node, depth int) bool {
	if n.Kind == yaml.AliasNode || depth > maxDepth {
		return true
	}
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return deep(c, depth+1) })
}

// login takes what the camera asks for.
func (r *reader) login(c *item, line int, key, v string) {
	user, password, ok := credentials(v)
	if !ok {
		r.note(line, key, Refused, "this is not user:password")
		return
	}
	c.User, c.Password = user, password
	r.note(line, key, Taken, "for the camera itself, whether it asks for Basic or Digest")
}

// credentials splits user:password, which the plugin's page also writes in base64 (RFC 4648 section 4).
func credentials(v string) (user, password string, ok bool) {
	v = strings.TrimSpace(v)
	if !strings.Contains(v, ":") {
		b, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return "", "", false
		}
		v = string(b)
	}
	user, password, ok = strings.Cut(v, ":")
	user, password = strings.Trim(user, `"`), strings.Trim(password, `"`)
	return user, password, ok && user != "" && plain(user) && plain(password)
}

// streamSettings are what Alexa4P3 tells Amazon of a stream.
type streamSettings struct {
	Protocols          []string         `json:"protocols" yaml:"protocols"`
	Resolutions        []map[string]any `json:"resolutions" yaml:"resolutions"`
	AuthorizationTypes []string         `json:"authorizationTypes" yaml:"authorizationTypes"`
	VideoCodecs        []string         `json:"videoCodecs" yaml:"videoCodecs"`
	AudioCodecs        []string         `json:"audioCodecs" yaml:"audioCodecs"`
}

// stream checks alexa_stream_N against the addresses.
func (r *reader) stream(c *item, e entry, key, number string) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(c.urls) {
		r.note(e.line, key, Refused, fmt.Sprintf("a camera has streams 1 to %d", len(c.urls)))
		return
	}
	var s streamSettings
	if err := decode(e.value, &s); err != nil {
		r.note(e.line, key, Refused, "this is no JSON as Alexa4P3 has it")
		return
	}
	if c.urls[n-1] == "" {
		r.note(e.line, key, Refused, fmt.Sprintf("there is no address for it: %s has no Stream%d", keyURIs, n))
		return
	}
	if len(s.Protocols) > 0 && !slices.ContainsFunc(s.Protocols, func(p string) bool { return strings.EqualFold(p, "RTSP") }) {
		r.note(e.line, key, Refused, "its protocol is not RTSP, the only one cameras are read by")
		c.urls[n-1] = ""
		return
	}
	r.note(e.line, key, Changed, "resolution and codecs are read from the stream itself; the console writes this line for Alexa4P3 anew")
}

// modifiers reads the camera's options, "/del_audio/mod_ntp" or a list.
func (r *reader) modifiers(c *item, e entry, key string) {
	var text []string
	switch e.value.Kind {
	case yaml.ScalarNode:
		text = []string{e.value.Value}
	case yaml.SequenceNode:
		for _, n := range e.value.Content {
			text = append(text, n.Value)
		}
	default:
		r.note(e.line, key, Refused, "this is no list of modifiers")
		return
	}
	words := strings.FieldsFunc(strings.ToLower(strings.Join(text, " ")), func(c rune) bool {
		return strings.ContainsRune("/,;| \t\r\n", c)
	})
	if len(words) > maxModifier {
		r.note(e.line, key, Refused, "there are too many of them")
		return
	}
	for _, w := range words {
		o, text := modifier(&c.Options, w)
		r.note(e.line, key, o, text)
	}
}

// modifier sets an option; document 003 and its plugin name them.
func modifier(o *settings.StreamOptions, word string) (Outcome, string) {
	as := func(to *bool, name string) (Outcome, string) {
		*to = true
		return Taken, word + " as option " + name
	}
	switch strings.NewReplacer("-", "_", ":", "=").Replace(word) {
	case "del_audio":
		return as(&o.DropAudio, "drop_audio")
	case "del_framerate":
		return as(&o.DropFramerate, "drop_framerate")
	case "del_framesize":
		return as(&o.DropFramesize, "drop_framesize")
	case "mod_ntp":
		return as(&o.NptNow, "npt_now")
	case "add_crlf":
		return as(&o.ExtraCRLF, "extra_crlf")
	case "del_xaccept", "del_x_accept", "del_cache_control", "breakline":
		return Ignored, word + ": headers of the camera never reach a reader here"
	}
	if rest, ok := strings.CutPrefix(word, "b=as"); ok {
		n := 50 // what the plugin sets
		if digits := strings.Trim(rest, ":="); digits != "" {
			var err error
			if n, err = strconv.Atoi(digits); err != nil || n < 1 || n > 1_000_000 {
				return Refused, "b=AS needs a number of kbit/s"
			}
		}
		o.BandwidthKbps = n
		return Taken, fmt.Sprintf("b=AS as option bandwidth_kbps=%d", n)
	}
	return Refused, shown(word) + " is no modifier that is known here"
}
