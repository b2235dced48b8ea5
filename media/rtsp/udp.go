package rtsp

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const (
	// A reader's socket buffer holds some 200 KB, which a GOP would flood: after burstBytes there is a pause.
	burstBytes = 32 << 10
	burstPause = 5 * time.Millisecond
)

// UDP is where RTP and RTCP for the readers of the test socket come from: an even port and the odd one above it (RFC
// 3550 section 11). The Hub closes them when it ends.
type UDP struct {
	RTP, RTCP *net.UDPConn
}

// serve makes the server answer SETUP with the ports.
func (u *UDP) serve(s *gortsplib.Server) {
	s.UDPRTPAddress, s.UDPRTCPAddress = u.RTP.LocalAddr().String(), u.RTCP.LocalAddr().String()
	s.ListenPacket = func(_, address string) (net.PacketConn, error) {
		switch address {
		case s.UDPRTPAddress:
			return u.RTP, nil
		case s.UDPRTCPAddress:
			return u.RTCP, nil
		}
		return nil, fmt.Errorf("no UDP socket for %s", address)
	}
}

// writeUDP sends until nothing waits.
func (r *reader) writeUDP() {
	buf := make([]byte, maxPacket)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for burst := 0; ; {
		s, to, n := r.datagram(buf)
		if s == nil {
			return
		}
		socket := r.udp.RTP
		if s.report {
			socket = r.udp.RTCP
		}
		// What the network refuses now is lost, as UDP goes; without a socket the Hub has ended.
		if _, err := socket.WriteToUDP(buf[:n], to); errors.Is(err, net.ErrClosed) {
			r.broken(err)
			return
		}
		if !s.report {
			r.bytesOut.Add(uint64(n))
		}
		if burst += n; burst < burstBytes {
			continue
		}
		burst = 0
		pause.Reset(burstPause)
		select {
		case <-pause.C:
		case <-r.gone:
		}
	}
}

// datagram takes the next packet; nil ends the writing.
func (r *reader) datagram(buf []byte) (*sent, *net.UDPAddr, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s *sent
	if r.open {
		s = r.queue.take(len(buf))
	}
	if s == nil {
		r.writing = false
		return nil, nil, 0
	}
	t := r.tracks[s.lane.track]
	to := t.rtp
	if s.report {
		to = t.rtcp
	}
	return s, to, r.tallies[s.lane.index].put(buf, s)
}

// onlyTCP leaves a SETUP the ways over TCP if it names any: gortsplib would take the first it can serve anybody.
func onlyTCP(h base.HeaderValue) base.HeaderValue {
	var tcp []string
	for _, line := range h {
		for way := range strings.SplitSeq(line, ",") {
			if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(way)), "RTP/AVP/TCP") {
				tcp = append(tcp, strings.TrimSpace(way))
			}
		}
	}
	if len(tcp) == 0 {
		return h
	}
	return base.HeaderValue{strings.Join(tcp, ",")}
}
