package live_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"porthole/packages/signaling/live"
)

// patience is for what takes a while by itself, on a busy machine.
const patience = 90 * time.Second

func ended(t *testing.T, v *live.Viewer) {
	t.Helper()
	select {
	case <-v.Done():
	case <-time.After(patience):
		t.Fatal("the viewer stays")
	}
}

// Limits change while people watch: nobody is sent away, and the next one meets the new ones.
func TestLimitsChange(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, func(c *live.Config) { c.PerCamera, c.Total = 3, 3 })
	b := newBrowser(t)
	v := b.watch(s, "door")
	other := newBrowser(t).offer
	if _, err := s.Watch(t.Context(), "door", other); err != nil {
		t.Fatal(err)
	}
	s.SetLimits(live.Limits{PerCamera: 1, Total: 3})
	if _, err := s.Watch(t.Context(), "door", other); reasonOf(err) != live.Busy || !strings.Contains(err.Error(), "one live view of this camera is open") {
		t.Errorf("third at a camera for one: %v", err)
	}
	s.SetLimits(live.Limits{PerCamera: 5, Total: 1, MaxTime: time.Millisecond})
	if _, err := s.Watch(t.Context(), "door", other); reasonOf(err) != live.Busy || !strings.Contains(err.Error(), "one live view is open on this device") {
		t.Errorf("third on a device for one: %v", err)
	}
	camera.send(picture(true, 0, 0))
	b.picture()
	if st := s.Status(); len(st.Viewers) != 2 || st.Limits.Total != 1 || st.Refused[live.Busy] != 2 {
		t.Errorf("status %+v", st)
	}
	select {
	case <-v.Done():
		t.Errorf("a viewer who was there before is gone: %v", v.Err())
	default:
	}
	// Who comes now is asked soon whether anybody is there.
	s.SetLimits(live.Limits{PerCamera: 5, Total: 5, MaxTime: 2 * time.Second})
	late, err := s.Watch(t.Context(), "door", other)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, late)
	if reasonOf(late.Err()) != live.TimeLimit || !strings.Contains(late.Err().Error(), "ended after 2 seconds: start it again") {
		t.Errorf("ended with %v", late.Err())
	}
	if n := s.Status().Ended[live.TimeLimit]; n != 1 {
		t.Errorf("%d viewers counted as ended by time", n)
	}
}

// What is known of a viewer: who it is, its way through the network, and what it reports.
func TestStatus(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, nil)
	b := newBrowser(t)
	v := b.watch(s, "door")
	v.SetClient(live.Client{User: "anna", Remote: "192.0.2.7", Agent: "Firefox", By: "whep"})
	for i := range 20 {
		camera.send(picture(i == 0, byte(i), uint32(i*3600)))
	}
	for range 20 {
		b.picture()
	}
	// pion's default interceptors send receiver reports each second; loss is ours to invent.
	ssrc := uint32(b.pc.GetReceivers()[0].Track().SSRC())
	only := func() live.ViewerStatus {
		st := s.Status()
		if len(st.Viewers) != 1 {
			t.Fatalf("viewers %+v", st.Viewers)
		}
		return st.Viewers[0]
	}
	eventually(t, "loss is reported", func() bool {
		if err := b.pc.WriteRTCP([]rtcp.Packet{
			&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: ssrc, FractionLost: 64, TotalLost: 7, Jitter: 900}}},
			&rtcp.PictureLossIndication{MediaSSRC: ssrc},
		}); err != nil {
			t.Fatal(err)
		}
		got := only()
		return got.Lost == 7 && got.Loss == 0.25 && got.Jitter == 0.01 && got.Resyncs > 0
	})
	// A report on somebody else's packets is none of ours.
	if err := b.pc.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: ssrc + 1, TotalLost: 99}}}}); err != nil {
		t.Fatal(err)
	}
	got := only()
	if got.Stream != "door" || got.User != "anna" || got.Remote != "192.0.2.7" || got.Agent != "Firefox" || got.By != "whep" || got.Transcoded {
		t.Errorf("who: %+v", got)
	}
	if len(got.ID) != 12 || !strings.HasPrefix(v.ID, got.ID) {
		t.Errorf("named %q", got.ID)
	}
	if got.Connected <= 0 || got.FirstFrame < got.Connected || got.Packets < 20 || got.Bytes < 20*50 || got.Lost == 99 {
		t.Errorf("counts: %+v", got)
	}
	if c := got.Candidates; c == nil || c.Protocol != "udp" || c.Local != "host" || c.Address != "127.0.0.1" || c.Remote == "" {
		t.Errorf("path: %+v", c)
	}
	st := s.Status()
	if len(st.Streams) != 1 || st.Streams[0].Viewers != 1 || st.Streams[0].Started != 1 || st.Streams[0].Bytes != got.Bytes ||
		st.FirstFrame.Count != 1 || st.FirstFrame.Sum != got.FirstFrame || len(st.FirstFrame.Buckets) != len(st.FirstFrame.Bounds) {
		t.Errorf("totals: %+v", st)
	}

	if s.End(v.ID) || s.End("") {
		t.Error("a name that is none ended somebody")
	}
	if !s.End(got.ID) {
		t.Error("the viewer cannot be ended")
	}
	ended(t, v)
	if reasonOf(v.Err()) != live.Ended {
		t.Errorf("ended with %v", v.Err())
	}
	after := s.Status()
	if len(after.Viewers) != 0 || after.Streams[0].Viewers != 0 || after.Streams[0].Bytes < got.Bytes || after.Ended[live.Ended] != 1 || s.End(got.ID) {
		t.Errorf("afterwards: %+v", after)
	}
}

// cuttable is a UDP socket whose cable can be pulled.
type cuttable struct {
	net.PacketConn
	cut atomic.Bool
}

func (c *cuttable) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

// A browser vanishes without a word, as a phone that leaves the network does: its place is free soon, and it is said why.
func TestBrowserVanishes(t *testing.T) {
	camera := newFakeCamera(h264)
	s := serve(t, camera, func(c *live.Config) { c.PerCamera = 1 })
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cable := &cuttable{PacketConn: udp}
	mux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: cable})
	t.Cleanup(func() { mux.Close() })
	b := newBrowserWith(t, webrtc.Configuration{}, func(e *webrtc.SettingEngine) { e.SetICEUDPMux(mux) })
	v := b.watch(s, "door")
	camera.send(picture(true, 0, 0))
	b.picture()
	other := newBrowser(t)
	if _, err := s.Watch(t.Context(), "door", other.offer); reasonOf(err) != live.Busy {
		t.Fatalf("a place that is taken: %v", err)
	}
	cable.cut.Store(true)
	ended(t, v)
	if reasonOf(v.Err()) != live.NoPath {
		t.Errorf("ended with %v", v.Err())
	}
	other.watch(s, "door")
	camera.send(picture(true, 1, 3600))
	if p := other.picture(); p.number > 1 {
		t.Errorf("the next one sees picture %d", p.number)
	}
}
