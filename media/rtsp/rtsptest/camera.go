// Package rtsptest is a camera for tests: a real RTSP server with a password, whose picture and sound a real ffmpeg makes.
package rtsptest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtp"
)

const path = "/stream1"

// Camera serves 640×360 H.264 at 25 frames per second, a GOP of two seconds, with AAC, once Publish was called.
type Camera struct {
	user, password string
	addr           string
	ffmpeg         *exec.Cmd

	mu     sync.Mutex
	server *gortsplib.Server       // guarded by mu; nil while stopped
	stream *gortsplib.ServerStream // guarded by mu; nil while nobody publishes
	source *gortsplib.ServerSession
	total  int // guarded by mu
}

// New starts a camera on a free loopback port; readers need user and password. It ends with the test.
func New(t *testing.T, user, password string) *Camera {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Camera{user: user, password: password, addr: l.Addr().String()}
	l.Close()
	c.Restart(t)
	t.Cleanup(c.Stop)
	return c
}

// URL is the camera's address without credentials.
func (c *Camera) URL() string { return "rtsp://" + c.addr + path }

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
	c.server = &gortsplib.Server{Handler: c, RTSPAddress: c.addr}
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
	c.ffmpeg = exec.Command("ffmpeg", "-v", "error", "-nostdin", "-re",
		"-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:beep_factor=4:sample_rate=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k",
		"-f", "rtsp", "-rtsp_transport", "tcp", "rtsp://"+c.addr+path)
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
	return c.read(ctx.Conn, ctx.Request)
}

func (c *Camera) read(conn *gortsplib.ServerConn, req *base.Request) (*base.Response, *gortsplib.ServerStream, error) {
	if !conn.VerifyCredentials(req, c.user, c.password) {
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
