package imports

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"porthole/packages/internal/settings"
)

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yaml reads a file of SmartHomeNG's.
func (r *reader) yaml(content []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		// The parser's own words may hold pieces of the file.
		line := 0
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		r.note(line, "", Refused, "from here on the file is no YAML; check indentation (no tabs) and quotes")
		return
	}
	if len(doc.Content) == 0 {
		r.note(0, "", Ignored, "the file is empty")
		return
	}
	before := len(r.result.Notes)
	r.mapping(doc.Content[0], "", 0)
	switch {
	case len(r.result.Notes) == before:
		r.note(0, "", Ignored, "there is no AlexaCamProxy4P3 and no item with a camera of Alexa4P3 in it")
	case r.other > 0:
		r.note(0, "", Ignored, fmt.Sprintf("%d other sections and items have nothing to do with cameras", r.other))
	}
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// entries lists a mapping; a key that comes again is refused.
func (r *reader) entries(n *yaml.Node, path string) []entry {
	var out []entry
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entry{n.Content[i].Value, n.Content[i].Line, n.Content[i+1]}
		if n.Content[i].Kind != yaml.ScalarNode {
			r.note(e.line, path, Refused, "this key is no name")
			continue
		}
		if first, ok := seen[e.key]; ok {
			r.note(e.line, join(path, e.key), Refused, fmt.Sprintf("is already on line %d", first))
			continue
		}
		if e.value.Kind == yaml.AliasNode {
			// Nobody writes them in these files, and they can make a small file a huge one.
			r.note(e.line, join(path, e.key), Refused, "aliases (*name) are not followed; write the value itself")
			continue
		}
		seen[e.key] = e.line
		out = append(out, e)
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// mapping looks for the plugin and for cameras in n and below.
func (r *reader) mapping(n *yaml.Node, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		return
	}
	if depth > maxDepth {
		r.note(n.Line, path, Refused, fmt.Sprintf("items lie more than %d deep in each other", maxDepth))
		return
	}
	all := r.entries(n, path)
	switch {
	case isPlugin(all):
		r.plugin(all, path)
		return
	case isCamera(all):
		r.camera(all, path)
	case path != "":
		r.other++
	}
	for _, e := range all {
		if e.key == "environment" && r.compose(e, path) {
			continue
		}
		if !strings.HasPrefix(e.key, "alexa_") {
			r.mapping(e.value, join(path, e.key), depth+1)
		}
	}
}

// isPlugin recognizes the section of plugin.yaml by the names SmartHomeNG loads the plugin by.
func isPlugin(all []entry) bool {
	for _, e := range all {
		switch e.key {
		case "class_name", "class_path", "plugin_name":
			if strings.Contains(strings.ToLower(e.value.Value), "alexacamproxy") {
				return true
			}
		}
	}
	return false
}

// plugin reads the section of document 003, "Plugin-Configuration".
func (r *reader) plugin(all []entry, path string) {
	for _, e := range all {
		key, v := join(path, e.key), strings.TrimSpace(e.value.Value)
		if e.value.Kind != yaml.ScalarNode {
			r.note(e.line, key, Refused, "this is no single value")
			continue
		}
		switch e.key {
		case "class_name", "class_path", "plugin_name", "plugin_enabled", "instance":
		case "port":
			if v == "443" {
				r.note(e.line, key, Taken, "cameras, console and live view share it, so nothing else has to move")
			} else {
				r.note(e.line, key, Changed, "the port is 443 here: forward your router's port 443 to it")
			}
		case "video_buffer":
			r.note(e.line, key, Ignored, "every reader has a queue that is bounded by itself")
		case "cert_path", "cert_path_key":
			r.note(e.line, key, Ignored, "the device gets its own certificate; copies of old ones expire unnoticed")
		case "proxy_url":
			r.publicName(e.line, key, v)
		case "proxy_credentials":
			r.account(e.line, key, v)
		case "proxy_auth_type":
			r.authType(e.line, key, v)
		case "only_allow_own_IP":
			r.onlyOwn(e.line, key, v)
		default:
			r.note(e.line, key, Ignored, "no such setting of AlexaCamProxy4P3 is known")
		}
	}
}

func (r *reader) authType(line int, key, v string) {
	switch strings.ToUpper(v) {
	case "DIGEST":
		r.auth = settings.DigestAuth
		r.note(line, key, Taken, "for every camera")
	case "BASIC":
		r.auth = settings.BasicAuth
		r.note(line, key, Taken, "for every camera")
	case "NONE":
		r.auth = settings.NoAuth
		r.note(line, key, Changed, "nobody is asked who comes from a network that you open in the console; everybody else is")
	default:
		r.note(line, key, Refused, "must be DIGEST, BASIC or NONE")
	}
}

func (r *reader) onlyOwn(line int, key, v string) {
	var on bool
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		on = true
	case "false", "no", "off", "0":
	default:
		r.note(line, key, Refused, "must be true or false")
		return
	}
	r.result.Provision.Access.OnlyOwnNetwork = &on
	text := "everybody may connect, and has to log in"
	if on {
		text = "your own networks and the public name's address may connect; an allow list is in the console"
	}
	r.note(line, key, Taken, text)
}
