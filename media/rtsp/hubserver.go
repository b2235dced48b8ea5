package rtsp

import (
	"cmp"
	"errors"
	"strconv"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// hubServer answers the readers of a Hub. It has no OnAnnounce and OnRecord: gortsplib answers those with 501.
type hubServer struct {
	front
	hub *Hub
}

// OnDescribe connects to the camera if need be.
func (s *hubServer) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	p := peerOf(ctx.Conn)
	cam, stream, res := s.open(p)
	if res != nil {
		return res, nil, nil
	}
	p.dress = cam.dress
	return ok(), stream, nil
}

// open finds the camera and waits for it.
func (s *hubServer) open(p *peer) (*camera, *gortsplib.ServerStream, *base.Response) {
	cam := s.hub.camera(p.target.stream)
	if cam == nil && p.via == ViaSocket {
		cam = s.hub.probe(p.target.stream)
	}
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

// OnRequest also takes UDP out of what readers ask for where there is none for them.
func (s *hubServer) OnRequest(sc *gortsplib.ServerConn, req *base.Request) {
	p := peerOf(sc)
	p.reader = nil
	if v := req.Header["Transport"]; len(v) > 0 && !s.udpFor(p) {
		req.Header["Transport"] = onlyTCP(v)
	}
	s.front.OnRequest(sc, req)
}

func (s *hubServer) udpFor(p *peer) bool { return s.hub.cfg.UDP != nil && p.via == ViaTest }

// OnResponse also notes what was agreed on with a reader.
func (s *hubServer) OnResponse(sc *gortsplib.ServerConn, res *base.Response) {
	s.front.OnResponse(sc, res)
	p := peerOf(sc)
	if p.reader == nil || res.StatusCode != base.StatusOK {
		return
	}
	if v, setup := res.Header["Transport"]; setup {
		var t headers.Transport
		track, err := strconv.Atoi(cmp.Or(p.target.track, "0"))
		if err == nil && t.Unmarshal(v) == nil {
			p.reader.setUp(track, t)
		}
		return
	}
	if p.conn != nil {
		p.conn.released.Store(p.reader)
	}
}

// OnSetup makes the session a reader with its first track.
func (s *hubServer) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	p := peerOf(ctx.Conn)
	if fits := tcpOnly(ctx.Transport) || s.udpFor(p) && plainUDP(ctx.Transport); !fits {
		return refuse(base.StatusUnsupportedTransport, ""), nil, nil
	}
	r, old := ctx.Session.UserData().(*reader)
	if old {
		// A further track. gortsplib panics if its stream is another one.
		stream := ctx.Session.Stream()
		if r.cam.id != p.target.stream || (stream != nil && !r.cam.current(stream)) {
			return refuse(base.StatusSessionNotFound, ""), nil, nil
		}
		if stream != nil {
			p.reader = r
			return ok(), stream, nil
		}
	}
	cam, stream, res := s.open(p)
	if res != nil {
		return res, nil, nil
	}
	if !old {
		r = s.hub.newReader(ctx, p, cam)
		ctx.Session.SetUserData(r)
	}
	if !s.hub.enter(r) {
		return refuse(base.StatusNotEnoughBandwidth, "Too Many Readers"), nil, nil
	}
	if r.cam != cam || !cam.attach(r, stream) {
		return refuse(base.StatusServiceUnavailable, "Camera Changed"), nil, nil
	}
	p.reader = r
	return ok(), stream, nil
}

// OnPlay gives the reader what it needs for a picture at once.
func (s *hubServer) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	if r, reads := ctx.Session.UserData().(*reader); reads && ctx.Session.State() == gortsplib.ServerSessionStatePrePlay {
		p := peerOf(ctx.Conn)
		p.rtpInfo = r.cam.join(r, p.conn, ctx.Request.URL)
		p.reader = r
	}
	return ok(), nil
}

// OnPause stops the session's packets.
func (s *hubServer) OnPause(ctx *gortsplib.ServerHandlerOnPauseCtx) (*base.Response, error) {
	if r, reads := ctx.Session.UserData().(*reader); reads {
		r.cam.pause(r)
	}
	return ok(), nil
}

// OnSessionClose is called once for every session.
func (s *hubServer) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	if r, reads := ctx.Session.UserData().(*reader); reads {
		s.hub.leave(r, ctx.Error)
		r.cam.detach(r)
	}
}

// plainUDP reports whether a SETUP asks for RTP over UDP to the reader alone.
func plainUDP(t *gortsplib.SessionTransport) bool {
	return t != nil && t.Protocol == gortsplib.ProtocolUDP && t.Profile == headers.TransportProfileAVP
}
