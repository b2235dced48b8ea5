package live

import (
	"time"

	"porthole/media/rtsp"
)

// sink turns what one connection to the camera brings into frames. Its methods run on that connection's goroutine.
type sink struct {
	hub   *hub
	clock *videoClock

	began        time.Time
	video, audio int
	packetizer   packetizer
	sound        audioClock
	soundRate    int
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
			s.video, s.packetizer = i, newPacketizer(t)
		case t.Kind == rtsp.Audio && s.audio < 0 && t.ClockRate > 0:
			s.audio, s.soundRate = i, t.ClockRate
			s.sound = audioClock{slack: int64(t.ClockRate) * 3 / 10}
		}
	}
	s.hub.setTracks(tracks)
}

// Unit implements rtsp.Sink.
func (s *sink) Unit(u rtsp.Unit) {
	now := time.Now()
	switch {
	case u.Track == s.video && s.packetizer != nil:
		payloads, key := s.packetizer.packetize(u.NALUs)
		if len(payloads) == 0 {
			return
		}
		s.worked = true
		s.hub.deliver(&frame{key: key, ticks: s.clock.at(u.RTPTime, ticks(now.Sub(s.hub.start), 90000)), payloads: payloads})
	case u.Track == s.audio && len(u.Payload) > 0 && now.Sub(s.began) > settle:
		arrival := ticks(now.Sub(s.hub.start), s.soundRate)
		s.hub.deliver(&frame{audio: true, ticks: s.sound.at(u.RTPTime, arrival), payloads: [][]byte{u.Payload}})
	}
}

// ticks converts a time to ticks of a clock with the given rate in Hz.
func ticks(d time.Duration, rate int) int64 {
	sec, rest := int64(d/time.Second), int64(d%time.Second)
	return sec*int64(rate) + rest*int64(rate)/int64(time.Second)
}
