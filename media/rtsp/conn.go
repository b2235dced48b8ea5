package rtsp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

const (
	// maxWrong is how many wrong passwords a connection may bring before it is closed.
	maxWrong = 3
	// maxAgent bounds what is kept of a reader's name for itself, in bytes.
	maxAgent = 200
	// refusedMethod is no method of RTSP.
	refusedMethod base.Method = "REFUSED"
)

var errTunnel = errors.New("RTSP in HTTP is not served")

// badRequest ends a connection whose reader sends what is no RTSP (RFC 2326 section 7.1.1).
const badRequest = "RTSP/1.0 400 Bad Request\r\nServer: Porthole\r\nConnection: close\r\n\r\n"

// conn is a connection in the shape gortsplib's server needs.
type conn struct {
	net.Conn
	via    Via
	closed func()
	// malformed is called when the reader sent what cannot be read.
	malformed func()
	once      sync.Once

	head []byte
	// reading: gortsplib waits for the reader. failed: nothing more can come. unread: something came since the last
	// request. When gortsplib closes and has not been reading, could have, and has not made a request of what came, it
	// was malformed; gortsplib itself would say nothing to that.
	reading, failed, unread atomic.Bool
	// frame: what came since then begins with a packet. Players send reports after PAUSE and TEARDOWN too, which gortsplib
	// ends the connection for; they are not malformed.
	frame atomic.Bool
	// released is the reader whose packets may follow the answer that is written next.
	released atomic.Pointer[reader]
}

// Write writes an answer.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if r := c.released.Swap(nil); r != nil {
		r.release()
	}
	return n, err
}

// RemoteAddr is a *net.TCPAddr, as gortsplib takes for granted, also for a unix socket.
func (c *conn) RemoteAddr() net.Addr {
	if a, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok {
		return a
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
}

// peer is the reader's address; not valid for a unix socket.
func (c *conn) peer() netip.Addr {
	if a, ok := c.Conn.RemoteAddr().(*net.TCPAddr); ok && c.via != ViaSocket {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Read refuses connections that begin as HTTP: gortsplib would let RTSP be tunnelled there, a protocol nobody needs
// here.
func (c *conn) Read(b []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.Conn.Read(b)
	if n > 0 && !c.unread.Load() {
		c.frame.Store(b[0] == '$')
		c.unread.Store(true)
	}
	if err != nil {
		c.failed.Store(true)
	}
	c.reading.Store(false)
	if len(c.head) < 4 {
		c.head = append(c.head, b[:min(n, 4-len(c.head))]...)
		if h := string(c.head); h == "GET " || h == "POST" {
			c.failed.Store(true)
			return 0, errTunnel
		}
	}
	return n, err
}

func (c *conn) Close() error {
	c.once.Do(func() {
		if c.unread.Load() && !c.frame.Load() && !c.reading.Load() && !c.failed.Load() {
			if c.malformed != nil {
				c.malformed()
			}
			if c.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
				_, _ = io.WriteString(c.Conn, badRequest) // the connection ends either way
			}
		}
		c.closed()
	})
	return c.Conn.Close()
}

// peer is what the server knows of a connection. gortsplib handles a connection's requests one after the other.
type peer struct {
	conn  *conn
	via   Via
	from  netip.Addr
	wrong int

	// Of the request being answered.
	target target
	agent  string
	// by and user say how the reader was let in: as SessionStatus.Auth and User.
	by, user string
	// answer replaces gortsplib's; hangUp closes the connection after it.
	answer *base.Response
	hangUp bool
	// rtpInfo replaces gortsplib's.
	rtpInfo base.HeaderValue
	// dress changes a description.
	dress func([]byte) []byte
	// reader is whom a SETUP or PLAY is for.
	reader *reader
}

func peerOf(sc *gortsplib.ServerConn) *peer {
	p, _ := sc.UserData().(*peer)
	if p == nil {
		p = &peer{}
	}
	return p
}

// address is the reader's for the log: empty for a unix socket.
func (p *peer) address() string {
	if !p.from.IsValid() {
		return ""
	}
	return p.from.String()
}

// front is the part of a server that is the same for a Hub and a clip: who may, and what about.
type front struct {
	gate *gate
	// access finds the streams; nil means that paths are not looked at here.
	access *access
	log    *rtspLog
	// failed and refused are called for wrong passwords, and for what is turned away unheard; nil is allowed.
	failed  func(netip.Addr)
	refused func(netip.Addr, Refusal)
}

// OnConnOpen is called before a connection's first request.
func (f *front) OnConnOpen(ctx *gortsplib.ServerHandlerOnConnOpenCtx) {
	p := &peer{}
	if c, ok := ctx.Conn.NetConn().(*conn); ok {
		p.conn, p.via, p.from = c, c.via, c.peer()
	}
	ctx.Conn.SetUserData(p)
}

// OnRequest notes what a request is about, judges it, and gives it the shape that gortsplib answers rightly.
func (f *front) OnRequest(sc *gortsplib.ServerConn, req *base.Request) {
	p := peerOf(sc)
	if p.conn != nil {
		p.conn.unread.Store(false)
	}
	p.target = parseTarget(req.URL)
	p.answer, p.hangUp, p.rtpInfo, p.dress = nil, false, nil, nil
	p.agent = ""
	if v := req.Header["User-Agent"]; len(v) > 0 {
		p.agent = maskText(v[0][:min(len(v[0]), maxAgent)])
	}
	auth := f.find(p)
	if f.log != nil {
		f.log.add(sideReader, p.address(), p.target.stream, fromThem, requestText(req))
	}
	if f.judge(sc, p, req, auth); p.answer != nil {
		// gortsplib has no way to refuse every method: this one it does not know, and OnResponse puts the answer in.
		req.Method = refusedMethod
	}
	if req.URL != nil {
		p.target.rewrite(req.URL, req.Method == base.Setup)
	}
	// gortsplib makes GStreamer wait a second at every SETUP, for the sake of its publishing side.
	delete(req.Header, "User-Agent")
}

// OnResponse puts right what gortsplib writes.
func (f *front) OnResponse(sc *gortsplib.ServerConn, res *base.Response) {
	p := peerOf(sc)
	if p.answer != nil && res.StatusCode == base.StatusNotImplemented {
		res.StatusCode, res.StatusMessage, res.Body = p.answer.StatusCode, p.answer.StatusMessage, nil
		for name, v := range p.answer.Header {
			res.Header[name] = v
		}
	}
	res.Header["Server"] = base.HeaderValue{"Porthole"}
	if info := p.rtpInfo; info != nil && res.Header["RTP-Info"] != nil {
		res.Header["RTP-Info"] = info
	}
	if dress := p.dress; dress != nil && len(res.Body) > 0 {
		res.Body = dress(res.Body)
	}
	if f.log != nil {
		f.log.add(sideReader, p.address(), p.target.stream, fromUs, responseText(res))
	}
	if p.hangUp {
		// The answer is written by who calls this, before it looks whether the connection is to end.
		sc.Close()
	}
}

// OnDecodeError is called for every bad packet of a reader, which is no concern of ours.
func (f *front) OnDecodeError(*gortsplib.ServerHandlerOnDecodeErrorCtx) {}

// OnPacketsLost is called for back channels only.
func (f *front) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx) {}

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
