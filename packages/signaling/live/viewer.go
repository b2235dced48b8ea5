package live

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"porthole/media/rtsp"
	"porthole/packages/internal/retry"
)

const (
	// queueLength is how many frames a viewer may lag behind: some two seconds of picture and sound.
	queueLength = 128
	// connectTimeout is how long a viewer may take from the answer to the connection.
	connectTimeout = 20 * time.Second
	// replayGap is the least time between two answers to requests for a key frame.
	replayGap = time.Second
	// Packets leave in groups, so that a cached GOP does not overflow a router's queue: 24 packets of 1,200 bytes every
	// 2 ms are some 115 Mbit/s.
	groupPackets = 24
	groupPause   = 2 * time.Millisecond
)

// Event is something a viewer should know while watching.
type Event struct {
	// Code is a word for programs: "no-sound", "transcoded", "sound-transcoded" (the picture is as the camera sends it),
	// "camera-offline", "camera-live".
	Code    string
	Message string
}

func cameraEvent(offline bool) Event {
	if offline {
		return Event{"camera-offline", "the camera is offline; the picture comes back by itself"}
	}
	return Event{"camera-live", "the camera is back"}
}

// Viewer is one browser watching one camera.
type Viewer struct {
	// ID is unguessable.
	ID string
	// Answer is the SDP answer, with all our candidates.
	Answer string
	// Candidates are those in Answer.
	Candidates []webrtc.ICECandidateInit

	log    *slog.Logger
	hub    *hub
	pc     *webrtc.PeerConnection
	tracks []rtsp.Track
	video  *outTrack
	// audio is nil when there is no sound.
	audio *outTrack
	// pictureBy and soundBy convert what the viewer gets; nil for what it gets as the camera sends it.
	pictureBy, soundBy *conversion
	queue              chan []*frame
	events             chan Event
	connected          chan struct{}
	// end makes the viewer end with a cause; the first one counts.
	end context.CancelCauseFunc
	// noPath says why the connection did not come about, or broke.
	noPath func() error
	// hurry ends waiting for a viewer that is too slow.
	hurry func()
	// leave gives back the viewer's place.
	leave func()
	done  chan struct{}
	err   error
	// maxTime is how long it may last; zero: for ever.
	maxTime time.Duration
	// firstFrame is told how long the first picture took.
	firstFrame func(time.Duration)
	traffic    traffic

	// waiting means that nothing but a key frame will do. hub.mu guards it.
	waiting bool
	dropped atomic.Int64
	// last is where on the timeline the newest frame was sent; only send uses it.
	last int64
}

// Events delivers what the viewer should know. It is never closed.
func (v *Viewer) Events() <-chan Event { return v.events }

// Done is closed when the viewer has ended and everything it used is free.
func (v *Viewer) Done() <-chan struct{} { return v.done }

// Err says why it ended, once Done is closed: nil after Close, else a *Refusal.
func (v *Viewer) Err() error { return v.err }

// Close ends the viewer and waits.
func (v *Viewer) Close() {
	v.end(errClosed)
	<-v.done
}

// AddCandidate takes one of the browser's ICE candidates. An empty one means that there are no more.
func (v *Viewer) AddCandidate(c webrtc.ICECandidateInit) error { return v.pc.AddICECandidate(c) }

func (v *Viewer) notify(e Event) {
	select {
	case v.events <- e:
	default:
	}
}

// offer queues a live frame, unless the viewer could not use it. A viewer that is too slow gets nothing up to the next
// frame that decoding can start at. hub.mu is held.
func (v *Viewer) offer(batch []*frame) {
	f := batch[0]
	switch {
	case f.audio && (v.audio == nil || f.converted != (v.soundBy != nil)), !f.audio && f.converted != (v.pictureBy != nil):
		return
	case !f.audio && v.waiting && !f.key:
		return
	}
	select {
	case v.queue <- batch:
		if !f.audio {
			v.waiting = false
		}
	default:
		v.dropped.Add(1)
		if !f.audio {
			v.waiting = true
		}
	}
}

// run carries the viewer from its answer to its end.
func (v *Viewer) run(ctx context.Context) {
	defer close(v.done)
	defer context.AfterFunc(ctx, v.hurry)()
	var wg sync.WaitGroup
	for _, s := range v.pc.GetSenders() {
		wg.Go(func() { v.readRTCP(s) })
	}
	timeout := time.NewTimer(connectTimeout)
	defer timeout.Stop()
	if v.maxTime > 0 {
		limit := time.AfterFunc(v.maxTime, func() { v.end(errTimeLimit(v.maxTime)) })
		defer limit.Stop()
	}
	began := time.Now()
	select {
	case <-v.connected:
		v.traffic.connect(time.Now())
		v.followPath()
		v.log.Info("viewer connected", "after", time.Since(began).Round(time.Millisecond), "path", v.traffic.way())
		v.hub.attach(v)
		v.send(ctx)
		v.hub.detach(v)
	case <-timeout.C:
		v.end(v.noPath())
	case <-ctx.Done():
	}
	if err := context.Cause(ctx); !errors.Is(err, errClosed) {
		v.err = err
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) {
			v.err = &Refusal{Reason: Stopping, Message: "the live view is restarting"}
		}
	}
	if err := v.pc.GracefulClose(); err != nil {
		v.log.Debug("closing the connection failed", "err", err)
	}
	wg.Wait()
	v.leave()
	v.log.Info("viewer left", "after", time.Since(began).Round(time.Second), "dropped_frames", v.dropped.Load(), "reason", v.err)
}

// onState follows the connection.
func (v *Viewer) onState(s webrtc.PeerConnectionState) {
	switch s {
	case webrtc.PeerConnectionStateConnected:
		select {
		case v.connected <- struct{}{}:
		default:
		}
	case webrtc.PeerConnectionStateFailed:
		v.end(v.noPath())
	case webrtc.PeerConnectionStateClosed:
		v.end(errClosed)
	}
}

// send writes what is queued until ctx ends.
func (v *Viewer) send(ctx context.Context) {
	for {
		var batch []*frame
		select {
		case <-ctx.Done():
			return
		case batch = <-v.queue:
		}
		packets := 0
		for _, f := range batch {
			before, bytes := packets, 0
			track, at := v.audio, f.ticks
			if !f.audio {
				track, at = v.video, max(f.ticks, v.last+frameGap)
				v.last = at
			}
			for i, p := range f.payloads {
				// A packet that cannot be sent is a lost packet.
				if err := track.write(p, at, i == len(f.payloads)-1); errors.Is(err, io.ErrClosedPipe) {
					v.end(errClosed)
					return
				}
				bytes += len(p)
				if packets++; packets%groupPackets == 0 && !retry.Pause(ctx, groupPause) {
					return
				}
			}
			now := time.Now()
			v.count(now, packets-before, bytes, !f.audio)
			v.report(track, now)
		}
	}
}

// count keeps what was sent of a frame.
func (v *Viewer) count(now time.Time, packets, bytes int, picture bool) {
	if v.traffic.sent(now, packets, bytes, picture) && v.firstFrame != nil {
		v.firstFrame(now.Sub(v.traffic.answered))
	}
}

// readRTCP answers requests for key frames and keeps what the browser reports, until the connection is closed.
func (v *Viewer) readRTCP(s *webrtc.RTPSender) {
	last := time.Now()
	track, _ := s.Track().(*outTrack)
	for {
		packets, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p := p.(type) {
			case *rtcp.ReceiverReport:
				for _, r := range p.Reports {
					if track.sends(r.SSRC) {
						v.traffic.report(time.Now(), r, track.kind == webrtc.RTPCodecTypeVideo)
					}
				}
			case *rtcp.TransportLayerNack:
				track.resend(p)
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.traffic.resync()
				if now := time.Now(); now.Sub(last) > replayGap {
					last = now
					v.hub.resync(v)
				}
			}
		}
	}
}
