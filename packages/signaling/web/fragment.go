package web

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"
)

// maxCandidates bounds what one fragment may bring.
const maxCandidates = 64

var errFragment = errors.New("the SDP fragment cannot be read")

// parseFragment reads an SDP fragment with ICE candidates (RFC 8840 section 4.4): the user name of its first section,
// "" when absent, and the candidates of all.
func parseFragment(text string) (ufrag string, candidates []webrtc.ICECandidateInit, err error) {
	mid, line := "", -1
	for raw := range strings.SplitSeq(text, "\n") {
		l := strings.TrimRight(raw, "\r")
		if l == "" {
			continue
		}
		if len(l) < 2 || l[1] != '=' {
			return "", nil, fmt.Errorf("%w: line %.40q", errFragment, l)
		}
		key, value, valued := strings.Cut(l[2:], ":")
		switch {
		case l[0] == 'm':
			line++
			mid = strconv.Itoa(line)
		case l[0] != 'a':
		case key == "mid":
			mid = value
		case key == "ice-ufrag" && ufrag == "":
			ufrag = value
		case key == "candidate" && valued:
			if len(candidates) == maxCandidates {
				return "", nil, fmt.Errorf("%w: more than %d candidates", errFragment, maxCandidates)
			}
			c := webrtc.ICECandidateInit{Candidate: l[2:]}
			if line >= 0 {
				index, name := uint16(line), mid
				c.SDPMLineIndex, c.SDPMid = &index, &name
			}
			candidates = append(candidates, c)
		}
	}
	return ufrag, candidates, nil
}
