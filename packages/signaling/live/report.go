package live

import (
	"time"

	"github.com/pion/rtcp"
)

// reportEvery is the time between a track's sender reports; the first one follows the first packet.
const reportEvery = time.Second

// report sends a track's sender report when one is due (RFC 3550 section 6.4.1). Those of sound and picture name the same clock,
// that of the hub's timeline, whenever their packets leave: with them a browser keeps lips and voice together.
func (v *Viewer) report(t *outTrack, now time.Time) {
	ssrc := t.bound()
	if ssrc == 0 || now.Sub(t.reported) < reportEvery {
		return
	}
	t.reported = now
	// What cannot be sent is a lost report.
	_ = v.pc.WriteRTCP([]rtcp.Packet{&rtcp.SenderReport{
		SSRC: ssrc, NTPTime: ntpTime(now), RTPTime: t.base + uint32(ticks(now.Sub(v.hub.start), t.rate)),
		PacketCount: t.packets, OctetCount: t.octets,
	}})
}

// ntpTime is a time in NTP's format: seconds since 1900 in the upper half (RFC 3550 section 4).
func ntpTime(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}
