package rtsp

import (
	"fmt"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/pion/rtp"
)

const (
	// maxReorder is how far, in ticks of 90 kHz, a picture's timestamp may lie before another's that was sent earlier.
	maxReorder = 2 * 90000
	// orderKnown is after how many pictures their order says more than the SPS, where many encoders write the worst case.
	orderKnown = 120
)

// order watches whether pictures are sent in another order than they are shown in.
type order struct {
	newest    uint32
	pictures  int
	reordered bool
}

// see takes a packet's timestamp and reports whether it changed what is known.
func (o *order) see(pkt *rtp.Packet) bool {
	ahead := int32(pkt.Timestamp - o.newest)
	switch {
	case o.pictures == 0 || ahead > 0:
		o.newest = pkt.Timestamp
		o.pictures++
		return o.pictures == orderKnown
	case ahead < 0 && ahead > -maxReorder && !o.reordered:
		o.reordered = true
		return true
	case ahead <= -maxReorder:
		// The camera's clock was set.
		o.newest = pkt.Timestamp
	}
	return false
}

// trackStatus describes the first format of a track to a person; seen is the order of its pictures.
func trackStatus(m *description.Media, seen order) TrackStatus {
	f := m.Formats[0]
	s := TrackStatus{Kind: kindOf(m), Codec: codecOf(f), ClockRate: f.ClockRate()}
	reorder := false
	switch f := f.(type) {
	case *format.H264:
		var sps h264.SPS
		if sps.Unmarshal(f.SPS) == nil {
			s.Width, s.Height, s.Profile = sps.Width(), sps.Height(), h264Profile(sps.ProfileIdc)
			reorder = h264Reorders(&sps)
		}
	case *format.H265:
		var sps h265.SPS
		if sps.Unmarshal(f.SPS) == nil {
			s.Width, s.Height, s.Profile = sps.Width(), sps.Height(), h265Profile(sps.ProfileTierLevel.GeneralProfileIdc)
			n := len(sps.MaxNumReorderPics)
			reorder = n > 0 && sps.MaxNumReorderPics[n-1] > 0
		}
	}
	s.BFrames = seen.reordered || reorder && seen.pictures < orderKnown
	if s.Kind == Video {
		if s.Width > 0 {
			s.Detail = strings.TrimSpace(fmt.Sprintf("%d×%d %s", s.Width, s.Height, s.Profile))
		}
		return s
	}
	s.Channels = channelsOf(f)
	s.Detail = soundDetail(f.ClockRate(), s.Channels)
	return s
}

func soundDetail(rate, n int) string {
	channels := fmt.Sprintf("%d channels", n)
	switch n {
	case 1:
		channels = "mono"
	case 2:
		channels = "stereo"
	}
	return fmt.Sprintf("%g kHz %s", float64(rate)/1000, channels)
}

// h264Reorders reports whether an SPS says that pictures are reordered (ITU-T H.264 sections 7.4.2.1.1 and E.2.1).
// One that says nothing may be of either kind.
func h264Reorders(sps *h264.SPS) bool {
	if sps.PicOrderCntType == 2 || sps.VUI == nil || sps.VUI.BitstreamRestriction == nil {
		return false
	}
	return sps.VUI.BitstreamRestriction.MaxNumReorderFrames > 0
}

// h264Profile names a profile_idc (ITU-T H.264 annex A).
func h264Profile(idc uint8) string {
	switch idc {
	case 66:
		return "baseline"
	case 77:
		return "main"
	case 88:
		return "extended"
	case 100:
		return "high"
	case 110:
		return "high 10"
	case 122:
		return "high 4:2:2"
	case 244:
		return "high 4:4:4"
	}
	return ""
}

// h265Profile names a general_profile_idc (ITU-T H.265 annex A).
func h265Profile(idc uint8) string {
	switch idc {
	case 1:
		return "main"
	case 2:
		return "main 10"
	case 3:
		return "main still picture"
	case 4:
		return "range extensions"
	}
	return ""
}
