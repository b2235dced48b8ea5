package rtsp_test

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// setUp describes a camera and sets up the given tracks over TCP, the one numbered n on channel 2n.
func (k *talk) setUp(h *hub, id string, tracks ...int) (session string) {
	k.t.Helper()
	url := "rtsp://" + h.door.Addr().String() + "/" + id
	if a := k.ask("DESCRIBE", url, basic(password)); a.status != 200 {
		k.t.Fatal(a.line)
	}
	var lines []string
	for _, n := range tracks {
		a := k.ask("SETUP", url+"/trackID="+strconv.Itoa(n), append(lines, basic(password),
			"Transport: RTP/AVP/TCP;unicast;interleaved="+strconv.Itoa(2*n)+"-"+strconv.Itoa(2*n+1))...)
		if a.status != 200 {
			k.t.Fatal(a.line)
		}
		id, _, _ := strings.Cut(a.header.Get("Session"), ";")
		lines = []string{"Session: " + id}
	}
	return lines[0]
}

// narrow gives connections a small buffer in the kernel, so that who does not read is soon noticed.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		err = tcp.SetWriteBuffer(4 << 10)
	}
	return c, err
}

// TestStalledReader has a reader that stops reading beside one that does not. The good one misses nothing. The stalled
// one has missed whole pictures when it reads again, goes on with a key picture, and is live.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, rtsp.Config{ReaderTimeout: time.Minute}, cam.source("cam"))
	l := narrow{listen(t, "127.0.0.1:0").Listener}
	var handling sync.WaitGroup
	handling.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.Handle(c, rtsp.ViaTest)
		}
	})
	t.Cleanup(handling.Wait)
	t.Cleanup(func() { l.Close() })
	good, _ := h.play(t, "cam")
	eventually(t, "a picture", func() bool { return len(good.of(rtsp.Video)) > 0 })

	// The buffer has to be small before the connection is made, when its window is told.
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		})
		return errors.Join(err, failed)
	}}
	raw, err := dialer.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	k := talkOver(t, raw)
	session := k.setUp(h, "cam", 0, 1)
	if a := k.ask("PLAY", "rtsp://x/cam", session, basic(password)); a.status != 200 {
		t.Fatal(a.line)
	}
	eventually(t, "the stalled reader has missed a GOP", func() bool { return h.status("cam").DroppedGOPs > 0 })
	seen := len(good.of(rtsp.Video))
	eventually(t, "the good one sees two GOPs more", func() bool { return len(good.of(rtsp.Video)) > seen+100 })
	var slow rtsp.SessionStatus
	for _, s := range h.Sessions() {
		if s.Via == rtsp.ViaTest {
			slow = s
		} else if s.Dropped != 0 || s.DroppedGOPs != 0 {
			t.Errorf("the good reader: %+v", s)
		}
	}
	if slow.Dropped == 0 || slow.DroppedGOPs == 0 || slow.Peer != "127.0.0.1" || slow.Transport != "tcp" {
		t.Errorf("the stalled reader: %+v", slow)
	}
	if err := raw.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	gaps := wholePictures(t, k, 500)
	if gaps == 0 || gaps > int(h.status("cam").DroppedGOPs) {
		t.Errorf("%d gaps, counted %d", gaps, h.status("cam").DroppedGOPs)
	}
	units := good.of(rtsp.Video)
	for i := 1; i < len(units); i++ {
		if d := units[i].RTPTime - units[i-1].RTPTime; d != 3600 {
			t.Fatalf("the good reader: picture %d is %d ticks after the one before", i, d)
		}
	}
}

// wholePictures reads video packets on channel 0 and checks that every gap is between a whole picture and a key picture.
// It returns the gaps.
func wholePictures(t *testing.T, k *talk, after int) (gaps int) {
	t.Helper()
	var last rtp.Packet
	for n := 0; n < after || gaps == 0; n++ {
		f := k.nextFrame()
		if f.channel != 0 {
			n--
			continue
		}
		var p rtp.Packet
		if err := p.Unmarshal(f.payload); err != nil {
			t.Fatal(err)
		}
		if n > 0 && p.SequenceNumber != last.SequenceNumber+1 {
			gaps++
			if !last.Marker {
				t.Fatalf("a picture lacks its end in front of the gap, at packet %d", n)
			}
			// SPS, PPS and key pictures, alone, aggregated or in fragments (RFC 6184).
			kind := p.Payload[0] & 0x1f
			if kind == 28 {
				kind = p.Payload[1] & 0x1f
			}
			if kind != 5 && kind != 7 && kind != 24 && kind != 6 && kind != 9 {
				t.Fatalf("a NAL unit of type %d behind a gap", kind)
			}
		}
		last = p
	}
	return gaps
}

// TestStalledForGood: who takes nothing for the stall timeout is let go, and the list says why.
func TestStalledForGood(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, rtsp.Config{ReaderTimeout: 2 * time.Second}, cam.source("cam"))
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	go h.Handle(ours, rtsp.ViaTLS)
	k := talkOver(t, theirs)
	session := k.setUp(h, "cam", 0)
	if a := k.ask("PLAY", "rtsp://x/cam", session, basic(password)); a.status != 200 {
		t.Fatal(a.line)
	}
	eventually(t, "the session ends", func() bool {
		list := h.Sessions()
		return len(list) == 1 && !list[0].Ended.IsZero() && strings.Contains(list[0].Reason, "took nothing for 2s")
	})
	if s := h.status("cam"); s.Readers != 0 || s.Sessions != 1 || s.LastDuration <= 0 || s.LastSession.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestSoundAlone has a reader that only wants sound: it comes live, with a sender report at once, and nothing missing.
func TestSoundAlone(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, patient, cam.source("cam"))
	v, _ := h.play(t, "cam")
	eventually(t, "a second of pictures", func() bool { return len(v.of(rtsp.Video)) > 25 })
	k := dial(t, h)
	session := k.setUp(h, "cam", 1)
	a := k.ask("PLAY", "rtsp://x/cam", session, basic(password))
	if a.status != 200 {
		t.Fatal(a.line)
	}
	var before uint16
	var packets, octets, reports uint32
	for packets < 400 {
		f := k.nextFrame()
		if f.channel == 3 {
			list, err := rtcp.Unmarshal(f.payload)
			if err != nil {
				t.Fatal(err)
			}
			sr, ok := list[0].(*rtcp.SenderReport)
			if !ok || sr.PacketCount != packets || sr.OctetCount != octets {
				t.Fatalf("a report after %d packets with %d bytes: %+v", packets, octets, list[0])
			}
			if reports++; reports == 1 && packets > 1 {
				t.Errorf("the first report comes after %d packets", packets)
			}
			continue
		}
		var p rtp.Packet
		if err := p.Unmarshal(f.payload); err != nil || f.channel != 2 {
			t.Fatalf("channel %d: %v", f.channel, err)
		}
		if packets == 0 && !strings.Contains(a.header.Get("RTP-Info"), "seq="+itoa(p.SequenceNumber)+";") {
			t.Errorf("the first packet is %d, RTP-Info: %s", p.SequenceNumber, a.header.Get("RTP-Info"))
		}
		if packets > 0 && p.SequenceNumber != before+1 {
			t.Fatalf("packet %d after %d", p.SequenceNumber, before)
		}
		before = p.SequenceNumber
		packets++
		octets += uint32(len(p.Payload))
	}
	if reports < 2 {
		t.Errorf("%d reports in eight seconds", reports)
	}
}

// TestSessions lists readers while they read and after, ends one, and forgets our own when they end.
func TestSessions(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, patient, cam.source("cam"))
	v, ended := h.play(t, "cam")
	eventually(t, "a picture", func() bool { return len(v.of(rtsp.Video)) > 0 })
	k := dial(t, h)
	session := k.setUp(h, "cam", 0)
	if a := k.ask("PLAY", "rtsp://x/cam", session, basic(password), "User-Agent: Nosy/1"); a.status != 200 {
		t.Fatal(a.line)
	}
	list := h.Sessions()
	if len(list) != 2 || list[0].Via != rtsp.ViaSocket || list[1].Via != rtsp.ViaTLS || list[1].User != user || list[1].Auth != "basic" ||
		list[0].Auth != "trusted" || list[0].ID == list[1].ID || list[0].Stream != "cam" || list[0].UserAgent != "Porthole" {
		t.Fatalf("%+v", list)
	}
	eventually(t, "something is sent", func() bool { return h.Sessions()[1].BytesOut > 0 })
	if a := k.ask("TEARDOWN", "rtsp://x/cam", session, basic(password)); a.status != 200 {
		t.Fatal(a.line)
	}
	eventually(t, "one session", func() bool { return h.status("cam").Readers == 1 })
	eventually(t, "it is listed as ended", func() bool {
		list := h.Sessions()
		return len(list) == 2 && !list[1].Ended.IsZero() && list[1].Reason == "the reader stopped" && list[1].BytesOut > 0
	})
	if h.EndSession("nope") || h.EndSession(h.Sessions()[1].ID) {
		t.Error("a session was ended that is not there")
	}
	if !h.EndSession(list[0].ID) {
		t.Error("no session was ended")
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	eventually(t, "only the other program's is remembered", func() bool {
		list := h.Sessions()
		return len(list) == 1 && list[0].Reason == "the reader stopped"
	})
	t.Run("a hundred are kept", func(t *testing.T) {
		for range 110 {
			k := dial(t, h)
			k.setUp(h, "cam", 0)
			k.conn.Close()
		}
		eventually(t, "all are gone", func() bool { return h.status("cam").Readers == 0 && h.status("cam").Sessions == 111 })
		list := h.Sessions()
		if len(list) != 100 || list[0].Since.Before(list[99].Since) || list[0].Reason != "the reader closed the connection" {
			t.Errorf("%d: %+v", len(list), list[0])
		}
	})
}

// TestStatistics measures the demo clip: 25 pictures a second, a key picture every two.
func TestStatistics(t *testing.T) {
	t.Parallel()
	cam := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	h := startHub(t, patient, cam.source("cam"))
	v, _ := h.play(t, "cam")
	eventually(t, "three GOPs", func() bool { return len(v.of(rtsp.Video)) > 160 })
	s := h.status("cam")
	// On a busy machine a second may lack pictures that come in the next.
	if s.GOPPictures != 50 || s.GOPSeconds != 2 || s.FPS < 15 || s.FPS > 40 || s.KbitPerSecond < 300 || s.KbitPerSecond > 5000 ||
		s.Sessions != 0 || s.Readers != 1 {
		t.Errorf("%+v", s)
	}
}
