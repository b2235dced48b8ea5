package rtsp

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// trackPrefix is how gortsplib names tracks in the descriptions it writes.
const trackPrefix = "trackID="

// target is what a request is about.
type target struct {
	// path is as the URL has it, without slashes at its ends. It is what readers are shown.
	path string
	// stream is what the path stands for, a Hub's the Source's id; empty if nothing.
	stream string
	// byToken says that the path is of the form of a token's.
	byToken bool
	// track is the number behind trackID=, empty if the URL names none.
	track string
}

// parseTarget reads rtsp://host/path, with or without a slash at the end, a query and a track. Readers that append
// the track to a URL with a query put it behind the query.
func parseTarget(u *base.URL) target {
	if u == nil {
		return target{}
	}
	path, track := cutTrack(u.Path)
	if track == "" {
		_, track = cutTrack(u.RawQuery)
	}
	return target{path: path, stream: path, track: track}
}

// cutTrack splits "/path/trackID=1" into "path" and "1".
func cutTrack(s string) (path, track string) {
	s = strings.Trim(s, "/ ")
	i := strings.LastIndexByte(s, '/')
	if n, ok := strings.CutPrefix(s[i+1:], trackPrefix); ok {
		if _, err := strconv.ParseUint(n, 10, 16); err == nil {
			return strings.TrimRight(s[:max(i, 0)], "/ "), n
		}
	}
	return s, ""
}

// pathOf is the path of a Digest URI, which may be absolute or not, rtsp or rtsps, and name a track or not (RFC 2617
// section 3.2.2.5, and what readers make of it).
func pathOf(uri string) string {
	uri = strings.Trim(uri, " ")
	if scheme, rest, ok := strings.Cut(uri, "://"); ok && (strings.EqualFold(scheme, "rtsp") || strings.EqualFold(scheme, "rtsps")) {
		_, uri, _ = strings.Cut(rest, "/")
	}
	uri, _, _ = strings.Cut(uri, "?")
	if p, err := url.PathUnescape(uri); err == nil {
		uri = p
	}
	path, _ := cutTrack(uri)
	return path
}

// rewrite gives the URL the one shape that gortsplib answers rightly: Content-Base and RTP-Info, which it derives from
// the request, must start with rtsp:// (readers inside TLS refuse rtsps) and repeat neither credentials nor a query.
func (t target) rewrite(u *base.URL, setup bool) {
	u.Scheme = "rtsp"
	u.User = nil
	u.RawPath = ""
	u.RawQuery = ""
	u.ForceQuery = false
	u.Path = "/" + t.path
	switch {
	case setup && t.track != "":
		u.Path += "/" + trackPrefix + t.track
	case setup:
		// gortsplib takes this for the first track.
		u.Path += "/"
	}
}
