package live_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/live"
)

// Who joins in the middle of a GOP sees a picture at once, from its key frame, squeezed so that it is soon live.
func TestInstantStart(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	first := newBrowser(t).watch(s, "door")
	camera.send(picture(false, 99, 0)) // nothing to decode yet
	for i := range 30 {
		camera.send(picture(i == 0, byte(i), uint32(i*3600)))
	}
	b := newBrowser(t)
	b.watch(s, "door")
	var last arrived
	for i := range 30 {
		p := b.picture()
		if int(p.number) != i || p.key != (i == 0) {
			t.Fatalf("picture %d, key frame %v, arrives as number %d", p.number, p.key, i)
		}
		if i > 0 && p.time-last.time != 90 {
			t.Fatalf("picture %d comes %d ticks after the one before, want 90", i, p.time-last.time)
		}
		last = p
	}
	camera.send(picture(false, 30, 30*3600))
	if p := b.picture(); p.number != 30 || int32(p.time-last.time) < 90 || p.seq != last.seq+1 {
		t.Errorf("live goes on with picture %d, %d ticks and %d packets later", p.number, p.time-last.time, p.seq-last.seq)
	}
	if n := camera.plays.Load(); n != 1 {
		t.Errorf("the camera is read %d times", n)
	}
	first.Close()
	if err := first.Err(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// A viewer gets nothing before a frame that decoding can start at.
func TestNothingBeforeKeyFrame(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	b.watch(s, "door")
	eventually(t, "connection", func() bool { return b.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
	for i := range 5 {
		camera.send(picture(false, byte(i), uint32(i*3600)))
	}
	camera.send(picture(true, 5, 5*3600))
	if p := b.picture(); p.number != 5 || !p.key {
		t.Errorf("the first picture is %d, key frame %v", p.number, p.key)
	}
}

// The camera or proxy goes and comes back: the connection stays, and so do its timestamps.
func TestCameraComesBack(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	v := b.watch(s, "door")
	camera.send(picture(true, 0, 1000))
	before := b.picture()
	began := time.Now()
	camera.drop(h264)
	if e := event(t, v); e.Code != "camera-offline" || e.Message == "" {
		t.Errorf("told %+v", e)
	}
	// A restarted camera counts from elsewhere.
	camera.send(picture(false, 1, 4_000_000_000))
	camera.send(picture(true, 2, 4_000_003_600))
	after := b.picture()
	if after.number != 2 || after.seq != before.seq+2 {
		t.Errorf("picture %d, %d packets later", after.number, after.seq-before.seq)
	}
	if passed := time.Duration(after.time-before.time) * time.Second / 90000; passed <= 0 || passed > time.Since(began)+time.Second {
		t.Errorf("timestamps moved by %v", passed)
	}
	if e := event(t, v); e.Code != "camera-live" {
		t.Errorf("told %+v", e)
	}
}

func event(t *testing.T, v *live.Viewer) live.Event {
	t.Helper()
	select {
	case e := <-v.Events():
		return e
	case <-time.After(deadline):
		t.Fatal("the viewer is told nothing")
		return live.Event{}
	}
}

// A decoder that lost its way asks, and gets the GOP again; asking all the time is no use.
func TestPictureLoss(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	b.watch(s, "door")
	for i := range 3 {
		camera.send(picture(i == 0, byte(i), uint32(i*3600)))
	}
	var last arrived
	for range 3 {
		last = b.picture()
	}
	ssrc := uint32(b.pc.GetReceivers()[0].Track().SSRC())
	pli := []rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}}
	eventually(t, "the GOP comes again", func() bool {
		if err := b.pc.WriteRTCP(pli); err != nil {
			t.Fatal(err)
		}
		return len(b.packets) > 0
	})
	for i := range 3 {
		p := b.picture()
		if int(p.number) != i || int32(p.time-last.time) < 90 {
			t.Fatalf("picture %d comes again as number %d, %d ticks later", p.number, i, int32(p.time-last.time))
		}
		last = p
	}
	for range 50 {
		if err := b.pc.WriteRTCP(pli); err != nil {
			t.Fatal(err)
		}
	}
	camera.send(picture(false, 3, 3*3600))
	if p := b.picture(); p.number != 3 {
		t.Errorf("asking at once again brings picture %d", p.number)
	}
}

// A lost packet is sent again as it was.
func TestRetransmission(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	b.watch(s, "door")
	for i := range 20 {
		camera.send(picture(i == 0, byte(i), uint32(i*3600)))
	}
	var fifth arrived
	for i := range 20 {
		if p := b.picture(); i == 5 {
			fifth = p
		}
	}
	if err := b.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{
		MediaSSRC: uint32(b.pc.GetReceivers()[0].Track().SSRC()), Nacks: []rtcp.NackPair{{PacketID: fifth.seq}},
	}}); err != nil {
		t.Fatal(err)
	}
	if p := b.picture(); p != fifth {
		t.Errorf("sent again: %+v, want %+v", p, fifth)
	}
}

func TestSound(t *testing.T) {
	camera := newFakeCamera(h264, pcmu)
	s := serve(t, camera, nil)
	b := newBrowser(t, webrtc.RTPCodecTypeAudio)
	v := b.watch(s, "door")
	if !strings.Contains(v.Answer, "PCMU/8000") {
		t.Fatalf("the answer has no PCMU:\n%s", v.Answer)
	}
	camera.send(picture(true, 0, 0))
	b.picture()
	n := 0
	eventually(t, "sound", func() bool {
		unit := picture(false, 0, 0)
		unit.Track, unit.NALUs, unit.Payload, unit.RTPTime = 1, nil, []byte{byte(n), 2, 3}, uint32(160*n)
		camera.send(unit)
		n++
		return len(b.audio) >= 2
	})
	one, two := <-b.audio, <-b.audio
	if len(one.Payload) != 3 || two.Payload[0] != one.Payload[0]+1 || two.Timestamp-one.Timestamp != 160 {
		t.Errorf("packets %x at %d and %x at %d", one.Payload, one.Timestamp, two.Payload, two.Timestamp)
	}
}

func TestNoSoundIsSaid(t *testing.T) {
	camera := newFakeCamera(h264, aac)
	s := serve(t, camera, nil)
	v := newBrowser(t, webrtc.RTPCodecTypeAudio).watch(s, "door")
	if e := event(t, v); e.Code != "no-sound" || e.Message != "no sound: the camera sends AAC" {
		t.Errorf("told %+v", e)
	}
}

func TestAnswerNamesOneFormat(t *testing.T) {
	s := serve(t, newFakeCamera(h264), nil)
	v := newBrowser(t, webrtc.RTPCodecTypeAudio).watch(s, "door")
	if n := strings.Count(v.Answer, "a=rtpmap:"); n != 1 || !strings.Contains(v.Answer, "profile-level-id=42e01f") {
		t.Errorf("%d formats:\n%s", n, v.Answer)
	}
	if !strings.Contains(v.Answer, "a=sendonly") || !strings.Contains(v.Answer, "127.0.0.1") || len(v.Candidates) == 0 {
		t.Errorf("direction or candidates are missing:\n%s", v.Answer)
	}
}

func reasonOf(err error) live.Reason {
	var refusal *live.Refusal
	if errors.As(err, &refusal) && refusal.Message != "" {
		return refusal.Reason
	}
	return live.Reason(fmt.Sprint(err))
}

func TestRefusals(t *testing.T) {
	h265 := h264
	h265.Codec = "H265"
	camera := newFakeCamera(h265)
	s := serve(t, camera, nil)
	offer := newBrowser(t).offer
	if _, err := s.Watch(t.Context(), "garden", offer); reasonOf(err) != live.Unknown {
		t.Errorf("unknown camera: %v", err)
	}
	if _, err := s.Watch(t.Context(), "door", "x"); reasonOf(err) != live.BadOffer {
		t.Errorf("bad offer: %v", err)
	}
	if _, err := s.Watch(t.Context(), "door", strings.ReplaceAll(offer, "H265/", "X/")); reasonOf(err) != live.NoCodec {
		t.Errorf("no common codec: %v", err)
	}
	dark := serve(t, newFakeCamera(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dark.Watch(ctx, "door", offer); reasonOf(err) != live.Offline {
		t.Errorf("camera offline: %v", err)
	}
	off := serve(t, camera, func(c *live.Config) { c.Path = nil })
	if _, err := off.Watch(t.Context(), "door", offer); reasonOf(err) != live.NoPath {
		t.Errorf("no UDP port: %v", err)
	}
}

func TestLimits(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, func(c *live.Config) { c.PerCamera, c.Total = 2, 3 })
	s.SetCameras([]string{"door", "garden"})
	offer := newBrowser(t).offer
	first, err := s.Watch(t.Context(), "door", offer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Watch(t.Context(), "door", offer); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Watch(t.Context(), "door", offer); reasonOf(err) != live.Busy || !strings.Contains(err.Error(), "2 live views of this camera") {
		t.Errorf("third at one camera: %v", err)
	}
	if _, err := s.Watch(t.Context(), "garden", offer); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Watch(t.Context(), "garden", offer); reasonOf(err) != live.Busy || !strings.Contains(err.Error(), "3 live views are open on this device") {
		t.Errorf("fourth of all: %v", err)
	}
	first.Close()
	if _, err := s.Watch(t.Context(), "door", offer); err != nil {
		t.Errorf("a place is free again, but: %v", err)
	}
}

func TestSentAway(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	v := b.watch(s, "door")
	camera.send(picture(true, 0, 0))
	b.picture()
	camera.drop(h264, pcmu)
	<-v.Done()
	if r := reasonOf(v.Err()); r != live.Changed {
		t.Errorf("the camera changed its format: %v", v.Err())
	}

	b = newBrowser(t)
	v = b.watch(s, "door")
	camera.send(picture(true, 0, 0))
	b.picture()
	s.SetCameras(nil)
	<-v.Done()
	if r := reasonOf(v.Err()); r != live.Unknown {
		t.Errorf("the camera was removed: %v", v.Err())
	}
	eventually(t, "the browser notices", func() bool {
		state := b.pc.ConnectionState()
		return state == webrtc.PeerConnectionStateClosed || state == webrtc.PeerConnectionStateDisconnected || state == webrtc.PeerConnectionStateFailed
	})
}

// The browser closes its connection: the place is free soon.
func TestBrowserLeaves(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	v := b.watch(s, "door")
	camera.send(picture(true, 0, 0))
	b.picture()
	if err := b.pc.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-v.Done():
	case <-time.After(deadline):
		t.Fatal("the viewer stays")
	}
	if v.Err() != nil {
		t.Errorf("left with %v", v.Err())
	}
}

func TestListenTakenPort(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	path, err := live.Listen(discard(), c.LocalAddr().String(), true)
	if err == nil {
		path.Close()
		t.Fatal("a taken port was opened")
	}
	port := fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port)
	for _, want := range []string{"UDP port " + port, "-ice-udp", "taken"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
