package live

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// outTrack writes one stream to one viewer, and again what the browser misses. Unlike pion's own static track and responder
// it keeps no copies and no headers, a few bytes for each packet.
type outTrack struct {
	kind webrtc.RTPCodecType
	mime string
	// base is the timestamp of the timeline's start (random: RFC 3550 section 5.1).
	base uint32
	// rate is the clock's, in Hz.
	rate int

	mu   sync.Mutex // guards what follows
	to   webrtc.TrackLocalWriter
	ssrc uint32
	pt   uint8
	seq  uint16
	// What sender reports say; only Viewer.send uses them.
	reported        time.Time
	packets, octets uint32
	header          rtp.Header
	// kept is a ring by sequence number.
	kept []sent
	// credit is how many packets may be sent again, times resendEvery.
	credit int
}

func newOutTrack(kind webrtc.RTPCodecType, mime string, rate int) *outTrack {
	kept := keptPictures
	if kind == webrtc.RTPCodecTypeAudio {
		kept = keptSounds
	}
	return &outTrack{
		kind: kind, mime: mime, rate: rate, base: rand.Uint32(), seq: uint16(rand.Uint32N(1 << 15)), kept: make([]sent, kept), credit: resendEvery * resendReserve,
	}
}

var errNotNegotiated = errors.New("format was not negotiated")

// bound returns the SSRC; 0 before the connection is up.
func (t *outTrack) bound() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		return 0
	}
	return t.ssrc
}

// Bind implements webrtc.TrackLocal.
func (t *outTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, p := range c.CodecParameters() {
		if strings.EqualFold(p.MimeType, t.mime) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.to, t.ssrc, t.pt = c.WriteStream(), uint32(c.SSRC()), uint8(p.PayloadType)
			return p, nil
		}
	}
	return webrtc.RTPCodecParameters{}, fmt.Errorf("bind %s: %w", t.mime, errNotNegotiated)
}

// Unbind implements webrtc.TrackLocal.
func (t *outTrack) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to = nil
	return nil
}

// ID implements webrtc.TrackLocal.
func (t *outTrack) ID() string { return t.kind.String() }

// RID implements webrtc.TrackLocal: there is no simulcast.
func (t *outTrack) RID() string { return "" }

// StreamID implements webrtc.TrackLocal: sound and picture are one stream, so the browser keeps them together.
func (t *outTrack) StreamID() string { return "porthole" }

// Kind implements webrtc.TrackLocal.
func (t *outTrack) Kind() webrtc.RTPCodecType { return t.kind }

// sends reports whether packets of ours carry that SSRC.
func (t *outTrack) sends(ssrc uint32) bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ssrc == ssrc
}

// write sends one payload. Before the connection is up it is dropped.
func (t *outTrack) write(payload []byte, ticks int64, marker bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		return nil
	}
	t.seq++
	t.packets++
	t.octets += uint32(len(payload))
	p := sent{payload: payload, time: t.base + uint32(ticks), seq: t.seq, marker: marker}
	t.keep(p)
	return t.send(p)
}
