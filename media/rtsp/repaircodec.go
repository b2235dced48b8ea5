package rtsp

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// codecName is how an rtpmap names a codec; clock is the only clock rate it may have, zero for any.
type codecName struct {
	name  string
	clock int
}

// knownCodecs are the names that cameras use, in capital letters, and what they mean.
var knownCodecs = map[string]codecName{
	"H264": {"H264", 90000}, "H.264": {"H264", 90000}, "AVC": {"H264", 90000}, "AVC1": {"H264", 90000},
	"H265": {"H265", 90000}, "H.265": {"H265", 90000}, "HEVC": {"H265", 90000}, "HEV1": {"H265", 90000}, "HVC1": {"H265", 90000},
	"PCMU": {"PCMU", 0}, "PCMA": {"PCMA", 0}, "G711U": {"PCMU", 8000}, "G711A": {"PCMA", 8000},
	"MPEG4-GENERIC": {"MPEG4-GENERIC", 0}, "AAC": {"MPEG4-GENERIC", 0}, "OPUS": {"opus", 48000},
}

// rtpmap puts right or guesses "H264/90000".
func (s *section) rtpmap(pt, value string, params []param) string {
	n, _ := strconv.Atoi(pt)
	fields := strings.Split(strings.ReplaceAll(value, " ", ""), "/")
	known, is := knownCodecs[strings.ToUpper(fields[0])]
	switch {
	case value == "" && n >= 96:
		known = s.guess(params)
		if known.name == "" {
			return ""
		}
		s.note(s.name + " did not say its codec (a=rtpmap); it can only be " + known.name + ".")
		fields = []string{known.name}
	case !is:
		return value
	}
	clock := ""
	if len(fields) > 1 {
		clock = fields[1]
	}
	if rate, err := strconv.ParseUint(clock, 10, 31); err != nil || rate == 0 || known.clock != 0 && int(rate) != known.clock {
		switch {
		case known.clock != 0:
			clock = strconv.Itoa(known.clock)
		case strings.HasPrefix(known.name, "PCM"):
			clock = "8000"
		default:
			return value
		}
		s.note(s.name + " had a clock rate (a=rtpmap) that " + known.name + " does not have; it was put right.")
	}
	if !strings.EqualFold(fields[0], known.name) {
		s.note(s.name + " called its codec " + strings.ToUpper(fields[0]) + " (a=rtpmap), which means " + known.name + ".")
	}
	out := known.name + "/" + clock
	// Only sound has channels.
	if len(fields) > 2 && known.clock != 90000 {
		out += "/" + fields[2]
	}
	return out
}

// guess tells a codec by its parameters.
func (s *section) guess(params []param) codecName {
	has := func(key string) bool {
		return slices.ContainsFunc(params, func(p param) bool { return p.key == key })
	}
	control, _ := s.md.Attribute("control")
	control = strings.ToLower(control)
	video := s.md.MediaName.Media == "video"
	switch {
	case video && (has("sprop-vps") || has("sprop-sps") || strings.Contains(control, "h265") || strings.Contains(control, "hevc")):
		return knownCodecs["H265"]
	case video && (has("sprop-parameter-sets") || has("packetization-mode") || has("profile-level-id") || strings.Contains(control, "h264")):
		return knownCodecs["H264"]
	}
	return codecName{}
}

// param is a part of an fmtp line; keys are in lowercase.
type param struct{ key, value string }

func splitParams(fmtp string) []param {
	var out []param
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, ok := strings.Cut(part, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); ok && key != "" && !slices.ContainsFunc(out, func(p param) bool { return p.key == key }) {
			out = append(out, param{key, strings.TrimSpace(value)})
		}
	}
	return out
}

// decode64 reads base64 with or without padding, in both alphabets.
func decode64(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/", " ", "").Replace(strings.TrimRight(strings.Trim(s, "\"' "), "= "))
	return base64.RawStdEncoding.DecodeString(s)
}

// h264 keeps parameters of RFC 6184 section 8.1 that are well formed; parameter sets come in the stream, too.
func (s *section) h264(params []param) []param {
	var out []param
	for _, p := range params {
		switch p.key {
		case "packetization-mode":
			if !slices.Contains([]string{"0", "1", "2"}, p.value) {
				s.note(s.name + " had a packetization-mode that does not exist (fmtp), which was left out.")
				continue
			}
		case "sprop-parameter-sets":
			if p.value = s.parameterSets(p.value); p.value == "" {
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

// parameterSets puts sprop-parameter-sets right; it is empty if that is not possible.
func (s *section) parameterSets(value string) string {
	var sets []string
	for set := range strings.SplitSeq(value, ",") {
		raw, err := decode64(set)
		if err != nil {
			s.note(s.name + " had parameter sets (sprop-parameter-sets) that are no base64; they are taken from the stream.")
			return ""
		}
		if raw = bytes.TrimPrefix(raw, []byte{0, 0, 0, 1}); len(raw) > 0 {
			sets = append(sets, base64.StdEncoding.EncodeToString(raw))
		}
	}
	fixed := strings.Join(sets, ",")
	if fixed != value {
		s.note(s.name + " had parameter sets (sprop-parameter-sets) that were badly written; they were put right.")
	}
	return fixed
}

// h265 does the same for RFC 7798 section 7.1.
func (s *section) h265(params []param) []param {
	var out []param
	for _, p := range params {
		switch p.key {
		case "sprop-max-don-diff":
			if _, err := strconv.ParseUint(p.value, 10, 15); err != nil {
				continue
			}
		case "sprop-vps", "sprop-sps", "sprop-pps":
			raw, err := decode64(p.value)
			raw = bytes.TrimPrefix(raw, []byte{0, 0, 0, 1})
			if err != nil || len(raw) == 0 || p.key == "sprop-sps" && new(h265.SPS).Unmarshal(raw) != nil ||
				p.key == "sprop-pps" && new(h265.PPS).Unmarshal(raw) != nil {
				s.note(s.name + " had a parameter set (" + p.key + ") that is none; it is taken from the stream.")
				continue
			}
			if fixed := base64.StdEncoding.EncodeToString(raw); fixed != p.value {
				p.value = fixed
				s.note(s.name + " had a parameter set (" + p.key + ") that was badly written; it was put right.")
			}
		}
		out = append(out, p)
	}
	return out
}

// aac completes the parameters that RFC 3640 section 4.1 wants, from the rtpmap and what all cameras mean.
func (s *section) aac(rtpmap string, params []param) []param {
	fields := strings.Split(rtpmap, "/")
	set := func(key, value, note string) {
		i := slices.IndexFunc(params, func(p param) bool { return p.key == key })
		if i < 0 {
			params = append(params, param{key, value})
		} else {
			params[i].value = value
		}
		if note != "" {
			s.note(s.name + " " + note)
		}
	}
	get := func(key string) string {
		i := slices.IndexFunc(params, func(p param) bool { return p.key == key })
		if i < 0 {
			return ""
		}
		return params[i].value
	}
	for key, fallback := range map[string]string{"sizelength": "13", "indexlength": "3", "indexdeltalength": "3"} {
		if n, err := strconv.ParseUint(get(key), 10, 6); err != nil || n == 0 && key == "sizelength" {
			set(key, fallback, "did not say how its sound is cut into packets (fmtp); the usual AAC-hbr was put in.")
		}
	}
	if v := get("streamtype"); v != "" && v != "5" {
		set("streamtype", "5", "had a wrong streamtype (fmtp), which was put right.")
	}
	if _, err := strconv.ParseUint(get("profile-level-id"), 10, 31); err != nil {
		set("profile-level-id", "1", "")
	}
	raw, err := hex.DecodeString(get("config"))
	if err == nil && new(mpeg4audio.AudioSpecificConfig).Unmarshal(raw) == nil || len(fields) < 2 {
		return params
	}
	rate, _ := strconv.Atoi(fields[1])
	channels := 1
	if len(fields) > 2 {
		channels, _ = strconv.Atoi(fields[2])
	}
	if rate <= 0 || rate > 96000 || channels < 1 || channels > 6 {
		return params
	}
	config := mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: rate, ChannelConfig: uint8(channels)}
	if enc, err := config.Marshal(); err == nil {
		set("config", hex.EncodeToString(enc), "did not describe its sound (config); it was worked out from its clock rate.")
	}
	return params
}
