package rtsp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// relay is a camera whose pictures come from somebody who publishes to it.
type relay struct {
	server gortsplib.Server
	// udpOnly makes it refuse RTP in the RTSP connection.
	udpOnly bool

	mu     sync.Mutex
	stream *gortsplib.ServerStream
}

func startRelay(t *testing.T, udpOnly bool) (*relay, *link) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	r := &relay{udpOnly: udpOnly}
	r.server = gortsplib.Server{
		Handler: r, RTSPAddress: "127.0.0.1:554",
		Listen: func(string, string) (net.Listener, error) { return plain{l}, nil },
	}
	if udpOnly {
		port := udpPair(t)
		r.server.UDPRTPAddress, r.server.UDPRTCPAddress = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
	}
	if err := r.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Close)
	return r, l
}

// plain gives gortsplib connections whose closing the link does not see.
type plain struct{ *link }

// udpPair finds two free ports of which the first is even.
func udpPair(t *testing.T) int {
	t.Helper()
	for range 100 {
		a, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		b, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1))
		a.Close()
		if err != nil {
			continue
		}
		b.Close()
		if port%2 == 0 {
			return port
		}
	}
	t.Fatal("no two free UDP ports")
	return 0
}

func (r *relay) current() *gortsplib.ServerStream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stream
}

// offer makes a stream to write to.
func (r *relay) offer(desc *description.Session) (*gortsplib.ServerStream, error) {
	s := &gortsplib.ServerStream{Server: &r.server, Desc: desc}
	if err := s.Initialize(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = s
	return s, nil
}

func (r *relay) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if _, err := r.offer(ctx.Description); err != nil {
		return &base.Response{StatusCode: base.StatusBadRequest}, err
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *relay) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if s := r.current(); s != nil {
		return &base.Response{StatusCode: base.StatusOK}, s, nil
	}
	return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
}

func (r *relay) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return &base.Response{StatusCode: base.StatusOK}, nil, nil
	}
	if r.udpOnly && ctx.Transport.Protocol == gortsplib.ProtocolTCP {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, r.current(), nil
}

func (r *relay) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *relay) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	s := r.current()
	ctx.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, pkt *rtp.Packet) {
		_ = s.WritePacketRTP(m, pkt)
	})
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *relay) OnPacketsLost(*gortsplib.ServerHandlerOnPacketsLostCtx) {}

// publish has ffmpeg send to the relay in real time until the test ends.
func publish(t *testing.T, address string, args ...string) {
	t.Helper()
	args = append([]string{"-v", "error", "-re"}, args...)
	args = append(args, "-threads", "1", "-f", "rtsp", "-rtsp_transport", "tcp", "rtsp://"+address+"/cam")
	background(t, func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, "ffmpeg", args...).CombinedOutput()
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("ffmpeg ended: %w: %s", errors.Join(err), out)
	})
}

// TestRealPublisher has ffmpeg be the camera's encoder and another one the reader.
func TestRealPublisher(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want []string
		unit rtsp.Codec
	}{
		{
			"H.264 and G.711", []string{
				"-f", "lavfi", "-i", "testsrc2=s=640x360:r=15", "-f", "lavfi", "-i", "sine=r=8000",
				"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-c:a", "pcm_mulaw", "-ar", "8000",
			},
			[]string{"h264,", "640", "pcm_mulaw"}, rtsp.H264,
		},
		{
			"H.265", []string{
				"-f", "lavfi", "-i", "testsrc2=s=320x180:r=10", "-c:v", "libx265", "-preset", "ultrafast", "-g", "10",
				"-x265-params", "log-level=error:bframes=0:pools=1",
			},
			[]string{"hevc,", "320"}, rtsp.H265,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, l := startRelay(t, false)
			publish(t, l.Addr().String(), tt.args...)
			eventually(t, "ffmpeg publishes", func() bool { return r.current() != nil })
			h := startHub(t, patient, source("cam", l.Addr().String()+"/cam"))
			v, _ := h.play(t, "cam")
			eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 20 })
			if v.tracks[0].Codec != tt.unit {
				t.Errorf("tracks: %+v", v.tracks)
			}
			out, err := tool(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,width", "-of", "csv", h.url("cam"))
			for _, w := range tt.want {
				if err != nil || !strings.Contains(out, w) {
					t.Errorf("%v, no %s in %s", err, w, out)
				}
			}
		})
	}
}

// TestTransports pulls a camera that only sends over UDP.
func TestTransports(t *testing.T) {
	t.Parallel()
	r, l := startRelay(t, true)
	publish(t, l.Addr().String(), "-f", "lavfi", "-i", "testsrc2=s=320x180:r=10", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-bf", "0")
	eventually(t, "ffmpeg publishes", func() bool { return r.current() != nil })
	auto, tcp, udp := source("auto", l.Addr().String()+"/cam"), source("tcp", l.Addr().String()+"/cam"), source("udp", l.Addr().String()+"/cam")
	auto.Transport, tcp.Transport, udp.Transport = "auto", "tcp", "udp"
	h := startHub(t, rtsp.Config{AnswerTimeout: 8e9}, auto, tcp, udp)
	for _, id := range []string{"auto", "udp"} {
		v, _ := h.play(t, id)
		eventually(t, "pictures of "+id, func() bool { return len(v.of(rtsp.Video)) > 10 })
	}
	_, ended := h.play(t, "tcp")
	if err := <-ended; !errors.Is(err, rtsp.ErrUnavailable) || !strings.Contains(h.status("tcp").Error, "461") {
		t.Errorf("Play over TCP only: %v, %+v", err, h.status("tcp"))
	}
}

// TestSelfSigned pulls a camera with rtsps and a certificate that nobody can check.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "127.0.0.1:0")
	secure := tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	background(t, func(ctx context.Context) error {
		return rtsp.ServeClip(ctx, logger(t), secure, samples.Demo(), "cam", "admin", "pw")
	})
	h := startHub(t, patient, rtsp.Source{ID: "cam", URL: "rtsps://" + l.Addr().String() + "/cam", User: "admin", Password: "pw"})
	v, _ := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 10 })
}

// TestParameterSetsInBand has a camera that describes its pictures only in the stream: readers are told all the same.
func TestParameterSetsInBand(t *testing.T) {
	t.Parallel()
	from := startHub(t, patient, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("clip"))
	f := &format.H264{PayloadTyp: 99, PacketizationMode: 1}
	r, l := startRelay(t, false)
	m := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
	s, err := r.offer(&description.Session{Title: "at 10.1.2.3", Medias: []*description.Media{m}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := f.CreateEncoder()
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error {
		return rtsp.Play(ctx, rtsp.PlayConfig{Dial: from.dial, Camera: "clip"}, forward(func(u rtsp.Unit) {
			if u.NALUs == nil {
				return
			}
			pkts, err := e.Encode(u.NALUs)
			if err != nil {
				t.Error(err)
			}
			for _, p := range pkts {
				p.Timestamp = u.RTPTime
				_ = s.WritePacketRTP(m, p)
			}
		}))
	})
	h := startHub(t, patient, source("cam", l.Addr().String()+"/cam"))
	a := dial(t, h).ask("DESCRIBE", "rtsp://h/cam", basic(password))
	if a.status != 200 || !strings.Contains(a.body, "sprop-parameter-sets=Z01") || strings.Contains(a.body, "10.1.2.3") {
		t.Errorf("%s:\n%s", a.line, a.body)
	}
	if s := h.status("cam"); len(s.Tracks) != 1 || s.Tracks[0].Detail != "1280×720 main" {
		t.Errorf("status: %+v", s)
	}
}

// forward is a Sink that hands units on.
type forward func(rtsp.Unit)

func (f forward) Tracks([]rtsp.Track) {}
func (f forward) Unit(u rtsp.Unit)    { f(u) }

// TestSlowReader has a reader that takes nothing: it is ended, and nobody else notices.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	h := startHub(t, quick, startClip(t, "127.0.0.1:0", samples.Demo(), "", "").source("cam"))
	near, far := net.Pipe()
	h.Handle(near, rtsp.ViaSocket)
	k := talkOver(t, far)
	setup := k.ask("SETUP", "rtsp://h/cam/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1")
	session, _, _ := strings.Cut(setup.header.Get("Session"), ";")
	if a := k.ask("PLAY", "rtsp://h/cam", "Session: "+session); a.status != 200 {
		t.Fatal(a.line)
	}
	v, ended := h.play(t, "cam")
	eventually(t, "pictures for another reader", func() bool { return len(v.of(rtsp.Video)) > 10 })
	eventually(t, "the slow reader is ended", func() bool { return h.status("cam").Readers == 1 })
	before := len(v.of(rtsp.Video))
	eventually(t, "pictures go on", func() bool { return len(v.of(rtsp.Video)) > before+10 })
	checkOrder(t, v.of(rtsp.Video), time.Second)
	select {
	case err := <-ended:
		t.Errorf("the other reader ended: %v", err)
	default:
	}
}
