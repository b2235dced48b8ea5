package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/pion/rtp"
)

// playTimeout is how long Play waits for an answer or a packet. A Hub may take ten seconds to connect to a camera, and
// sends reports every ten seconds while one is lost.
const playTimeout = 30 * time.Second

var (
	// ErrNoCamera means that the Hub has no camera of that id.
	ErrNoCamera = errors.New("no such camera")
	// ErrUnavailable means that the camera does not answer now.
	ErrUnavailable = errors.New("the camera does not answer")
	// ErrPassword means that the Hub does not know the user or the password.
	ErrPassword = errors.New("wrong user or password")
)

// PlayConfig says what to play.
type PlayConfig struct {
	// Dial connects to the Hub.
	Dial func(context.Context) (net.Conn, error)
	// Camera is the camera's id.
	Camera string
	// User and Password are for a Hub that does not trust the connection; empty where it does.
	User, Password string
}

// Sink takes what Play reads. Its methods are called one after the other and must not block.
type Sink interface {
	// Tracks is called once, before the first unit.
	Tracks([]Track)
	// Unit is called for every access unit or audio packet. The first ones come at once and are up to a GOP old. The
	// receiver may keep the slices but not change them.
	Unit(Unit)
}

// Play reads a camera from a Hub until ctx ends (its error), or the connection does. ErrNoCamera, ErrUnavailable and
// ErrPassword tell why it did not begin. Through an outage of the camera it goes on, without units.
func Play(ctx context.Context, cfg PlayConfig, sink Sink) error {
	via := gortsplib.ProtocolTCP
	client := &gortsplib.Client{
		Scheme: "rtsp", Host: "porthole", Protocol: &via, UserAgent: "Porthole",
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return cfg.Dial(ctx) },
		ReadTimeout:       playTimeout,
		OnTransportSwitch: func(error) {},
		OnPacketsLost:     func(uint64) {},
		OnDecodeError:     func(error) {},
	}
	if err := client.Start(); err != nil {
		return fmt.Errorf("start RTSP client: %w", err)
	}
	disarm := closeOn(ctx, client)
	defer func() {
		client.Close()
		disarm()
	}()
	u := &url.URL{Scheme: "rtsp", Host: "porthole", Path: "/" + cfg.Camera}
	if cfg.User != "" {
		u.User = url.UserPassword(cfg.User, cfg.Password)
	}
	err := play(client, (*base.URL)(u), sink, all)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("play camera %s: %w", cfg.Camera, err)
}

// all is every track of a Hub: it has none that nobody can read.
func all(desc *description.Session) ([]*description.Media, error) { return desc.Medias, nil }

// play reads the tracks that are chosen.
func play(client *gortsplib.Client, u *base.URL, sink Sink, choose func(*description.Session) ([]*description.Media, error)) error {
	desc, _, err := client.Describe(u)
	switch statusOf(err) {
	case base.StatusNotFound:
		return ErrNoCamera
	case base.StatusServiceUnavailable:
		return ErrUnavailable
	case base.StatusUnauthorized:
		return ErrPassword
	}
	if err != nil {
		return err
	}
	medias, err := choose(desc)
	if err != nil {
		return err
	}
	if err := client.SetupAll(desc.BaseURL, medias); err != nil {
		return err
	}
	var tracks []Track
	// With TCP all packets come from one goroutine; the mutex costs nothing and does not depend on it.
	var mu sync.Mutex
	for _, m := range medias {
		for _, f := range m.Formats {
			r, err := newUnits(len(tracks), f)
			if err != nil {
				return err
			}
			tracks = append(tracks, trackOf(m, f))
			client.OnPacketRTP(m, f, func(pkt *rtp.Packet) {
				date, _ := client.PacketNTP(m, pkt)
				mu.Lock()
				defer mu.Unlock()
				if unit, ok := r.next(pkt, date); ok {
					sink.Unit(unit)
				}
			})
		}
	}
	sink.Tracks(tracks)
	if _, err := client.Play(nil); err != nil {
		return err
	}
	return client.Wait()
}

// next takes a packet. Some cameras do not mark the end of an access unit: then the first packet of the next one
// completes it.
func (u *units) next(pkt *rtp.Packet, date time.Time) (Unit, bool) {
	switch {
	case u.whole != nil:
		picture, err := u.whole(pkt)
		return Unit{Track: u.track, RTPTime: pkt.Timestamp, NTP: date, Payload: picture}, err == nil
	case u.sound != nil:
		frames, err := u.sound(pkt)
		return Unit{Track: u.track, RTPTime: pkt.Timestamp, NTP: date, Frames: frames}, err == nil
	}
	if u.decode == nil {
		return Unit{Track: u.track, RTPTime: pkt.Timestamp, NTP: date, Payload: pkt.Payload}, true
	}
	ts, at := pkt.Timestamp, date
	if u.pending && u.ts != ts {
		ts, at = u.ts, u.date
	}
	au, err := u.decode(pkt)
	complete := err == nil
	u.pending = !complete || ts != pkt.Timestamp
	u.ts, u.date = pkt.Timestamp, date
	if !complete {
		// More packets are needed, or some are lost: what is damaged is left out.
		return Unit{}, false
	}
	return Unit{Track: u.track, RTPTime: ts, NTP: at, NALUs: au}, true
}
