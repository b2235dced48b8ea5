package rtsp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/pion/rtp"
)

// maxLate is how late the clip may be before its clock is set anew: after a suspend it does not race through the night.
const maxLate = time.Second

// ServeClip is a camera: it serves on l, at path, an MPEG-TS clip with H.264 and AAC, over and over in real time, with
// timestamps that go on. With a user it asks for the password, by Digest or Basic. It closes l and returns nil when ctx
// ends, and an error if the clip cannot be read or the listener fails.
func ServeClip(ctx context.Context, log *slog.Logger, l net.Listener, clip []byte, path, user, password string) error {
	parsed, err := parseClip(clip)
	if err != nil {
		l.Close()
		return err
	}
	s := &clipServer{front: front{gate: newGate()}, path: strings.Trim(path, "/")}
	if user == "" {
		s.gate.open = true
	} else {
		s.gate.setAccounts([]Account{{User: user, HA1: md5Hex(user + ":" + Realm + ":" + password)}})
	}
	ready := make(chan struct{})
	server := newServer(s, &wrapping{Listener: l, ready: ready})
	if err := server.Start(); err != nil {
		l.Close()
		return fmt.Errorf("start RTSP server: %w", err)
	}
	desc := &description.Session{Title: "Porthole"}
	for _, t := range parsed.tracks {
		desc.Medias = append(desc.Medias, t.media)
	}
	stream := &gortsplib.ServerStream{Server: server, Desc: desc}
	err = stream.Initialize()
	s.stream = stream
	close(ready)
	if err != nil {
		server.Close()
		return fmt.Errorf("describe clip: %w", err)
	}
	log.Info("serving a clip as a camera", "address", l.Addr().String(), "path", "/"+s.path, "tracks", len(parsed.tracks))

	playing, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting sync.WaitGroup
	var failed error
	waiting.Go(func() {
		failed = server.Wait()
		cancel()
	})
	err = parsed.play(playing, func(s sample, offset int64, due time.Time) error { return send(stream, s, offset, due) })
	server.Close()
	stream.Close()
	waiting.Wait()
	if err == nil && ctx.Err() == nil {
		err = fmt.Errorf("serve clip: %w", failed)
	}
	return err
}

// play gives every sample to write when it is due, round after round, until ctx ends. offset is the beginning of the
// round in tsClock.
func (c *clip) play(ctx context.Context, write func(s sample, offset int64, due time.Time) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	begin := time.Now()
	for offset := int64(0); ; offset += c.length {
		for _, s := range c.samples {
			due := begin.Add(ticksToDuration(offset + s.dts))
			if late := time.Since(due); late > maxLate {
				begin = begin.Add(late)
				due = due.Add(late)
			}
			timer.Reset(time.Until(due))
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
			if err := write(s, offset, due); err != nil {
				return err
			}
		}
	}
}

// packets makes a sample's packets for the round that begins at offset.
func (s sample) packets(offset int64) ([]*rtp.Packet, error) {
	pkts, err := s.track.encode(s.units)
	if err != nil {
		return nil, fmt.Errorf("packetize clip: %w", err)
	}
	for _, pkt := range pkts {
		pkt.Timestamp = s.track.at(offset + s.pts)
	}
	return pkts, nil
}

// send writes a sample's packets to all readers of the clip.
func send(stream *gortsplib.ServerStream, s sample, offset int64, due time.Time) error {
	pkts, err := s.packets(offset)
	if err != nil {
		return err
	}
	for _, pkt := range pkts {
		if err := stream.WritePacketRTPWithNTP(s.track.media, pkt, due.Add(ticksToDuration(s.pts-s.dts))); err != nil {
			return fmt.Errorf("send clip: %w", err)
		}
	}
	return nil
}

// clipServer answers the readers of a clip.
type clipServer struct {
	front
	path string
	// stream is set before the first connection is accepted.
	stream *gortsplib.ServerStream
}

func (s *clipServer) answer(sc *gortsplib.ServerConn) (*base.Response, *gortsplib.ServerStream, error) {
	p := peerOf(sc)
	if p.target.stream != s.path {
		return refuse(base.StatusNotFound, ""), nil, nil
	}
	return ok(), s.stream, nil
}

// OnDescribe describes the clip.
func (s *clipServer) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return s.answer(ctx.Conn)
}

// OnSetup makes the session a reader.
func (s *clipServer) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return s.answer(ctx.Conn)
}

// OnPlay lets the session play.
func (s *clipServer) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	res, _, err := s.answer(ctx.Conn)
	return res, err
}

// OnPause lets the session pause.
func (s *clipServer) OnPause(*gortsplib.ServerHandlerOnPauseCtx) (*base.Response, error) {
	return ok(), nil
}

// OnStreamWriteError is called for every packet that a slow reader misses.
func (s *clipServer) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}

// wrapping is a listener whose connections have the shape gortsplib needs.
type wrapping struct {
	net.Listener
	ready <-chan struct{}
}

// Accept returns the next connection. It waits for what is to be served: gortsplib can only make that on a server
// that accepts already.
func (w *wrapping) Accept() (net.Conn, error) {
	<-w.ready
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, closed: func() {}}, nil
}
