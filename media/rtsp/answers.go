package rtsp

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/pion/sdp/v3"
)

// maxRepairs bounds the sentences on one connection.
const maxRepairs = 24

// answers puts right what a camera answers, between gortsplib's parsers of messages and of what is in them.
type answers struct {
	// note is told of each repair; it may be called by several goroutines.
	note func(string)
	// base is the address asked for.
	base *base.URL
	// asked is the request under way, transport what its SETUP wanted.
	asked     base.Method
	transport base.HeaderValue
	// description is what the camera described, repaired.
	description []byte
}

func (a *answers) request(req *base.Request) {
	a.asked = req.Method
	a.transport = req.Header["Transport"]
}

func (a *answers) response(res *base.Response) {
	if res.StatusCode != base.StatusOK {
		return
	}
	switch a.asked {
	case base.Describe:
		a.describe(res)
	case base.Setup:
		a.setup(res)
	}
}

// describe repairs the description and the headers that gortsplib would refuse it for.
func (a *answers) describe(res *base.Response) {
	if ct := res.Header["Content-Type"]; len(ct) != 1 || !strings.HasPrefix(ct[0], "application/sdp") {
		if len(res.Body) > 0 {
			a.note("The camera does not call its description application/sdp, which was put right.")
			res.Header["Content-Type"] = base.HeaderValue{"application/sdp"}
		}
	}
	if cb, there := res.Header["Content-Base"]; there {
		if len(cb) != 1 || !strings.HasPrefix(cb[0], "/") && !goodBase(cb[0]) {
			a.note("The camera's Content-Base is no address and was left out.")
			delete(res.Header, "Content-Base")
		} else if u, err := base.ParseURL(cb[0]); err == nil && a.base != nil && u.Hostname() != a.base.Hostname() {
			a.note("The camera's Content-Base names another host than its own, which was replaced.")
			u.Host = a.base.Host
			res.Header["Content-Base"] = base.HeaderValue{u.String()}
		}
	}
	body, repairs := repairSDP(res.Body)
	for _, r := range repairs {
		a.note(r)
	}
	res.Body = body
	a.description = slices.Clone(body)
}

// badSSRC is an ssrc that is no eight hexadecimal digits (RFC 2326 section 12.39).
var badSSRC = regexp.MustCompile(`(?i);\s*ssrc=([^;]*)`)

// setup completes the Transport header that gortsplib needs.
func (a *answers) setup(res *base.Response) {
	th := res.Header["Transport"]
	if len(th) == 0 && len(a.transport) == 1 {
		a.note("The camera does not say how it sends (Transport), so it was taken at our word.")
		res.Header["Transport"] = a.transport
		return
	}
	if len(th) != 1 {
		return
	}
	if m := badSSRC.FindStringSubmatch(th[0]); m != nil {
		if _, err := strconv.ParseUint(strings.TrimSpace(m[1]), 16, 32); err != nil || len(strings.TrimSpace(m[1])) != 8 {
			a.note("The camera's Transport header names a malformed ssrc, which was left out.")
			res.Header["Transport"] = base.HeaderValue{badSSRC.ReplaceAllString(th[0], "")}
		}
	}
	if new(headers.Transport).Unmarshal(res.Header["Transport"]) != nil && len(a.transport) == 1 {
		a.note("The camera's Transport header is malformed, so it was taken at our word.")
		res.Header["Transport"] = a.transport
	}
}

// told is what the camera's description says beyond its tracks.
func (a *answers) told() *sdp.SessionDescription {
	s, err := sdpunmarshaler.Unmarshal(a.description)
	if err != nil {
		return &sdp.SessionDescription{}
	}
	return s
}
