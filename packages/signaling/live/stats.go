package live

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// Client is who watches.
type Client struct {
	User, Remote, Agent string
	// By is how the viewer came: "websocket" or "whep".
	By string
}

// Candidates is the pair of ICE candidates that media takes.
type Candidates struct {
	// Local and Remote are types of RFC 8445 section 5.1.1: "host", "srflx", "prflx" or "relay".
	Local  string `json:"local"`
	Remote string `json:"remote"`
	// Protocol is "udp" or "tcp".
	Protocol string `json:"protocol"`
	// Address is the browser's, without its port.
	Address string `json:"address"`
}

// ViewerStatus is what is known of a viewer. What is not known yet is zero.
type ViewerStatus struct {
	// ID names the viewer to End; the log names it by its first letters.
	ID     string    `json:"id"`
	Stream string    `json:"stream"`
	User   string    `json:"user"`
	Remote string    `json:"remote"`
	Agent  string    `json:"agent"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
	// Connected is from the answer to the connection, FirstFrame from the answer to the first packet of a picture; in
	// seconds.
	Connected  float64     `json:"connected_s"`
	FirstFrame float64     `json:"first_frame_s"`
	Candidates *Candidates `json:"candidates,omitempty"`
	// RTT, Loss and Jitter are from the browser's last report on the picture: in seconds, 0 to 1 since the report before,
	// and in seconds.
	RTT    float64 `json:"rtt_s"`
	Loss   float64 `json:"loss"`
	Jitter float64 `json:"jitter_s"`
	// Lost counts packets that never came, Sent what left: both of picture and sound.
	Lost    uint64 `json:"lost_packets"`
	Packets uint64 `json:"sent_packets"`
	Bytes   uint64 `json:"sent_bytes"`
	// Kbit is of the last ten seconds, in kbit/s.
	Kbit float64 `json:"kbit_per_s"`
	// Dropped counts frames that a viewer too slow for them missed, Resyncs its requests for a key frame.
	Dropped uint64 `json:"dropped_frames"`
	Resyncs uint64 `json:"resyncs"`
	// Transcoded means that picture or sound is converted for this viewer.
	Transcoded bool `json:"transcoded"`
}

// StreamTotals is what a stream's viewers have had since the start, those who left included.
type StreamTotals struct {
	Stream string `json:"stream"`
	// Viewers counts those who are there, Started those who ever were.
	Viewers int    `json:"viewers"`
	Started uint64 `json:"started"`
	Bytes   uint64 `json:"sent_bytes"`
	Packets uint64 `json:"sent_packets"`
	Lost    uint64 `json:"lost_packets"`
	Dropped uint64 `json:"dropped_frames"`
}

// Histogram counts durations. Count and Sum (in seconds) are of all, Buckets of those up to each bound of
// FirstFrameBounds.
type Histogram struct {
	Bounds  []float64 `json:"bounds"`
	Buckets []uint64  `json:"buckets"`
	Count   uint64    `json:"count"`
	Sum     float64   `json:"sum"`
}

// Status is what is going on.
type Status struct {
	Viewers []ViewerStatus `json:"viewers"`
	Streams []StreamTotals `json:"streams"`
	Limits  Limits         `json:"limits"`
	// Refused counts those who could not watch, by Reason; Ended those who were sent away.
	Refused map[Reason]uint64 `json:"refused"`
	Ended   map[Reason]uint64 `json:"ended"`
	// FirstFrame is from the answer to the first packet of a picture.
	FirstFrame Histogram `json:"first_frame"`
}

// firstFrameBounds are in seconds.
var firstFrameBounds = [...]float64{0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10}

// pictureClock is the rate of every video format's timestamps in Hz (RFC 6184, 7741, 7798).
const pictureClock = 90000

// meterSlots is how many seconds the bit rate is taken over.
const meterSlots = 10

// traffic is what a viewer was sent and what it says of it.
type traffic struct {
	mu sync.Mutex // guards what follows
	// client and transcoded come from outside; the rest is counted here.
	client     Client
	transcoded bool
	// path is replaced, never changed.
	path *Candidates

	answered, connected, firstFrame time.Time
	packets, bytes, resyncs         uint64
	rtt, jitter                     time.Duration
	loss                            float64
	// lost is of the picture and of sound.
	lost  [2]uint64
	slots [meterSlots]struct {
		second int64
		bytes  uint64
	}
}

// sent counts a frame; picture is false for sound. It reports whether this was the first picture.
func (t *traffic) sent(now time.Time, packets, bytes int, picture bool) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.packets += uint64(packets)
	t.bytes += uint64(bytes)
	s := &t.slots[now.Unix()%meterSlots]
	if s.second != now.Unix() {
		s.second, s.bytes = now.Unix(), 0
	}
	s.bytes += uint64(bytes)
	if first = picture && t.firstFrame.IsZero(); first {
		t.firstFrame = now
	}
	return first
}

// kbit is the bit rate of the last ten full seconds at most. t.mu is held.
func (t *traffic) kbit(now time.Time) float64 {
	if t.firstFrame.IsZero() {
		return 0
	}
	var sum uint64
	for _, s := range t.slots {
		if age := now.Unix() - s.second; age > 0 && age < meterSlots {
			sum += s.bytes
		}
	}
	seconds := min(now.Unix()-t.firstFrame.Unix(), meterSlots-1)
	if seconds < 1 {
		return 0
	}
	return float64(sum) * 8 / 1000 / float64(seconds)
}

// report takes a reception report (RFC 3550 section 6.4.1) on picture or sound.
func (t *traffic) report(now time.Time, r rtcp.ReceptionReport, picture bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := 1
	if picture {
		i = 0
		t.loss = float64(r.FractionLost) / 256
		t.jitter = time.Duration(r.Jitter) * time.Second / pictureClock
	}
	// It is signed, 24 bits: retransmissions can make it negative.
	t.lost[i] = uint64(max(0, int32(r.TotalLost<<8)>>8))
	if rtt, ok := roundTrip(now, r.LastSenderReport, r.Delay); ok {
		t.rtt = rtt
	}
}

// connect notes when the connection was there.
func (t *traffic) connect(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connected = now
}

// transcode notes that picture or sound is converted.
func (t *traffic) transcode() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.transcoded = true
}

// way is for the log.
func (t *traffic) way() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.path == nil {
		return ""
	}
	return t.path.Protocol + " " + t.path.Local + "-" + t.path.Remote
}

// resync counts a request for a key frame.
func (t *traffic) resync() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resyncs++
}

// roundTrip is now − LSR − DLSR in units of 1/65,536 s; false when the browser has no sender report of ours yet, or when
// the clock was set meanwhile.
func roundTrip(now time.Time, lsr, dlsr uint32) (time.Duration, bool) {
	if lsr == 0 {
		return 0, false
	}
	const since1900 = 2208988800 // seconds from 1900 to 1970, RFC 5905 section 6
	sec := uint64(now.Unix() + since1900)
	middle := uint32(sec<<16 | uint64(now.Nanosecond())<<16/1e9)
	d := int32(middle - lsr - dlsr)
	// A browser rounds; a round trip of more than a minute is a clock that was set.
	if d < -655 || d > 60<<16 {
		return 0, false
	}
	return time.Duration(max(0, d)) * time.Second >> 16, true
}

// seconds is zero unless both times are known.
func seconds(from, to time.Time) float64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return to.Sub(from).Seconds()
}

func (v *Viewer) status(now time.Time) ViewerStatus {
	s := ViewerStatus{ID: v.publicID(), Stream: v.hub.camera, Dropped: uint64(v.dropped.Load())}
	t := &v.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	s.User, s.Remote, s.Agent, s.By = t.client.User, t.client.Remote, t.client.Agent, t.client.By
	s.Since, s.Connected, s.FirstFrame = t.answered, seconds(t.answered, t.connected), seconds(t.answered, t.firstFrame)
	s.RTT, s.Loss, s.Jitter = t.rtt.Seconds(), t.loss, t.jitter.Seconds()
	s.Lost, s.Packets, s.Bytes, s.Kbit = t.lost[0]+t.lost[1], t.packets, t.bytes, t.kbit(now)
	s.Resyncs, s.Transcoded, s.Candidates = t.resyncs, t.transcoded, t.path
	return s
}

// publicID is part of the viewer's unguessable one, so that who sees the list cannot act as the viewer.
func (v *Viewer) publicID() string { return v.ID[:12] }

// followPath keeps which way media takes, from the connection on: a better pair may be found later.
func (v *Viewer) followPath() {
	senders := v.pc.GetSenders()
	if len(senders) == 0 || senders[0].Transport() == nil {
		return
	}
	t := senders[0].Transport().ICETransport()
	t.OnSelectedCandidatePairChange(v.setPath)
	if pair, err := t.GetSelectedCandidatePair(); err == nil {
		v.setPath(pair)
	}
}

func (v *Viewer) setPath(pair *webrtc.ICECandidatePair) {
	if pair == nil {
		return
	}
	c := &Candidates{Local: pair.Local.Typ.String(), Remote: pair.Remote.Typ.String(), Protocol: "udp", Address: pair.Remote.Address}
	if pair.Local.Protocol == webrtc.ICEProtocolTCP {
		c.Protocol = "tcp"
	}
	v.traffic.mu.Lock()
	defer v.traffic.mu.Unlock()
	v.traffic.path = c
}

// SetClient says who watches, for Status.
func (v *Viewer) SetClient(c Client) {
	v.traffic.mu.Lock()
	defer v.traffic.mu.Unlock()
	v.traffic.client = c
}

// counters are what Status says of viewers that have left. Server.mu guards them.
type counters struct {
	streams        map[string]*StreamTotals
	refused, ended map[Reason]uint64
	buckets        [len(firstFrameBounds)]uint64
	count          uint64
	sum            float64
}

func newCounters() counters {
	return counters{streams: map[string]*StreamTotals{}, refused: map[Reason]uint64{}, ended: map[Reason]uint64{}}
}

func (c *counters) stream(name string) *StreamTotals {
	t := c.streams[name]
	if t == nil {
		t = &StreamTotals{Stream: name}
		c.streams[name] = t
	}
	return t
}

func (t *StreamTotals) add(v ViewerStatus) {
	t.Bytes += v.Bytes
	t.Packets += v.Packets
	t.Lost += v.Lost
	t.Dropped += v.Dropped
}

func (c *counters) first(took time.Duration) {
	for i, b := range firstFrameBounds {
		if took.Seconds() <= b {
			c.buckets[i]++
		}
	}
	c.count++
	c.sum += took.Seconds()
}

// Status says who watches, and what has been so far.
func (s *Server) Status() Status {
	now := time.Now()
	s.mu.Lock()
	viewers := make([]*Viewer, 0, len(s.all))
	for v := range s.all {
		viewers = append(viewers, v)
	}
	totals := map[string]StreamTotals{}
	for name, t := range s.counted.streams {
		totals[name] = *t
	}
	out := Status{
		Limits: s.limits, Refused: cloned(s.counted.refused), Ended: cloned(s.counted.ended),
		FirstFrame: Histogram{
			Bounds: firstFrameBounds[:], Buckets: slices.Clone(s.counted.buckets[:]), Count: s.counted.count, Sum: s.counted.sum,
		},
		Viewers: make([]ViewerStatus, 0, len(viewers)), Streams: make([]StreamTotals, 0, len(totals)),
	}
	s.mu.Unlock()
	for _, v := range viewers {
		st := v.status(now)
		out.Viewers = append(out.Viewers, st)
		t := totals[st.Stream]
		t.Viewers++
		t.add(st)
		totals[st.Stream] = t
	}
	for _, t := range totals {
		out.Streams = append(out.Streams, t)
	}
	slices.SortFunc(out.Viewers, func(a, b ViewerStatus) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID)) })
	slices.SortFunc(out.Streams, func(a, b StreamTotals) int { return cmp.Compare(a.Stream, b.Stream) })
	return out
}

func cloned(m map[Reason]uint64) map[Reason]uint64 {
	out := make(map[Reason]uint64, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// End sends the viewer away that Status names; false when there is none (any more).
func (s *Server) End(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.all {
		if v.publicID() == id {
			v.end(&Refusal{Reason: Ended, Message: "an administrator has ended this live view"})
			return true
		}
	}
	return false
}
