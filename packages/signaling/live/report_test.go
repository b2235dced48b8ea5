package live_test

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"porthole/media/rtsp"
)

// said is when a packet was captured by the sender's report, in seconds since 1900.
func said(r *rtcp.SenderReport, p *rtp.Packet, rate float64) float64 {
	return float64(r.NTPTime>>32) + float64(r.NTPTime&0xffffffff)/(1<<32) + float64(int32(p.Timestamp-r.RTPTime))/rate
}

// nextReport waits for a sender report on a track.
func (b *browser) nextReport(track int) <-chan *rtcp.SenderReport {
	got := make(chan *rtcp.SenderReport, 1)
	go func() {
		for {
			packets, _, err := b.pc.GetReceivers()[track].ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				if r, ok := p.(*rtcp.SenderReport); ok {
					select {
					case got <- r:
					default:
					}
				}
			}
		}
	}()
	return got
}

// TestReports: reports follow the first packets, and by them sound and picture taken at once are played at once, though the sound
// arrives first.
func TestReports(t *testing.T) {
	camera := newFakeCamera(h264, pcmu)
	s := serve(t, camera, nil)
	b := newBrowser(t, webrtc.RTPCodecTypeAudio)
	b.watch(s, "door")
	eventually(t, "connection", func() bool { return b.pc.ConnectionState() == webrtc.PeerConnectionStateConnected })
	reports := [2]<-chan *rtcp.SenderReport{b.nextReport(0), b.nextReport(1)}
	// Sound is held back at first.
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	taken := time.Now()
	camera.send(func() rtsp.Unit { u := picture(true, 0, 0); u.NTP = taken; return u }())
	<-timer.C
	sound := rtsp.Unit{Track: 1, RTPTime: 8000, NTP: taken.Add(1200 * time.Millisecond), Payload: []byte{1}}
	camera.send(sound)
	wait := func(track int) *rtcp.SenderReport {
		select {
		case r := <-reports[track]:
			return r
		case <-time.After(deadline):
			t.Fatalf("no report on track %d", track)
			return nil
		}
	}
	video, audio := wait(0), wait(1)
	at, heard := said(video, <-b.packets, 90000), said(audio, <-b.audio, 8000)
	if off := heard - at - 1.2; off > 0.06 || off < -0.06 {
		t.Errorf("sound taken 1.2 s after a picture is played %.3f s after it", heard-at)
	}
	if now := float64(time.Now().Unix() + 2208988800); at < now-60 || at > now+60 {
		t.Errorf("the report's clock is %.0f s off ours", at-now)
	}
	if video.PacketCount == 0 || video.OctetCount == 0 || video.SSRC == audio.SSRC {
		t.Errorf("reports %+v and %+v", video, audio)
	}
}
