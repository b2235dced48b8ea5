package rtsp

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// maxWrong is how many wrong passwords a connection may bring before it is closed.
const maxWrong = 3

var (
	errTunnel      = errors.New("RTSP in HTTP is not served")
	errWrongLogins = errors.New("too many wrong passwords")
)

// conn is a connection in the shape gortsplib's server needs.
type conn struct {
	net.Conn
	trusted bool
	closed  func()
	once    sync.Once

	head []byte
}

// RemoteAddr is a *net.TCPAddr, as gortsplib takes for granted, also for a unix socket.
func (c *conn) RemoteAddr() net.Addr {
	if a, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok {
		return a
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
}

// Read refuses connections that begin as HTTP: gortsplib would let RTSP be tunnelled there, a protocol nobody needs
// here.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if len(c.head) < 4 {
		c.head = append(c.head, b[:min(n, 4-len(c.head))]...)
		if h := string(c.head); h == "GET " || h == "POST" {
			return 0, errTunnel
		}
	}
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

// peer is what the server knows of a connection. gortsplib handles a connection's requests one after the other.
type peer struct {
	trusted bool
	wrong   int

	// Of the request being answered.
	method base.Method
	target target
	auth   base.HeaderValue
	// rtpInfo replaces gortsplib's.
	rtpInfo base.HeaderValue
	// dress changes a description.
	dress func([]byte) []byte
}

func peerOf(sc *gortsplib.ServerConn) *peer {
	p, _ := sc.UserData().(*peer)
	if p == nil {
		p = &peer{}
	}
	return p
}

// front is the part of a server that is the same for a Hub and a clip: who may, and what about.
type front struct{ gate *gate }

// OnConnOpen is called before a connection's first request.
func (f *front) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	p := &peer{}
	if c, ok := ctx.Conn.NetConn().(*conn); ok {
		p.trusted = c.trusted
	}
	ctx.Conn.SetUserData(p)
}

// OnRequest notes what a request is about and gives it the shape that gortsplib answers rightly.
func (f *front) OnRequest(sc *gortsplib.ServerConn, req *base.Request) {
	p := peerOf(sc)
	p.method = req.Method
	p.auth = req.Header["Authorization"]
	p.rtpInfo = nil
	p.dress = nil
	p.target = parseTarget(req.URL)
	if req.URL != nil {
		p.target.rewrite(req.URL, req.Method == base.Setup)
	}
	// gortsplib makes GStreamer wait a second at every SETUP, for the sake of its publishing side.
	delete(req.Header, "User-Agent")
}

// OnResponse puts right what gortsplib writes.
func (f *front) OnResponse(sc *gortsplib.ServerConn, res *base.Response) {
	res.Header["Server"] = base.HeaderValue{"Porthole"}
	if info := peerOf(sc).rtpInfo; info != nil && res.Header["RTP-Info"] != nil {
		res.Header["RTP-Info"] = info
	}
	if dress := peerOf(sc).dress; dress != nil && len(res.Body) > 0 {
		res.Body = dress(res.Body)
	}
}

// OnDecodeError is called for every bad packet of a reader, which is no concern of ours.
func (f *front) OnDecodeError(*gortsplib.ServerHandlerOnDecodeErrorCtx) {}

// OnPacketsLost is called for back channels only.
func (f *front) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx) {}

// admit returns nil if the request may go on, else the answer. An error closes the connection after it.
func (f *front) admit(p *peer) (*base.Response, error) {
	if p.trusted {
		return nil, nil
	}
	now := time.Now()
	v := f.gate.check(now, p.method, p.target.path, p.auth)
	if v == granted {
		return nil, nil
	}
	res := &base.Response{
		StatusCode: base.StatusUnauthorized,
		Header:     base.Header{"WWW-Authenticate": f.gate.challenge(now, v == stale)},
	}
	if v == denied {
		if p.wrong++; p.wrong >= maxWrong {
			return res, errWrongLogins
		}
	}
	return res, nil
}

// trackURL is the URL of the numbered track of what u plays.
func trackURL(u *base.URL, n int) string {
	track := target{path: parseTarget(u).path, track: strconv.Itoa(n)}
	out := u.Clone()
	track.rewrite(out, true)
	return out.String()
}

// ok is the answer to a request that needs no words.
func ok() *base.Response { return &base.Response{StatusCode: base.StatusOK} }

// refuse is an answer with a reason for people.
func refuse(code base.StatusCode, reason string) *base.Response {
	return &base.Response{StatusCode: code, StatusMessage: reason}
}

// tcpOnly reports whether a SETUP asks for RTP inside the RTSP connection.
func tcpOnly(t *gortsplib.SessionTransport) bool {
	return t != nil && t.Protocol == gortsplib.ProtocolTCP && t.Profile == headers.TransportProfileAVP
}
