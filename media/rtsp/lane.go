package rtsp

import (
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// maxJump is how far a camera's timestamps may differ from the time that passed before they are taken for restarted.
const maxJump = 10 * time.Second

const (
	// maxSlew is by how much reported capture times may go back, per time that passes: 20 ms between two reports.
	maxSlew = 0.004
	// maxStep is from where on it is no measurement that varies but a clock that was set.
	maxStep = time.Second
)

// lane carries the packets of one format of one track to the readers, whose sequence numbers and timestamps go on
// over every restart of the camera. A camera's mutex guards it.
type lane struct {
	media  *description.Media
	format format.Format
	// index is the lane's number in the stream, track its media's; ssrc is what readers were told of.
	index, track int
	ssrc         uint32
	// pushedTS is the timestamp of the last packet; reportedAt is when all readers got a sender report.
	pushedTS   uint32
	reportedAt time.Time
	// What the last report said, and when.
	toldTS  uint32
	toldNTP time.Time
	toldAt  time.Time

	// rebase is set when the next packet is the first of a new connection.
	rebase bool
	// awaitKey holds video back until a picture that can be decoded.
	awaitKey bool

	used      bool
	seqOffset uint16
	tsOffset  uint32
	// What was sent last, by timestamp: with B-frames not the newest packet.
	lastSeq uint16
	lastTS  uint32
	lastAt  time.Time
	lastNTP time.Time

	// order is of the camera's own timestamps.
	order order

	// media time while the camera sends no reports: timestamps unwrapped to 64 bits.
	unwrapped int64
	clock     offset
}

// newLanes makes the lanes of a stream; key is the one whose key pictures begin the GOP, nil without such video.
func newLanes(stream *gortsplib.ServerStream, medias []*description.Media) (lanes []*lane, key *lane) {
	stats := stream.Stats()
	for track, m := range medias {
		for _, f := range m.Formats {
			l := &lane{media: m, format: f, index: len(lanes), track: track, ssrc: stats.Medias[m].Formats[f].LocalSSRC}
			lanes = append(lanes, l)
			switch f.(type) {
			case *format.H264, *format.H265:
				if key == nil {
					key = l
				}
			}
		}
	}
	return lanes, key
}

// reset prepares the lane for a new connection.
func (l *lane) reset() {
	l.rebase = true
	l.unwrapped = 0
	l.clock = offset{}
	l.order = order{}
	switch l.format.(type) {
	case *format.H264, *format.H265:
		l.awaitKey = true
	}
}

// stamp gives pkt the sequence number and timestamp that readers expect next. After a new connection both go on where
// they were, the timestamp by the time that has passed.
func (l *lane) stamp(pkt *rtp.Packet, now time.Time) {
	passed := l.ticks(now.Sub(l.lastAt))
	switch {
	case !l.used:
	case l.rebase:
		l.seqOffset = l.lastSeq + 1 - pkt.SequenceNumber
		l.tsOffset = l.lastTS + max(passed, 1) - pkt.Timestamp
	default:
		ahead := int64(int32(pkt.Timestamp + l.tsOffset - l.lastTS))
		if gap := ahead - int64(passed); gap > int64(l.ticks(maxJump)) || gap < -int64(l.ticks(maxJump)) {
			l.tsOffset = l.lastTS + max(passed, 1) - pkt.Timestamp
			l.clock = offset{}
		}
	}
	pkt.SequenceNumber += l.seqOffset
	pkt.Timestamp += l.tsOffset
	l.lastSeq = pkt.SequenceNumber
	if ahead := int32(pkt.Timestamp - l.lastTS); !l.used || ahead > 0 {
		l.lastTS = pkt.Timestamp
		l.lastAt = now
		l.unwrapped += int64(max(ahead, 0))
	}
	l.used = true
	l.rebase = false
}

// date says when a stamped packet was captured, in our wall clock. reported is the capture time in the camera's own
// clock, by its reports, with shared for all of its tracks, so that picture and sound stay together; zero if unknown.
func (l *lane) date(pkt *rtp.Packet, now, reported time.Time, shared *offset) time.Time {
	var ntp time.Time
	if !reported.IsZero() {
		ntp = shared.apply(reported, now)
	} else {
		behind := int64(int32(l.lastTS - pkt.Timestamp))
		ntp = l.clock.apply(time.Unix(0, 0).Add(l.duration(l.unwrapped-behind)), now)
	}
	if pkt.Timestamp == l.lastTS {
		l.lastNTP = ntp
	}
	return ntp
}

// position extrapolates the lane's timestamp and capture time to now; ok is false before the first packet.
func (l *lane) position(now time.Time) (ts uint32, ntp time.Time, ok bool) {
	if !l.used || l.lastNTP.IsZero() {
		return 0, time.Time{}, false
	}
	passed := now.Sub(l.lastAt)
	return l.lastTS + l.ticks(passed), l.lastNTP.Add(passed), true
}

// steady keeps what reports say of capture times from going back faster than maxSlew: players compute when to show a picture
// from it, and ffmpeg ends when that is before the picture in front. A step of the wall clock is passed on at once.
func (l *lane) steady(ts uint32, ntp, now time.Time) time.Time {
	if !l.toldNTP.IsZero() {
		expected := l.toldNTP.Add(l.duration(int64(int32(ts - l.toldTS))))
		least := expected.Add(-time.Duration(float64(now.Sub(l.toldAt)) * maxSlew))
		if ntp.Before(least) && expected.Sub(ntp) < maxStep {
			ntp = least
		}
	}
	l.toldTS, l.toldNTP, l.toldAt = ts, ntp, now
	return ntp
}

func (l *lane) ticks(d time.Duration) uint32 {
	return uint32(int64(d.Seconds() * float64(l.format.ClockRate())))
}

func (l *lane) duration(ticks int64) time.Duration {
	rate := int64(l.format.ClockRate())
	return time.Duration(ticks/rate)*time.Second + time.Duration(ticks%rate)*time.Second/time.Duration(rate)
}

// offset is how far our clock is ahead of a media clock. Packets come late but never early, so it follows the least
// delay at once and a growing one slowly: a burst at the start and jitter do no harm, a clock that drifts is followed.
type offset struct {
	known bool
	by    time.Duration
}

func (o *offset) apply(media, now time.Time) time.Time {
	sample := now.Sub(media)
	if late := sample - o.by; !o.known || late < 0 || late > maxJump {
		o.by = sample
		o.known = true
	} else {
		o.by += late / 1024
	}
	return media.Add(o.by)
}
