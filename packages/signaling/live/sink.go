package live

import (
	"time"

	"porthole/media/rtsp"
)

const (
	// slack is how far sound may be off before it jumps, and syncedSlack the same where reports say how far it is off the picture:
	// people notice 80 ms (ITU-R BT.1359 says 45 ms of sound in front).
	slack, syncedSlack = 300 * time.Millisecond, 40 * time.Millisecond
	// maxSkew is how far reports may place sound from its arrival before they are not believed.
	maxSkew = 5 * time.Second
)

// sink turns what one connection to the camera brings into frames. Its methods run on that connection's goroutine.
type sink struct {
	hub   *hub
	clock *videoClock

	began        time.Time
	video, audio int
	track        rtsp.Track // the video's
	packetizer   packetizer
	sound        audioClock
	soundRate    int
	// taken is when the last picture was taken by its sender's reports, and shown where it is on the timeline.
	taken time.Time
	shown int64
	// worked means that a picture arrived.
	worked bool
}

// Tracks implements rtsp.Sink.
func (s *sink) Tracks(tracks []rtsp.Track) {
	s.began, s.video, s.audio = time.Now(), -1, -1
	s.clock.restart()
	for i, t := range tracks {
		switch {
		case t.Kind == rtsp.Video && s.video < 0:
			s.video, s.track, s.packetizer = i, t, newPacketizer(t)
		case t.Kind == rtsp.Audio && s.audio < 0 && t.ClockRate > 0:
			s.audio, s.soundRate = i, t.ClockRate
			s.sound = audioClock{}
		}
	}
	s.hub.setTracks(tracks)
}

// Unit implements rtsp.Sink.
func (s *sink) Unit(u rtsp.Unit) {
	now := time.Now()
	switch {
	case u.Track == s.video:
		s.picture(u, now)
	case u.Track == s.audio && now.Sub(s.began) > settle:
		f := &frame{audio: true, raw: u.Frames}
		if len(u.Payload) > 0 {
			f.raw = [][]byte{u.Payload}
			f.payloads = f.raw
		}
		if len(f.raw) > 0 {
			f.ticks = s.heard(u, now)
			s.hub.deliver(f)
		}
	}
}

// picture passes on a picture. Those that must not be played as they come have no payloads.
func (s *sink) picture(u rtsp.Unit, now time.Time) {
	f := &frame{}
	if s.packetizer != nil {
		f.raw, f.key = s.packetizer.arrange(u.NALUs)
	} else {
		f.raw, f.key = rawPicture(s.track, u.Payload)
	}
	if len(f.raw) == 0 {
		return
	}
	s.worked = true
	f.shown = s.clock.place(u.RTPTime, ticks(now.Sub(s.hub.start), 90000))
	s.taken, s.shown = u.NTP, f.shown
	if s.packetizer != nil {
		if s.hub.see(s.clock.rtp.value, f.key, s.packetizer.disposable(f.raw)) {
			f.ticks, f.payloads = s.clock.advance(f.shown), s.packetizer.payloads(f.raw)
		}
	}
	s.hub.deliver(f)
}

// heard places sound on the timeline: beside the picture that was taken at the same time, where reports tell, else by its arrival.
func (s *sink) heard(u rtsp.Unit, now time.Time) int64 {
	target, leeway := now.Sub(s.hub.start), slack
	if !u.NTP.IsZero() && !s.taken.IsZero() {
		synced := duration(s.shown, 90000) + u.NTP.Sub(s.taken)
		if skew := synced - target; skew < maxSkew && skew > -maxSkew {
			target, leeway = synced, syncedSlack
		}
	}
	return s.sound.at(u.RTPTime, ticks(target, s.soundRate), ticks(leeway, s.soundRate))
}

// ticks converts a time to ticks of a clock with the given rate in Hz.
func ticks(d time.Duration, rate int) int64 {
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	return sec*int64(rate) + rest*int64(rate)/int64(time.Second)
}

// nearest is ticks rounded to the nearest.
func nearest(d time.Duration, rate int) int64 {
	return ticks(d+time.Second/time.Duration(2*rate), rate)
}

// duration converts ticks of a clock with the given rate in Hz to a time.
func duration(n int64, rate int) time.Duration {
	sec, rest := n/int64(rate), n%int64(rate)
	return time.Duration(sec)*time.Second + time.Duration(rest)*time.Second/time.Duration(rate)
}
