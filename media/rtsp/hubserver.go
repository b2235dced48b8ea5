package rtsp

import (
	"errors"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// hubServer answers the readers of a Hub. It has no OnAnnounce and OnRecord: gortsplib answers those with 501.
type hubServer struct {
	front
	hub *Hub
}

// OnDescribe connects to the camera if need be.
func (s *hubServer) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	p := peerOf(ctx.Conn)
	if res, err := s.admit(p); res != nil {
		return res, nil, err
	}
	cam, stream, res := s.open(p)
	if res != nil {
		return res, nil, nil
	}
	p.dress = cam.dress
	return ok(), stream, nil
}

// open finds the camera and waits for it.
func (s *hubServer) open(p *peer) (*camera, *gortsplib.ServerStream, *base.Response) {
	cam := s.hub.camera(p.target.path)
	if cam == nil {
		return nil, nil, refuse(base.StatusNotFound, "No Such Camera")
	}
	stream, err := cam.open()
	switch {
	case errors.Is(err, errRemoved):
		return nil, nil, refuse(base.StatusNotFound, "No Such Camera")
	case err != nil:
		// The reason is for the camera's owner, in the status.
		return nil, nil, refuse(base.StatusServiceUnavailable, "Camera Does Not Answer")
	}
	return cam, stream, nil
}

// OnSetup makes the session a reader with its first track.
func (s *hubServer) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	p := peerOf(ctx.Conn)
	if res, err := s.admit(p); res != nil {
		return res, nil, err
	}
	if !tcpOnly(ctx.Transport) {
		return refuse(base.StatusUnsupportedTransport, ""), nil, nil
	}
	if cam, old := ctx.Session.UserData().(*camera); old {
		// A further track. gortsplib panics if its stream is another one.
		stream := ctx.Session.Stream()
		if cam.id != p.target.path || (stream != nil && !cam.current(stream)) {
			return refuse(base.StatusSessionNotFound, ""), nil, nil
		}
		if stream != nil {
			return ok(), stream, nil
		}
	}
	cam, stream, res := s.open(p)
	if res != nil {
		return res, nil, nil
	}
	if !s.hub.enter(ctx.Session) {
		return refuse(base.StatusNotEnoughBandwidth, "Too Many Readers"), nil, nil
	}
	ctx.Session.SetUserData(cam)
	if !cam.attach(ctx.Session, stream) {
		return refuse(base.StatusServiceUnavailable, "Camera Changed"), nil, nil
	}
	return ok(), stream, nil
}

// OnPlay gives the reader what it needs for a picture at once.
func (s *hubServer) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	p := peerOf(ctx.Conn)
	if res, err := s.admit(p); res != nil {
		return res, err
	}
	if cam, reads := ctx.Session.UserData().(*camera); reads && ctx.Session.State() == gortsplib.ServerSessionStatePrePlay {
		p.rtpInfo = cam.join(ctx.Session, ctx.Request.URL)
	}
	return ok(), nil
}

// OnPause needs no authentication: only the connection that set the session up can send it.
func (s *hubServer) OnPause(ctx *gortsplib.ServerHandlerOnPauseCtx) (*base.Response, error) {
	if cam, reads := ctx.Session.UserData().(*camera); reads {
		cam.pause(ctx.Session)
	}
	return ok(), nil
}

// OnSessionClose is called once for every session.
func (s *hubServer) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	s.hub.leave(ctx.Session)
	if cam, reads := ctx.Session.UserData().(*camera); reads {
		cam.detach(ctx.Session)
	}
}

// OnStreamWriteError is called for every packet that did not fit the queue of a reader that is too slow.
func (s *hubServer) OnStreamWriteError(ctx *gortsplib.ServerHandlerOnStreamWriteErrorCtx) {
	if cam, reads := ctx.Session.UserData().(*camera); reads {
		cam.slow.Add(1)
	}
}
