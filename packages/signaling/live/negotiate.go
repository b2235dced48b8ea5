package live

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"porthole/media/rtsp"
)

// format is one payload type that a viewer offers to take.
type format struct {
	payloadType uint8
	// name is the encoding's name in lower case, for example "h264".
	name      string
	clockRate int
	channels  int
	fmtp      string
}

// offer is what a viewer's SDP says of the media it wants to receive.
type offer struct {
	video, audio []format
}

// maxOffer bounds an SDP offer: Chromium's are under 10 KiB.
const maxOffer = 64 << 10

// parseOffer reads the formats a viewer can take. Errors are *Refusal with BadOffer.
func parseOffer(text string) (offer, error) {
	if len(text) > maxOffer {
		return offer{}, &Refusal{Reason: BadOffer, Message: fmt.Sprintf("the SDP offer is longer than %d bytes", maxOffer)}
	}
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(text); err != nil {
		return offer{}, &Refusal{Reason: BadOffer, Message: "the SDP offer cannot be read", Err: err}
	}
	var o offer
	for _, m := range desc.MediaDescriptions {
		if _, no := m.Attribute("inactive"); no || m.MediaName.Port.Value == 0 && !bundleOnly(m) {
			continue
		}
		if _, no := m.Attribute("sendonly"); no {
			continue
		}
		// One stream each (draft-ietf-wish-whep section "Single MediaStream").
		switch m.MediaName.Media {
		case "video":
			if o.video == nil {
				o.video = formats(m)
			}
		case "audio":
			if o.audio == nil {
				o.audio = formats(m)
			}
		}
	}
	if o.video == nil {
		return offer{}, &Refusal{Reason: BadOffer, Message: "the SDP offer asks for no video"}
	}
	return o, nil
}

// bundleOnly: such a section has port 0 and is wanted all the same (RFC 9143 section 6).
func bundleOnly(m *sdp.MediaDescription) bool {
	_, ok := m.Attribute("bundle-only")
	return ok
}

// formats lists a media section's payload types in the order of preference.
func formats(m *sdp.MediaDescription) []format {
	out := []format{}
	for _, id := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(id, 10, 7)
		if err != nil {
			continue
		}
		f := format{payloadType: uint8(pt)}
		// The static payload types of RFC 3551 section 6 need no rtpmap.
		switch pt {
		case 0:
			f.name, f.clockRate, f.channels = "pcmu", 8000, 1
		case 8:
			f.name, f.clockRate, f.channels = "pcma", 8000, 1
		}
		for _, a := range m.Attributes {
			rest, ok := strings.CutPrefix(a.Value, id+" ")
			if !ok {
				continue
			}
			switch a.Key {
			case "rtpmap":
				f.rtpmap(rest)
			case "fmtp":
				f.fmtp = rest
			}
		}
		if f.name != "" {
			out = append(out, f)
		}
	}
	return out
}

// rtpmap reads <encoding name>/<clock rate>[/<channels>] (RFC 8866 section 6.6).
func (f *format) rtpmap(s string) {
	parts := strings.Split(s, "/")
	f.name, f.channels = strings.ToLower(parts[0]), 1
	if len(parts) > 1 {
		f.clockRate, _ = strconv.Atoi(parts[1])
	}
	if len(parts) > 2 {
		f.channels, _ = strconv.Atoi(parts[2])
	}
}

// parameter returns a value of the format's fmtp line, in lower case; "" when absent.
func (f format) parameter(name string) string {
	for p := range strings.SplitSeq(f.fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(k, name) {
			return strings.ToLower(strings.TrimSpace(v))
		}
	}
	return ""
}

// choice is what is sent to one viewer.
type choice struct {
	video webrtc.RTPCodecParameters
	// audio is nil when there is none to send; note then says why, if there is something to say.
	audio *webrtc.RTPCodecParameters
	note  string
	// convertVideo and convertAudio mean that the camera's own format will not do; converted says so to a person.
	convertVideo, convertAudio bool
	converted                  string
	// pictureBy and soundBy are the conversions in use, see Server.agree.
	pictureBy, soundBy *conversion
}

// abilities is what choose must know besides.
type abilities struct {
	// convert means that there is a decoder child.
	convert bool
	// reordered means that the camera's pictures cannot be played in the order that they come in.
	reordered bool
}

// choose picks the formats for a viewer from what the camera sends. Errors are *Refusal with NoCodec.
func choose(o offer, tracks []rtsp.Track, can abilities) (choice, error) {
	var c choice
	v := slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Video })
	if v < 0 {
		return choice{}, &Refusal{Reason: NoCodec, Message: "no codec in common: the camera sends no video"}
	}
	f, converted, ok := chooseVideo(o.video, tracks[v], can)
	if !ok {
		return choice{}, &Refusal{Reason: NoCodec, Message: fmt.Sprintf("no codec in common: the camera sends %s, this browser plays %s",
			tracks[v].Codec, names(o.video))}
	}
	c.video, c.convertVideo = parameters("video", f), converted
	c.video.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}

	a := slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Audio })
	if a >= 0 && o.audio != nil {
		if f, c.convertAudio, ok = chooseAudio(o.audio, tracks[a], can); ok {
			p := parameters("audio", f)
			c.audio = &p
		} else {
			c.note = fmt.Sprintf("no sound: the camera sends %s", tracks[a].Codec)
		}
	}
	switch {
	case c.convertVideo && c.convertAudio:
		c.converted = fmt.Sprintf("This browser plays neither the camera's picture (%s) nor its sound (%s) as they are, so the device converts both.",
			described(tracks[v], can), described(tracks[a], can))
	case c.convertVideo:
		c.converted = fmt.Sprintf("This browser does not play the camera's picture (%s) as it is, so the device converts it.", described(tracks[v], can))
	case c.convertAudio:
		c.converted = fmt.Sprintf("Browsers do not play the camera's sound (%s) as it is, so the device converts it.", described(tracks[a], can))
	}
	return c, nil
}

// described names a track's format to a person.
func described(t rtsp.Track, can abilities) string {
	name := string(t.Codec)
	switch t.Codec {
	case rtsp.H264:
		name = "H.264"
	case rtsp.H265:
		name = "H.265"
	case rtsp.MPEG4:
		name = "MPEG-4"
	case rtsp.JPEG:
		name = "motion JPEG"
	case rtsp.LATM:
		name = "AAC"
	}
	if can.reordered && t.Kind == rtsp.Video {
		name += " with B-frames"
	}
	return name
}

func parameters(kind string, f format) webrtc.RTPCodecParameters {
	channels := uint16(0)
	if kind == "audio" {
		channels = uint16(f.channels)
	}
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: kind + "/" + f.name, ClockRate: uint32(f.clockRate), Channels: channels, SDPFmtpLine: f.fmtp,
		},
		PayloadType: webrtc.PayloadType(f.payloadType),
	}
}

// names lists the formats for a person, without those that only repair or wrap others.
func names(formats []format) string {
	var out []string
	for _, f := range formats {
		switch f.name {
		case "rtx", "red", "ulpfec", "flexfec-03":
			continue
		}
		if n := strings.ToUpper(f.name); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	if out == nil {
		return "nothing we know"
	}
	return strings.Join(out, ", ")
}

// chooseAudio also reports whether the sound must be converted to what is chosen.
func chooseAudio(offered []format, t rtsp.Track, can abilities) (f format, converted, ok bool) {
	for _, f := range offered {
		// RFC 7587 section 7: Opus is always written opus/48000/2.
		if strings.EqualFold(f.name, string(t.Codec)) && f.clockRate == t.ClockRate && (t.Codec == rtsp.Opus || f.channels == max(t.Channels, 1)) {
			switch t.Codec {
			case rtsp.Opus, rtsp.PCMU, rtsp.PCMA:
				return f, false, true
			}
		}
	}
	if _, ok := convertible(t, false); !ok || !can.convert {
		return format{}, false, false
	}
	i := slices.IndexFunc(offered, func(f format) bool { return f.name == "opus" && f.clockRate == opusRate })
	if i < 0 {
		return format{}, false, false
	}
	return offered[i], true, true
}

// chooseVideo also reports whether the picture must be converted to what is chosen.
func chooseVideo(offered []format, t rtsp.Track, can abilities) (f format, converted, ok bool) {
	// Without a converter there is nothing to lose.
	if !can.convert || !can.reordered && (t.Codec != rtsp.H264 || browsersDecode(t.SPS)) {
		if f, ok := chooseOwn(offered, t); ok {
			return f, false, true
		}
	}
	if _, ok := convertible(t, can.reordered); !ok || !can.convert {
		return format{}, false, false
	}
	i := slices.IndexFunc(offered, func(f format) bool { return f.name == "vp8" && f.clockRate == 90000 })
	if i < 0 {
		return format{}, false, false
	}
	return offered[i], true, true
}

// chooseOwn picks a format that takes the camera's picture as it is.
func chooseOwn(offered []format, t rtsp.Track) (format, bool) {
	switch t.Codec {
	case rtsp.H264:
		return chooseH264(offered, t.SPS)
	case rtsp.H265:
		i := slices.IndexFunc(offered, func(f format) bool { return f.name == "h265" && f.clockRate == 90000 })
		if i < 0 {
			return format{}, false
		}
		return offered[i], true
	default:
		return format{}, false
	}
}

// browsersDecode: no browser's decoder for WebRTC knows more than the High profile.
func browsersDecode(sps []byte) bool { return len(sps) < 4 || profileRank(sps[1], sps[2]) <= 3 }

// chooseH264 picks the offered profile that is the camera's or nearest to it; the first of equals. Only
// packetization-mode 1 will do (RFC 6184 section 6.3).
func chooseH264(offered []format, sps []byte) (format, bool) {
	best, found, bestCost := format{}, false, 0
	for _, f := range offered {
		if f.name != "h264" || f.clockRate != 90000 || f.parameter("packetization-mode") != "1" {
			continue
		}
		if cost := profileCost(f.parameter("profile-level-id"), sps); !found || cost < bestCost {
			best, found, bestCost = f, true, cost
		}
	}
	return best, found
}

// profileCost is 0 when the offered profile-level-id (RFC 6184 section 8.1) takes the stream of sps as it is.
func profileCost(offered string, sps []byte) int {
	if len(sps) < 4 {
		return 0
	}
	id, err := hex.DecodeString(offered)
	if err != nil || len(id) != 3 {
		// Absent means Constrained Baseline, level 1 (RFC 6184 section 8.1).
		id = []byte{66, 0xc0, 10}
	}
	have, want := profileRank(id[0], id[1]), profileRank(sps[1], sps[2])
	cost := 0
	switch {
	case have > want:
		cost = 2 * (have - want)
	case have < want:
		// A decoder of a lesser profile may not be able to.
		cost = 100 * (want - have)
	}
	if id[2] < sps[3] {
		cost++
	}
	return cost
}

// profileRank orders the profiles by what a decoder must know (ITU-T H.264 annex A.2).
func profileRank(idc, constraints byte) int {
	switch {
	case idc == 66 && constraints&0x40 != 0:
		return 0
	case idc == 66:
		return 1
	case idc == 77 && constraints&0x80 != 0:
		return 0
	case idc == 77:
		return 2
	case idc == 100:
		return 3
	default:
		return 4
	}
}
