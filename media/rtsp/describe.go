package rtsp

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

var errNoMedia = errors.New("the camera offers neither video nor audio")

// usable keeps what is passed on of a camera's description: video and audio whose packets have a clock. ONVIF's event
// tracks confuse readers, and back channels go the other way. note is told what else was left out.
func usable(desc *description.Session, dropAudio bool, note func(string)) ([]*description.Media, error) {
	var out []*description.Media
	controls := map[string]bool{}
	for _, m := range desc.Medias {
		if m.IsBackChannel || dropAudio && m.Type == description.MediaTypeAudio || (m.Type != description.MediaTypeVideo && m.Type != description.MediaTypeAudio) {
			continue
		}
		m.Formats = slices.DeleteFunc(m.Formats, func(f format.Format) bool { return f.ClockRate() <= 0 })
		if len(m.Formats) == 0 {
			continue
		}
		for _, f := range m.Formats {
			// Cameras forget packetization-mode and fragment all the same. A reader of mode 1 understands mode 0
			// (RFC 6184 section 6), and gortsplib handles nothing else over UDP.
			if h, ok := f.(*format.H264); ok {
				h.PacketizationMode = 1
			}
		}
		if controls[m.Control] {
			note("Two tracks have the same address (a=control), so the second was left out.")
			continue
		}
		controls[m.Control] = true
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, errNoMedia
	}
	return out, nil
}

// sameFormats reports whether readers that were told of a can be served with b. A parameter set that one side lacks
// says nothing: cameras send them in the stream as well.
func sameFormats(a, b []*description.Media) bool {
	return slices.EqualFunc(a, b, func(a, b *description.Media) bool {
		return a.Type == b.Type && slices.EqualFunc(a.Formats, b.Formats, func(a, b format.Format) bool {
			return a.PayloadType() == b.PayloadType() && a.RTPMap() == b.RTPMap() &&
				maps.Equal(fixedParams(a), fixedParams(b)) &&
				(len(spsOf(a)) == 0 || len(spsOf(b)) == 0 || bytes.Equal(spsOf(a), spsOf(b)))
		})
	})
}

// fixedParams is the fmtp without parameter sets.
func fixedParams(f format.Format) map[string]string {
	out := maps.Clone(f.FMTP())
	maps.DeleteFunc(out, func(k, _ string) bool { return strings.HasPrefix(k, "sprop-") || k == "profile-level-id" })
	return out
}

func spsOf(f format.Format) []byte {
	switch f := f.(type) {
	case *format.H264:
		return f.SPS
	case *format.H265:
		return f.SPS
	}
	return nil
}

// learn takes the parameter sets a packet carries into the format and reports whether they were new.
func learn(f format.Format, payload []byte) bool {
	changed := false
	set := func(old *[]byte, new []byte) {
		if !bytes.Equal(*old, new) {
			*old = bytes.Clone(new)
			changed = true
		}
	}
	for n := range nals(f, payload) {
		if n.body == nil {
			continue
		}
		switch f := f.(type) {
		case *format.H264:
			switch n.kind {
			case nalSPS:
				if !bytes.Equal(f.SPS, n.body) && new(h264.SPS).Unmarshal(n.body) == nil {
					set(&f.SPS, n.body)
				}
			case nalPPS:
				set(&f.PPS, n.body)
			}
		case *format.H265:
			switch n.kind {
			case nalVPS:
				set(&f.VPS, n.body)
			case nalSPS:
				if !bytes.Equal(f.SPS, n.body) && new(h265.SPS).Unmarshal(n.body) == nil {
					set(&f.SPS, n.body)
				}
			case nalPPS:
				set(&f.PPS, n.body)
			}
		}
	}
	return changed
}

// described reports whether a format needs no more parameter sets to be understood.
func described(f format.Format) bool {
	switch f := f.(type) {
	case *format.H264:
		return len(f.SPS) > 0 && len(f.PPS) > 0
	case *format.H265:
		return len(f.VPS) > 0 && len(f.SPS) > 0 && len(f.PPS) > 0
	}
	return true
}

func codecOf(f format.Format) Codec {
	switch f := f.(type) {
	case *format.H264:
		return H264
	case *format.H265:
		return H265
	case *format.MPEG4Audio:
		return AAC
	case *format.Opus:
		return Opus
	case *format.G711:
		if f.MULaw {
			return PCMU
		}
		return PCMA
	}
	name, _, _ := strings.Cut(f.RTPMap(), "/")
	if name == "" {
		return Codec(f.Codec()) //nolint:staticcheck // the only name that formats with a static payload type have
	}
	return Codec(strings.ToUpper(name))
}

func channelsOf(f format.Format) int {
	switch f := f.(type) {
	case *format.Opus:
		return f.ChannelCount
	case *format.G711:
		return f.ChannelCount
	}
	// rtpmap: name/clock/channels (RFC 4566 section 6), one if it says nothing.
	n := 1
	if parts := strings.Split(f.RTPMap(), "/"); len(parts) == 3 {
		_, _ = fmt.Sscan(parts[2], &n)
	}
	return n
}

func kindOf(m *description.Media) Kind {
	if m.Type == description.MediaTypeVideo {
		return Video
	}
	return Audio
}
