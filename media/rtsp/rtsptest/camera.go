// Package rtsptest is a camera for tests: a real RTSP server with a password, whose picture and sound a real ffmpeg makes.
package rtsptest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtp"
)

const path = "/stream1"

// Options make a camera unlike the usual one, which speaks RTSP over TCP and UDP and asks for Digest or Basic.
type Options struct {
	// User and Password are what readers need; empty means none.
	User, Password string
	// Auth is "basic", "md5" or "sha256" for one way only.
	Auth string
	// TLS makes it speak rtsps, with a certificate that nobody can check and plain RTP inside.
	TLS bool
	// UDPOnly makes it refuse RTP in the RTSP connection; without it there is no UDP.
	UDPOnly bool
	// Garbage makes it glue bytes to its headers and write some between frames.
	Garbage bool
}

// Camera serves what ffmpeg publishes to it: with Publish 640×360 H.264 at 25 frames per second, a GOP of two seconds,
// with AAC.
type Camera struct {
	o      Options
	addr   string
	ffmpeg *exec.Cmd
	frozen atomic.Bool

	mu     sync.Mutex
	server *gortsplib.Server       // guarded by mu; nil while stopped
	stream *gortsplib.ServerStream // guarded by mu; nil while nobody publishes
	source *gortsplib.ServerSession
	push   string // guarded by mu; where ffmpeg publishes
	total  int    // guarded by mu
}

// New starts a camera on a free loopback port; readers need user and password. It ends with the test.
func New(t *testing.T, user, password string) *Camera {
	t.Helper()
	return Start(t, Options{User: user, Password: password})
}

// Start starts a camera on a free loopback port. It ends with the test.
func Start(t *testing.T, o Options) *Camera {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Camera{o: o, addr: l.Addr().String()}
	l.Close()
	c.Restart(t)
	t.Cleanup(c.Stop)
	return c
}

// URL is the camera's address without credentials.
func (c *Camera) URL() string {
	if c.o.TLS {
		return "rtsps://" + c.addr + path
	}
	return "rtsp://" + c.addr + path
}

// Freeze makes the camera silent, or lets it go on, without closing a connection.
func (c *Camera) Freeze(frozen bool) { c.frozen.Store(frozen) }

// Connections returns how many sessions have played the camera since New.
func (c *Camera) Connections() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Restart brings a stopped camera back at the same address, without a picture until Publish.
func (c *Camera) Restart(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	l, err := c.listen()
	if err != nil {
		t.Fatalf("start the camera: %v", err)
	}
	c.push = "rtsp://" + l.inside.Addr().String() + path
	c.server = &gortsplib.Server{
		Handler: c, RTSPAddress: c.addr,
		Listen: func(string, string) (net.Listener, error) { return l, nil },
	}
	switch c.o.Auth {
	case "basic":
		c.server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodBasic}
	case "md5":
		c.server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodDigestMD5}
	case "sha256":
		c.server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodDigestSHA256}
	}
	if c.o.UDPOnly {
		port, err := freePair()
		if err != nil {
			t.Fatalf("start the camera: %v", err)
		}
		c.server.UDPRTPAddress, c.server.UDPRTCPAddress = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
	}
	if err := c.server.Start(); err != nil {
		t.Fatalf("start the camera: %v", err)
	}
}

// Stop takes the camera off the network, as a pulled plug does.
func (c *Camera) Stop() {
	c.mu.Lock()
	server := c.server
	c.server = nil
	c.mu.Unlock()
	if server != nil {
		server.Close()
	}
	if c.ffmpeg != nil {
		c.ffmpeg.Process.Kill() //nolint:errcheck // it may have ended with the server
		c.ffmpeg.Wait()         //nolint:errcheck // killed
		c.ffmpeg = nil
	}
}

// Publish starts ffmpeg and returns when its picture is there.
func (c *Camera) Publish(t *testing.T) {
	t.Helper()
	c.PublishAs(t, "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25",
		"-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k")
}

// PublishAs does the same with ffmpeg's arguments for inputs and codecs.
func (c *Camera) PublishAs(t *testing.T, args ...string) {
	t.Helper()
	c.mu.Lock()
	push := c.push
	c.mu.Unlock()
	args = append([]string{"-v", "error", "-nostdin", "-re"}, args...)
	c.ffmpeg = exec.Command("ffmpeg", append(args, "-f", "rtsp", "-rtsp_transport", "tcp", push)...)
	c.ffmpeg.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	c.ffmpeg.Stderr = &out
	if err := c.ffmpeg.Start(); err != nil {
		t.Fatalf("start ffmpeg: %v", err)
	}
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		c.mu.Lock()
		there := c.stream != nil
		c.mu.Unlock()
		if there {
			return
		}
		if time.Now().After(deadline) {
			c.Stop()
			t.Fatalf("ffmpeg does not publish: %s", out.String())
		}
		<-tick.C
	}
}

// OnAnnounce lets ffmpeg publish.
func (c *Camera) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil || c.stream != nil {
		return &base.Response{StatusCode: base.StatusBadRequest}, errors.New("somebody publishes already")
	}
	stream := &gortsplib.ServerStream{Server: c.server, Desc: ctx.Description}
	if err := stream.Initialize(); err != nil {
		return &base.Response{StatusCode: base.StatusInternalServerError}, fmt.Errorf("make the stream: %w", err)
	}
	c.stream, c.source = stream, ctx.Session
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnRecord passes on what ffmpeg sends.
func (c *Camera) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	c.mu.Lock()
	stream := c.stream
	c.mu.Unlock()
	ctx.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		stream.WritePacketRTP(m, p) //nolint:errcheck // a reader that has gone is no concern of the camera
	})
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// OnSessionClose ends the picture when ffmpeg goes.
func (c *Camera) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != nil && ctx.Session == c.source {
		c.stream.Close()
		c.stream, c.source = nil, nil
	}
}

// OnDescribe asks readers for the password.
func (c *Camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.read(ctx.Conn, ctx.Request)
}

// OnSetup lets the publisher in, and readers with the password.
func (c *Camera) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return &base.Response{StatusCode: base.StatusOK}, nil, nil
	}
	if c.o.UDPOnly && ctx.Transport.Protocol != gortsplib.ProtocolUDP {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	return c.read(ctx.Conn, ctx.Request)
}

func (c *Camera) read(conn *gortsplib.ServerConn, req *base.Request) (*base.Response, *gortsplib.ServerStream, error) {
	if c.o.User != "" && !conn.VerifyCredentials(req, c.o.User, c.o.Password) {
		// gortsplib adds the challenge for this error.
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnPlay counts readers.
func (c *Camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total++
	return &base.Response{StatusCode: base.StatusOK}, nil
}
