package web

import (
	"context"

	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/live"
)

// watch is one viewer on a socket, from its viewer message on.
type watch struct {
	stop       context.CancelFunc
	candidates chan webrtc.ICECandidateInit
	done       chan struct{}
}

// add passes a candidate on. Beyond maxEarly waiting ones it is dropped: no browser has that many.
func (w *watch) add(c webrtc.ICECandidateInit) {
	select {
	case w.candidates <- c:
	default:
	}
}

// stopWatch ends the current viewer, if there is one, and waits.
func (k *socket) stopWatch() {
	if k.current != nil {
		k.current.stop()
		<-k.current.done
		k.current = nil
	}
}

// startWatch answers a viewer message without holding up the socket.
func (k *socket) startWatch(ctx context.Context, stream, offer string) {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{stop: stop, candidates: make(chan webrtc.ICECandidateInit, maxEarly), done: make(chan struct{})}
	for _, c := range k.early {
		w.add(c)
	}
	k.early, k.current = nil, w
	user := k.who.User
	k.wg.Go(func() {
		defer close(w.done)
		defer stop()
		k.carry(ctx, w, stream, offer, user)
	})
}

// carry shows the stream until ctx ends or the viewer does.
func (k *socket) carry(ctx context.Context, w *watch, stream, offer, user string) {
	v, err := k.server.cfg.Live.Watch(ctx, stream, offer)
	if err != nil {
		if ctx.Err() == nil {
			k.log.Info("live view refused", "camera", stream, "user", user, "err", err)
			k.sendRefusal(ctx, err)
		}
		return
	}
	defer v.Close()
	v.SetClient(live.Client{User: user, Remote: k.remote, Agent: k.agent, By: "websocket"})
	k.log.Info("live view", "camera", stream, "user", user, "viewer", v.ID[:6])
	k.send(ctx, serverMessage{Type: "viewerResponse", SDPAnswer: v.Answer, ViewerID: v.ID})
	// The answer holds them, too; clients of the camera platform's protocol may look for them here.
	for _, c := range v.Candidates {
		k.send(ctx, serverMessage{Type: "iceCandidate", Candidate: &c})
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.Done():
			if err := v.Err(); err != nil {
				k.sendRefusal(ctx, err)
			}
			return
		case e := <-v.Events():
			k.send(ctx, serverMessage{Type: "info", Code: e.Code, Message: e.Message})
		case c := <-w.candidates:
			if err := v.AddCandidate(c); err != nil {
				k.send(ctx, serverMessage{Type: "error", Code: "bad-message", Message: "the candidate cannot be used: " + err.Error()})
			}
		}
	}
}
