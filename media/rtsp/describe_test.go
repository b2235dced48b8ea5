package rtsp

import (
	"errors"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/google/go-cmp/cmp"
)

// p0 is a time that stands for any.
var p0 = time.Unix(1_700_000_000, 0)

const sdpHead = "v=0\r\no=- 1 1 IN IP4 192.168.7.7\r\ns=Cam at 192.168.7.7\r\nt=0 0\r\n"

const sdpH264 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 profile-level-id=4D401F; sprop-parameter-sets=Z01AH9mAUAW7AWoCAgKAAAADAIAAABlHjBk0,aOlzLIA=\r\na=control:trackID=1\r\n"

func parseSDP(t *testing.T, sdp string) *description.Session {
	t.Helper()
	s, err := sdpunmarshaler.Unmarshal([]byte(sdp))
	if err != nil {
		t.Fatal(err)
	}
	var d description.Session
	if err := d.Unmarshal2(s); err != nil {
		t.Fatal(err)
	}
	return &d
}

func TestUsable(t *testing.T) {
	tests := []struct {
		name, sdp string
		want      []TrackStatus
	}{
		{
			"a camera with everything", sdpHead + sdpH264 +
				"m=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n" +
				"m=audio 0 RTP/AVP 8\r\na=sendonly\r\na=control:trackID=3\r\n" +
				"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=4\r\n",
			[]TrackStatus{{Kind: Video, Codec: H264, Detail: "1280×720 main", Width: 1280, Height: 720, Profile: "main", ClockRate: 90000},
				{Kind: Audio, Codec: PCMU, Detail: "8 kHz mono", ClockRate: 8000, Channels: 1}},
		},
		{
			"stereo AAC", sdpHead + "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/44100/2\r\n" +
				"a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1210\r\na=control:x\r\n",
			[]TrackStatus{{Kind: Audio, Codec: AAC, Detail: "44.1 kHz stereo", ClockRate: 44100, Channels: 2}},
		},
		{
			"H.264 that says little", sdpHead + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:x\r\n",
			[]TrackStatus{{Kind: Video, Codec: H264, ClockRate: 90000}},
		},
		{
			"a format without a clock", sdpHead + "m=audio 0 RTP/AVP 8 100\r\na=rtpmap:100 what\r\na=control:x\r\n" +
				"m=audio 0 RTP/AVP 101\r\na=rtpmap:101 what\r\na=control:y\r\n",
			[]TrackStatus{{Kind: Audio, Codec: PCMA, Detail: "8 kHz mono", ClockRate: 8000, Channels: 1}},
		},
		{"motion JPEG", sdpHead + "m=video 0 RTP/AVP 26\r\na=control:x\r\n", []TrackStatus{{Kind: Video, Codec: "JPEG", ClockRate: 90000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			medias, err := usable(parseSDP(t, tt.sdp), false, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			var got []TrackStatus
			for _, m := range medias {
				got = append(got, trackStatus(m, order{}))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	_, err := usable(parseSDP(t, sdpHead+"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n"), false, func(string) {})
	if !errors.Is(err, errNoMedia) {
		t.Errorf("a camera without video and audio: %v", err)
	}
}

func TestSameFormats(t *testing.T) {
	audio := "m=audio 0 RTP/AVP 0\r\na=control:sound\r\n"
	base := sdpHead + sdpH264 + audio
	tests := []struct {
		name, sdp string
		want      bool
	}{
		{"the same", base, true},
		{"no parameter sets this time", sdpHead + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" + audio, true},
		{"another payload type", sdpHead + "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n" + audio, false},
		{"another picture size", sdpHead + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
			"a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\n" + audio, false},
		{"no sound", sdpHead + sdpH264, false},
		{"other sound", sdpHead + sdpH264 + "m=audio 0 RTP/AVP 8\r\n", false},
		{"another codec", sdpHead + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n" + audio, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := usable(parseSDP(t, base), false, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			b, err := usable(parseSDP(t, tt.sdp), false, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			if got := sameFormats(a, b); got != tt.want {
				t.Errorf("sameFormats = %v", got)
			}
			if got := sameFormats(b, a); got != tt.want {
				t.Errorf("sameFormats the other way = %v", got)
			}
		})
	}
}
