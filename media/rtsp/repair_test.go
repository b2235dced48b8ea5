package rtsp

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/google/go-cmp/cmp"
)

// The descriptions below have the shape of those that the named cameras send, after reports in public issues.
const (
	sdpAxis = "v=0\r\no=- 1491517855921810 1491517855921810 IN IP4 192.168.7.7\r\ns=Media Presentation\r\ne=NONE\r\nb=AS:50000\r\nt=0 0\r\n" +
		"a=control:*\r\na=range:npt=0.000000-\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:50000\r\na=framerate:30.0\r\n" +
		"a=transform:-1,0,0;0,-1,0;0,0,1\r\na=control:trackID=1\r\na=rtpmap:96 H264/90000\r\n" +
		"a=fmtp:96 packetization-mode=1; profile-level-id=420029; sprop-parameter-sets=Z0IAKeKQCgDLYC3AQEBpB4kRUA==,aM48gA==\r\n"
	sdpFoscam = "v=0\r\no=StreamingServer 3331435948 1116907222000 IN IP4 192.168.7.7\r\ns=\\11\r\nc=IN IP4 0.0.0.0\r\nb=AS:2056\r\nt=0 0\r\n" +
		"a=range:npt=now-\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\nb=AS:2048\r\na=control:trackID=0\r\na=rtpmap:96 H264/90000\r\n" +
		"a=fmtp:96 packetization-mode=1;profile-level-id=4D400C;sprop-parameter-sets=Z0LgHtoCwEkQ,aM4wpIA=\r\na=framesize:96 704-576\r\n"
	sdpHikvision = "v=0\r\no=- 1109162014219182 0 IN IP4 0.0.0.0\r\ns=HIK Media Server V5.03.010\r\ni=HIK Media Server Session Description : standard\r\n" +
		"e=NONE\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\nb=AS:1034\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\ni=Video Media\r\n" +
		"a=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=4D0014;packetization-mode=0\r\na=control:trackID=video\r\nb=AS:1024\r\n" +
		"m=audio 0 RTP/AVP 98\r\ni=Audio Media\r\na=rtpmap:98 MPEG4-GENERIC/16000/1\r\na=control:trackID=audio\r\nb=AS:10\r\n" +
		"a=Media_header:MEDIAINFO=494D4B48010100000400010000000000000000000000000000000000000000000000000000000000;\r\na=appversion:1.0\r\n"
	sdpDahua = "v=0\r\no=- 2273421142 2273421142 IN IP4 0.0.0.0\r\ns=Media Server\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n" +
		"a=packetization-supported:DH\r\na=rtppayload-supported:DH\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\na=control:trackID=0\r\n" +
		"a=framerate:15.000000\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;profile-level-id=64002A;" +
		"sprop-parameter-sets=Z2QAKqwsaoHgCJ+WbgoCCoAAAAMAgAAAD0IA,aO4xshsA\r\na=recvonly\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n" +
		"a=rtpmap:8 PCMA/8000\r\na=recvonly\r\nm=application 0 RTP/AVP 107\r\na=control:trackID=4\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n" +
		"a=recvonly\r\nm=audio 0 RTP/AVP 116 0\r\na=control:trackID=5\r\na=rtpmap:116 MPEG4-GENERIC/64000\r\na=sendonly\r\n"
	sdpTapo = "v=0\r\no=- 14665860 31787219 1 IN IP4 192.168.7.7\r\ns=Session streamed by \"TP-LINK RTSP Server\"\r\nt=0 0\r\n" +
		"a=smart_encoder:virtualIFrame=1\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:4096\r\na=range:npt=0-\r\na=control:track1\r\n" +
		"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; profile-level-id=640016; sprop-parameter-sets=Z2QAFqzGoCgC9oQAAAMABAAAAwB4EA==,aOqPLA==\r\n" +
		"m=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=control:track2\r\nm=application/TP-LINK 0 RTP/AVP smart/1/90000\r\n" +
		"a=rtpmap:95 TP-LINK/90000\r\na=control:track3\r\n"
	sdpUniview = "v=0\r\no=- 1001 1 IN\r\ns=VCP IPC Realtime stream\r\nm=video 0 RTP/AVP 105\r\nc=IN\r\n" +
		"a=control:rtsp://192.168.7.7/media/video1/video\r\na=rtpmap:105 H264/90000\r\n" +
		"a=fmtp:105 profile-level-id=640032; packetization-mode=1; sprop-parameter-sets=Z2QAMqw7UBQAWtCAAAH0AABhqEI=,aOqPLA==\r\na=recvonly\r\n" +
		"m=application 0 RTP/AVP 107\r\nc=IN\r\na=control:rtsp://192.168.7.7/media/video1/metadata\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n" +
		"a=fmtp:107 DecoderTag=h3c-v3 RTCP=0\r\na=recvonly\r\n"
	sdpLive555 = "v=0\r\no=- 1656233372976675 1 IN IP4 192.168.7.7\r\ns=LIVE555 Streaming Media v2022.06.16\r\nt=0 0\r\na=type:broadcast\r\n" +
		"a=control:*\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 26\r\nc=IN IP4 0.0.0.0\r\nb=AS:500\r\na=fmtp:26 \r\na=x-dimensions:1280,960\r\na=control:track1\r\n"
	sdpReolink = "v=0\r\no=- 1714000000000000 1 IN IP4 192.168.7.7\r\ns=Session streamed by \"preview\"\r\ni=h265Preview_01_main\r\nt=0 0\r\n" +
		"a=control:*\r\na=range:npt=now-\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\nb=AS:500\r\na=rtpmap:96 H265/90000\r\n" +
		"a=fmtp:96 profile-space=0;profile-id=1;tier-flag=0;level-id=153\r\na=recvonly\r\na=control:track1\r\nm=audio 0 RTP/AVP 97\r\n" +
		"a=rtpmap:97 MPEG4-GENERIC/16000\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;" +
		"indexdeltalength=3;config=1408\r\na=control:track2\r\n"
	sdpTuya = "v=0\r\no=- 1 1 IN IP4 192.168.7.7\r\ns=-\r\nt=0 0\r\nm=video -1353744643 RTP/AVP 96\r\nc=IN IP4 '&\xfe\xff\r\n" +
		"a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
	sdpBare = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n"
)

var realSDPs = map[string]string{
	"Axis": sdpAxis, "Foscam": sdpFoscam, "Hikvision": sdpHikvision, "Dahua": sdpDahua, "Tapo": sdpTapo, "Uniview": sdpUniview,
	"live555": sdpLive555, "Reolink": sdpReolink, "Tuya": sdpTuya, "bare": sdpBare,
	"UniFi": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=UniFi Video Generic Camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 0 RTP/AVP 97\r\n" +
		"a=rtpmap:97 opus/48000/2\r\na=control:trackID=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=1\r\n",
	"Wyze": "v=0\no=- 1 1 IN IP4 192.168.7.7\ns=live\nt=0 0\na=control:*\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n" +
		"a=fmtp:96 packetization-mode=1\na=control:track1\nm=audio 0 RTP/AVP 0\na=control:track2\n",
}

// formatsOf lists the formats of a description as readers would see them.
func formatsOf(d *description.Session) []string {
	var out []string
	for _, m := range d.Medias {
		for _, f := range m.Formats {
			out = append(out, string(m.Type)+" "+f.RTPMap())
		}
	}
	return out
}

func TestRealDescriptions(t *testing.T) {
	tests := []struct {
		name     string
		want     []string
		repaired bool
	}{
		{"Axis", []string{"video H264/90000"}, false},
		{"Foscam", []string{"video H264/90000"}, false},
		{"Hikvision", []string{"video H264/90000", "audio mpeg4-generic/16000/1"}, true},
		{"Dahua", []string{"video H264/90000", "audio PCMA/8000", "application vnd.onvif.metadata/90000", "audio mpeg4-generic/64000/1", "audio PCMU/8000"}, true},
		{"Tapo", []string{"video H264/90000", "audio PCMA/8000", "application/TP-LINK TP-LINK/90000"}, false},
		{"Uniview", []string{"video H264/90000", "application vnd.onvif.metadata/90000"}, false},
		{"live555", []string{"video JPEG/90000"}, false},
		{"Reolink", []string{"video H265/90000", "audio mpeg4-generic/16000/1"}, false},
		{"Tuya", []string{"video H264/90000"}, true},
		{"bare", []string{"video H264/90000"}, false},
		{"UniFi", []string{"audio opus/48000/2", "video H264/90000"}, false},
		{"Wyze", []string{"video H264/90000", "audio PCMU/8000"}, false},
	}
	if len(tests) != len(realSDPs) {
		t.Errorf("%d of %d descriptions are tested", len(tests), len(realSDPs))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, repairs := repairSDP([]byte(realSDPs[tt.name]))
			d, ok := parseDescription(out)
			if !ok {
				t.Fatalf("cannot be read:\n%s", out)
			}
			if diff := cmp.Diff(tt.want, formatsOf(d)); diff != "" {
				t.Error(diff)
			}
			if got := len(repairs) > 0; got != tt.repaired {
				t.Errorf("repairs: %q", repairs)
			}
			if !tt.repaired && string(out) != realSDPs[tt.name] {
				t.Error("it was changed without need")
			}
		})
	}
}

// TestRepair breaks a good description in one way each; readers get the same formats as of the good one.
func TestRepair(t *testing.T) {
	const sets = "Z01AH9mAUAW7AWoCAgKAAAADAIAAABlHjBk0,aOlzLIA="
	good := "v=0\r\no=- 1 1 IN IP4 192.168.7.7\r\ns=Cam\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n" +
		"m=video 0 RTP/AVP 96\r\nb=AS:512\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets=" + sets +
		"\r\na=control:trackID=1\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\n" +
		"a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408\r\na=control:trackID=2\r\n"
	want, ok := parseDescription([]byte(good))
	if !ok {
		t.Fatal("the good one is not good")
	}
	tests := []struct {
		name, from, to, note string
		// inBand says that the parameter sets have to come in the stream.
		inBand bool
	}{
		{"an origin that is none", "o=- 1 1 IN IP4 192.168.7.7", "o=what", "o=", false},
		{"a version that is none", "v=0", "v=1.0", "version", false},
		{"no version, origin, name and time, and a bad address", good[:strings.Index(good, "a=control:*")], "c=IN IP9\r\n", "origin line (o=) was missing", false},
		{"lines ended by CR only, with NULs between", "\r\n", "\r\x00", "no text", false},
		{"spaces around =", "m=video 0 ", "m = video 0 ", "Spaces", false},
		{"a line that is none", "t=0 0\r\n", "t=0 0\r\nServer: Foo\r\n", "no line of one", false},
		{"garbage at the end", "a=control:trackID=2\r\n", "a=control:trackID=2\r\n\x00\x00\xfe\xba\x12more", "no text", false},
		{"a time that is none", "t=0 0", "t=forever", "t=", false},
		{"an address that is none", "c=IN IP4 0.0.0.0", "c=nowhere", "c=", false},
		{"a bandwidth with a unit", "b=AS:512", "b=AS:512kbps", "b=", false},
		{"a bandwidth without a number", "b=AS:512\r\n", "b=AS:\r\nb=AS:512\r\n", "b=", false},
		{"a session control that is no address", "a=control:*", "a=control:trackID=0", "control", false},
		{"a port that is none", "m=video 0", "m=video port", "port", false},
		{"a range of ports", "m=video 0", "m=video 5000-5001", "port", false},
		{"no port", "m=video 0 RTP", "m=video RTP", "", false},
		{"a transport that is none", "m=video 0 RTP/AVP", "m=video 0 RTP/AVPX", "transport", false},
		{"no transport", "m=video 0 RTP/AVP 96", "m=video 0 96", "transport", false},
		{"capital letters", "m=video 0 RTP/AVP 96", "m=VIDEO 0 rtp/avp 96", "transport", false},
		{"a payload type that is none", "RTP/AVP 96", "RTP/AVP 96 x", "payload type", false},
		{"no payload type", "RTP/AVP 96", "RTP/AVP", "payload types", false},
		{"no rtpmap", "a=rtpmap:96 H264/90000\r\n", "", "codec", false},
		{"an rtpmap without clock", "H264/90000", "H264", "clock rate", false},
		{"an rtpmap with spaces", "a=rtpmap:96 H264/90000", "a=RTPMAP: 96  h264 / 90000 ", "", false},
		{"another name", "H264/90000", "H.264/90000", "called its codec", false},
		{"an rtpmap without payload type", "a=rtpmap:96 H264", "a=rtpmap:H264", "without payload type", false},
		{"parameter sets without padding", "aOlzLIA=", "aOlzLIA", "badly written", false},
		{"parameter sets that are no base64", sets, "@@@@,aOlzLIA=", "no base64", true},
		{"a packetization-mode that is none", "packetization-mode=1", "packetization-mode=one", "packetization-mode", false},
		{"no AAC config", ";config=1408", "", "config", false},
		{"a wrong streamtype", "streamtype=5", "streamtype=4", "streamtype", false},
		{"no size length", "sizelength=13;", "", "packets", false},
		{"a track of no known kind", "m=audio 0", "m=image 0 RTP/AVP 9\r\nm=audio 0", "kind", false},
		{"one name for two tracks", "a=control:trackID=", "a=mid:x\r\na=control:trackID=", "names", false},
		{"one track with a name", "a=control:trackID=1", "a=mid:x\r\na=control:trackID=1", "names", false},
		{"two addresses and another fault", "a=control:trackID=1", "a=control:trackID=1\r\na=control:x\r\nb=1", "several addresses", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			broken := strings.ReplaceAll(good, tt.from, tt.to)
			if broken == good {
				t.Fatal("nothing is broken")
			}
			out, repairs := repairSDP([]byte(broken))
			got, ok := parseDescription(out)
			if !ok {
				t.Fatalf("cannot be read, repairs %q:\n%s", repairs, out)
			}
			expected := formatsOf(want)
			if diff := cmp.Diff(expected, formatsOf(got)); diff != "" {
				t.Fatalf("%s\nrepairs %q:\n%s", diff, repairs, out)
			}
			for i, m := range got.Medias {
				if m.Control != want.Medias[i].Control {
					t.Errorf("control %q", m.Control)
				}
				a, b := fixedParams(m.Formats[0]), fixedParams(want.Medias[i].Formats[0])
				delete(a, "packetization-mode") // usable sets it
				delete(b, "packetization-mode")
				if diff := cmp.Diff(b, a); diff != "" {
					t.Error(diff)
				}
			}
			if in := len(spsOf(got.Medias[0].Formats[0])) == 0; in != tt.inBand {
				t.Errorf("parameter sets in the stream only: %v", in)
			}
			if all := strings.Join(repairs, "\n"); !strings.Contains(all, tt.note) || len(repairs) == 0 {
				t.Errorf("repairs: %q", repairs)
			}
		})
	}
}

func TestBeyondRepair(t *testing.T) {
	for _, body := range []string{"", "<html>no</html>", "v=0\r\n", "m=\r\n", "m=image 0 RTP/AVP 9\r\n"} {
		out, repairs := repairSDP([]byte(body))
		if string(out) != body || repairs != nil {
			t.Errorf("%q became %q, %q", body, out, repairs)
		}
	}
}

func FuzzRepair(f *testing.F) {
	for _, s := range realSDPs {
		f.Add([]byte(s))
		f.Add([]byte(strings.ReplaceAll(s, "\r\n", "\n")))
		f.Add([]byte(strings.ReplaceAll(s, "v=0\r\n", "")))
		f.Add(append([]byte(s), 0, 0xff, '$', 1))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before, was := parseDescription(body)
		out, repairs := repairSDP(body)
		if len(out) > 2*len(body)+16<<10 {
			t.Fatalf("%d bytes became %d", len(body), len(out))
		}
		if len(repairs) > 8*maxSections+32 {
			t.Fatalf("%d repairs", len(repairs))
		}
		after, is := parseDescription(out)
		if was && !is {
			t.Fatalf("no longer readable:\n%s", out)
		}
		if len(repairs) == 0 && !bytes.Equal(body, out) {
			t.Fatal("changed without a word")
		}
		if !was {
			return
		}
		// What was understood means the same.
		known := func(d *description.Session) []string {
			var list []string
			for _, m := range d.Medias {
				for _, f := range m.Formats {
					if _, generic := f.(*format.Generic); !generic && sound(d) {
						list = append(list, string(m.Type)+" "+f.RTPMap())
					}
				}
			}
			return list
		}
		if diff := cmp.Diff(known(before), known(after)); diff != "" && sound(before) {
			t.Fatal(diff)
		}
		again, more := repairSDP(out)
		if len(more) > 0 || !bytes.Equal(again, out) {
			t.Fatalf("repaired twice: %q", more)
		}
	})
}
