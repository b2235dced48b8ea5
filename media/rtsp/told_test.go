package rtsp

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/google/go-cmp/cmp"
)

func TestTold(t *testing.T) {
	const camera = "v=0\r\no=- 1 1 IN IP4 192.168.7.7\r\ns=x\r\nb=AS:5000\r\nt=0 0\r\na=range:npt=0-\r\na=x-lan:192.168.7.7\r\n" +
		"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=framerate:1\r\na=control:0\r\n" +
		"m=video 0 RTP/AVP 96\r\nb=AS:4000\r\na=rtpmap:96 H264/90000\r\na=framerate:25.0\r\na=framesize:96 1280-720\r\na=x-dimensions:1280,720\r\na=control:1\r\n" +
		"m=audio 0 RTP/AVP 0\r\nb=AS:64\r\na=framerate:192.168.7.7\r\na=control:2\r\n"
	s, err := sdpunmarshaler.Unmarshal([]byte(camera))
	if err != nil {
		t.Fatal(err)
	}
	d, ok := parseDescription([]byte(camera))
	if !ok {
		t.Fatal("not readable")
	}
	all := append([]*description.Media{}, d.Medias...)
	used, err := usable(d, false, func(s string) { t.Error(s) })
	if err != nil {
		t.Fatal(err)
	}
	facts := toldOf(s, all, used)
	const ours = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Porthole\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n" +
		"m=audio 0 RTP/AVP 0\r\na=control:trackID=1\r\n"
	const head = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=Porthole\r\nc=IN IP4 0.0.0.0\r\n"
	tests := []struct {
		name    string
		options Options
		want    string
	}{
		{"none", Options{}, head + "b=AS:5000\r\nt=0 0\r\na=range:npt=0-\r\nm=video 0 RTP/AVP 96\r\nb=AS:4000\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\na=framerate:25.0\r\n" +
			"a=framesize:96 1280-720\r\na=x-dimensions:1280,720\r\nm=audio 0 RTP/AVP 0\r\nb=AS:64\r\na=control:trackID=1\r\n"},
		{"all", Options{DropFramerate: true, DropFramesize: true, NptNow: true, ExtraCRLF: true, BandwidthKbps: 50}, head + "t=0 0\r\na=range:npt=now-\r\n" +
			"m=video 0 RTP/AVP 96\r\nb=AS:50\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=1\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(facts.dress([]byte(ours), tt.options))
			if diff := cmp.Diff(strings.Split(tt.want, "\r\n"), strings.Split(got, "\r\n")); diff != "" {
				t.Error(diff)
			}
			if _, ok := parseDescription([]byte(got)); !ok {
				t.Error("readers cannot read it")
			}
		})
	}
	if got := string(told{}.dress([]byte(ours), Options{})); got != ours {
		t.Errorf("with nothing told: %q", got)
	}
}
