package rtsp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/sdp/v3"
)

// rtpProfiles are the words of a transport in a m= line that gortsplib knows.
var rtpProfiles = []string{"UDP", "RTP", "AVP", "SAVP", "SAVPF", "MP2T", "TLS", "DTLS", "SCTP", "AVPF", "TCP"}

// section is a track being repaired.
type section struct {
	*mender
	// name is how sentences call it.
	name string
	md   *sdp.MediaDescription
}

// track makes the nth track from its lines; nil if it cannot be understood.
func (m *mender) track(n int, lines []sdpLine) *sdp.MediaDescription {
	s := &section{mender: m, name: fmt.Sprintf("Track %d", n), md: &sdp.MediaDescription{}}
	formats, ok := s.mediaLine(lines[0].value)
	if !ok {
		m.note(s.name + " is of a kind that is not known and was left out.")
		return nil
	}
	s.name += " (" + s.md.MediaName.Media + ")"
	var controls []string
	maps, params := map[string]string{}, map[string]string{}
	for _, l := range lines[1:] {
		switch l.key {
		case 'b':
			if b, ok := m.bandwidth(l); ok {
				s.md.Bandwidth = append(s.md.Bandwidth, b)
			}
		case 'c':
			if l.value != "" && !readable(l) {
				m.note(s.name + " had a malformed address (c=), which was left out.")
			}
		case 'a':
			a, _ := m.attribute(l.value)
			switch a.Key {
			case "control":
				controls = append(controls, a.Value)
			case "rtpmap":
				s.perFormat(maps, a.Value, formats)
			case "fmtp":
				s.perFormat(params, a.Value, formats)
			case "", "key-mgmt":
			default:
				s.md.Attributes = append(s.md.Attributes, a)
			}
		}
	}
	s.control(controls)
	if len(formats) == 0 {
		for pt := range maps {
			formats = append(formats, pt)
		}
		slices.Sort(formats)
		m.note(s.name + " did not say its payload types (m=); they were taken from its rtpmap lines.")
	}
	for _, pt := range formats {
		s.format(pt, maps[pt], params[pt])
	}
	if new(description.Media).Unmarshal(s.md) != nil {
		m.note(s.name + " could not be understood and was left out.")
		return nil
	}
	return s.md
}

// mediaLine reads "video 0 RTP/AVP 96" (RFC 4566 section 5.14) and returns the payload types.
func (s *section) mediaLine(value string) (formats []string, ok bool) {
	fields := strings.Fields(value)
	if len(fields) == 0 {
		return nil, false
	}
	name := &s.md.MediaName
	name.Media = strings.ToLower(fields[0])
	name.Protos = []string{"RTP", "AVP"}
	if !slices.Contains([]string{"video", "audio", "application", "metadata", "meta", "text"}, name.Media) {
		return nil, false
	}
	rest := fields[1:]
	if len(rest) > 0 && !strings.Contains(rest[0], "RTP") {
		port, _, _ := strings.Cut(rest[0], "/")
		port, _, _ = strings.Cut(port, "-")
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || port != rest[0] {
			s.note(s.name + " had a malformed port (m=), which does not matter and was replaced.")
		}
		name.Port.Value = int(n)
		rest = rest[1:]
	}
	transport := false
	if len(rest) > 0 && strings.ContainsFunc(rest[0], func(r rune) bool { return r >= 'A' && r <= 'z' }) && !strings.HasPrefix(rest[0], "smart/") {
		words := strings.Split(strings.ToUpper(rest[0]), "/")
		known := !slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(rtpProfiles, w) })
		if known {
			name.Protos = words
		}
		transport = known && strings.ToUpper(rest[0]) == rest[0]
		rest = rest[1:]
	}
	if !transport {
		s.note(s.name + " named no transport that exists (m=); RTP/AVP was put in.")
	}
	for _, f := range rest {
		if n, err := strconv.ParseUint(f, 10, 7); err != nil {
			s.note(s.name + " had a payload type that is not one (m=), which was left out.")
		} else if pt := strconv.FormatUint(n, 10); !slices.Contains(formats, pt) {
			formats = append(formats, pt)
		}
	}
	return formats, true
}

// perFormat stores what stands behind the payload type in an rtpmap or fmtp line. A line without one means the track's
// only format.
func (s *section) perFormat(to map[string]string, value string, formats []string) {
	pt, rest, _ := strings.Cut(value, " ")
	if n, err := strconv.ParseUint(pt, 10, 7); err == nil {
		pt = strconv.FormatUint(n, 10)
	} else if len(formats) == 1 && value != "" {
		pt, rest = formats[0], value
		s.note(s.name + " had a line without payload type, which was added.")
	}
	if rest = strings.TrimSpace(rest); rest != "" && to[pt] == "" {
		to[pt] = rest
	}
}

// control keeps the first address of a track that is one.
func (s *section) control(list []string) {
	for _, c := range list {
		c = strings.Trim(c, "\"' ")
		if c == "" || c == "*" {
			continue
		}
		if scheme, rest, ok := strings.Cut(c, "://"); ok {
			c = strings.ToLower(scheme) + "://" + rest
		}
		s.md.Attributes = append(s.md.Attributes, sdp.NewAttribute("control", c))
		break
	}
	if len(list) > 1 {
		s.note(s.name + " had several addresses (a=control); the first was taken.")
	}
}

// format adds a format if it can be understood.
func (s *section) format(pt, rtpmap, fmtp string) {
	params := splitParams(fmtp)
	rtpmap = s.rtpmap(pt, rtpmap, params)
	name, _, _ := strings.Cut(rtpmap, "/")
	switch name {
	case "H264":
		params = s.h264(params)
	case "H265":
		params = s.h265(params)
	case "MPEG4-GENERIC":
		params = s.aac(rtpmap, params)
	}
	md := &sdp.MediaDescription{MediaName: s.md.MediaName}
	md.MediaName.Formats = []string{pt}
	if rtpmap != "" {
		md.Attributes = append(md.Attributes, sdp.NewAttribute("rtpmap", pt+" "+rtpmap))
	}
	if len(params) > 0 {
		var parts []string
		for _, p := range params {
			parts = append(parts, p.key+"="+p.value)
		}
		md.Attributes = append(md.Attributes, sdp.NewAttribute("fmtp", pt+" "+strings.Join(parts, "; ")))
	}
	if _, err := format.Unmarshal(md, pt); err != nil {
		s.note(s.name + " has a format that could not be understood (payload type " + pt + "), which was left out.")
		return
	}
	s.md.MediaName.Formats = append(s.md.MediaName.Formats, pt)
	s.md.Attributes = append(s.md.Attributes, md.Attributes...)
}
