package rtsp

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/pion/sdp/v3"
)

// Of what a camera says of itself only this is passed on, in this form: nothing else can hold an address or a name.
var (
	tellRange     = regexp.MustCompile(`^npt=(now|[0-9.:]{1,20})-[0-9.:]{0,20}$`)
	tellFramerate = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,8})?$`)
	tellFramesize = regexp.MustCompile(`^[0-9]{1,3} [0-9]{1,5}[-x,][0-9]{1,5}$`)
	tellXSize     = regexp.MustCompile(`^[0-9]{1,5}, ?[0-9]{1,5}$`)
)

// told is what a camera's description says beyond the tracks' formats.
type told struct {
	// npt is the value of a=range, kbps that of b=AS; both are of the session.
	npt  string
	kbps uint64
	// tracks are in the order readers see them in.
	tracks []trackTold
}

type trackTold struct {
	framerate, framesize, dimensions string
	kbps                             uint64
}

// toldOf collects what is told of a description whose tracks, in the same order, all were; used are those passed on.
func toldOf(s *sdp.SessionDescription, all, used []*description.Media) told {
	var t told
	if v, ok := s.Attribute("range"); ok && tellRange.MatchString(v) {
		t.npt = v
	}
	t.kbps = announced(s.Bandwidth)
	of := map[*description.Media]trackTold{}
	for i, md := range s.MediaDescriptions {
		if i >= len(all) {
			break
		}
		var m trackTold
		pass := func(to *string, key string, form *regexp.Regexp) {
			if v, ok := md.Attribute(key); ok && form.MatchString(v) {
				*to = v
			}
		}
		pass(&m.framerate, "framerate", tellFramerate)
		pass(&m.framesize, "framesize", tellFramesize)
		pass(&m.dimensions, "x-dimensions", tellXSize)
		if v, ok := s.Attribute("framerate"); ok && m.framerate == "" && md.MediaName.Media == "video" && tellFramerate.MatchString(v) {
			m.framerate = v
		}
		m.kbps = announced(md.Bandwidth)
		of[all[i]] = m
	}
	for _, m := range used {
		t.tracks = append(t.tracks, of[m])
	}
	return t
}

// announced is the value of b=AS in kbit/s (RFC 4566 section 5.8), zero if there is none.
func announced(list []sdp.Bandwidth) uint64 {
	for _, b := range list {
		if b.Type == "AS" && !b.Experimental {
			return b.Bandwidth
		}
	}
	return 0
}

// dress adds what the camera told to the description that readers get, as the options say.
func (t told) dress(body []byte, o Options) []byte {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\r\n") }
	bandwidth := func(kbps uint64) {
		if kbps > 0 {
			line("b=AS:" + strconv.FormatUint(kbps, 10))
		}
	}
	session, track := t.kbps, -1
	if o.BandwidthKbps > 0 {
		session = 0
	}
	end := func() {
		if track < 0 || track >= len(t.tracks) {
			return
		}
		m := t.tracks[track]
		if m.framerate != "" && !o.DropFramerate {
			line("a=framerate:" + m.framerate)
		}
		if m.framesize != "" && !o.DropFramesize {
			line("a=framesize:" + m.framesize)
		}
		if m.dimensions != "" && !o.DropFramesize {
			line("a=x-dimensions:" + m.dimensions)
		}
	}
	for l := range strings.SplitSeq(strings.TrimSuffix(string(body), "\r\n"), "\r\n") {
		isTrack := strings.HasPrefix(l, "m=")
		if isTrack {
			end()
			track++
		}
		line(l)
		switch {
		case strings.HasPrefix(l, "c=") && track < 0:
			bandwidth(session)
		case strings.HasPrefix(l, "t=") && t.npt != "":
			line("a=range:" + t.rangeFor(o))
		case isTrack && o.BandwidthKbps > 0 && strings.HasPrefix(l, "m=video"):
			bandwidth(uint64(o.BandwidthKbps))
		case isTrack && o.BandwidthKbps == 0 && track < len(t.tracks):
			bandwidth(t.tracks[track].kbps)
		}
	}
	end()
	if o.ExtraCRLF {
		line("")
	}
	return []byte(b.String())
}

// rangeFor is the value of a=range. Some readers take npt=0- for a recording that has a beginning.
func (t told) rangeFor(o Options) string {
	if from, to, _ := strings.Cut(strings.TrimPrefix(t.npt, "npt="), "-"); o.NptNow && strings.Trim(from, "0.:") == "" {
		return fmt.Sprintf("npt=now-%s", to)
	}
	return t.npt
}
