package live

import (
	"errors"
	"strings"
	"testing"

	"porthole/media/rtsp"
)

// chromium is an offer of Chromium's, with the parts that do not matter here left out.
const chromium = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114 115 39\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n" +
	"a=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
	"a=rtpmap:103 H264/90000\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n" +
	"a=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n" +
	"a=rtpmap:107 H264/90000\r\na=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f\r\n" +
	"a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n" +
	"a=rtpmap:109 H264/90000\r\na=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n" +
	"a=rtpmap:114 H264/90000\r\na=fmtp:114 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f\r\n" +
	"a=rtpmap:39 AV1/90000\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:9 G722/8000\r\n" +
	"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:13 CN/8000\r\n"

func camera(profile, constraints, level byte, audio ...rtsp.Track) []rtsp.Track {
	return append([]rtsp.Track{{Kind: rtsp.Video, Codec: rtsp.H264, ClockRate: 90000, SPS: []byte{0x67, profile, constraints, level, 0}}}, audio...)
}

func TestChoose(t *testing.T) {
	h265 := []rtsp.Track{{Kind: rtsp.Video, Codec: rtsp.H265, ClockRate: 90000}}
	for name, c := range map[string]struct {
		offer  string
		tracks []rtsp.Track
		video  uint8
		audio  int // payload type, -1 for none
		note   string
	}{
		"constrained baseline":         {chromium, camera(66, 0xc0, 31), 108, -1, ""},
		"baseline":                     {chromium, camera(66, 0, 31), 103, -1, ""},
		"main":                         {chromium, camera(77, 0x40, 31), 109, -1, ""},
		"high":                         {chromium, camera(100, 0, 31), 114, -1, ""},
		"high, level too high for all": {chromium, camera(100, 0, 51), 114, -1, ""},
		"high 4:2:2 takes the nearest": {chromium, camera(122, 0, 31), 114, -1, ""},
		"unknown profile":              {chromium, []rtsp.Track{{Kind: rtsp.Video, Codec: rtsp.H264}}, 103, -1, ""},
		"main where only baseline and high are offered": {
			strings.ReplaceAll(chromium, "4d001f", "42001f"), camera(77, 0, 31), 114, -1, "",
		},
		"Opus":                   {chromium, camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.Opus, ClockRate: 48000, Channels: 1}), 109, 111, ""},
		"PCMU":                   {chromium, camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.PCMU, ClockRate: 8000, Channels: 1}), 109, 0, ""},
		"PCMA without an rtpmap": {strings.ReplaceAll(chromium, "a=rtpmap:8 PCMA/8000\r\n", ""), camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.PCMA, ClockRate: 8000, Channels: 1}), 109, 8, ""},
		"AAC":                    {chromium, camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 16000, Channels: 1}), 109, -1, "no sound: the camera sends AAC"},
		"nobody asked for sound": {chromium[:strings.Index(chromium, "m=audio")], camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 16000, Channels: 1}), 109, -1, ""},
		"H.265, where offered":   {strings.Replace(chromium, "a=rtpmap:39 AV1", "a=rtpmap:39 H265", 1), h265, 39, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseOffer(c.offer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := choose(o, c.tracks, abilities{})
			if err != nil {
				t.Fatal(err)
			}
			audio := -1
			if got.audio != nil {
				audio = int(got.audio.PayloadType)
			}
			if uint8(got.video.PayloadType) != c.video || audio != c.audio || got.note != c.note {
				t.Errorf("video %d, audio %d, note %q; want %d, %d, %q", got.video.PayloadType, audio, got.note, c.video, c.audio, c.note)
			}
		})
	}
}

func TestChooseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		offer   string
		tracks  []rtsp.Track
		reason  Reason
		message string
	}{
		"H.265 not offered": {chromium, []rtsp.Track{{Kind: rtsp.Video, Codec: rtsp.H265}}, NoCodec, "no codec in common: the camera sends H265, this browser plays VP8, H264, AV1"},
		"no H.264 offered":  {strings.ReplaceAll(chromium, "H264/", "VP9/"), camera(66, 0, 31), NoCodec, "the camera sends H264"},
		"only single NAL units": {
			strings.ReplaceAll(chromium, "packetization-mode=1", "packetization-mode=0"), camera(66, 0, 31), NoCodec, "no codec in common",
		},
		"a camera without picture": {chromium, []rtsp.Track{{Kind: rtsp.Audio, Codec: rtsp.AAC}}, NoCodec, "the camera sends no video"},
		"not SDP":                  {"hello", nil, BadOffer, "cannot be read"},
		"empty":                    {"", nil, BadOffer, ""},
		"no video":                 {chromium[:strings.Index(chromium, "m=video")] + chromium[strings.Index(chromium, "m=audio"):], nil, BadOffer, "asks for no video"},
		"a viewer that only sends": {strings.ReplaceAll(chromium, "recvonly", "sendonly"), nil, BadOffer, "asks for no video"},
		"too long":                 {chromium + strings.Repeat("a=x\r\n", 20000), nil, BadOffer, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseOffer(c.offer)
			if err == nil {
				_, err = choose(o, c.tracks, abilities{})
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != c.reason || !strings.Contains(refusal.Error(), c.message) {
				t.Errorf("%v; want %s with %q", err, c.reason, c.message)
			}
		})
	}
}

// What the browser cannot play as it is is converted, and it is told of that.
func TestChooseConverts(t *testing.T) {
	video := func(c rtsp.Codec) rtsp.Track { return rtsp.Track{Kind: rtsp.Video, Codec: c, ClockRate: 90000} }
	aac := rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 16000, Channels: 1, Config: []byte{0x14, 0x08}}
	firefox := strings.NewReplacer("H264/", "VP9/", "AV1/", "VP9/").Replace(chromium)
	withH265 := strings.Replace(chromium, "a=rtpmap:39 AV1", "a=rtpmap:39 H265", 1)
	for name, c := range map[string]struct {
		offer     string
		tracks    []rtsp.Track
		reordered bool
		video     uint8
		audio     int // payload type, -1 for none
		says      string
	}{
		"what will do stays":        {chromium, camera(77, 0, 31), false, 109, -1, ""},
		"AAC":                       {chromium, camera(77, 0, 31, aac), false, 109, 111, "the camera's sound (AAC)"},
		"AAC of unknown kind":       {chromium, camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 16000, Channels: 1}), false, 109, -1, ""},
		"wide-band G.711":           {chromium, camera(77, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.PCMU, ClockRate: 16000, Channels: 1}), false, 109, 111, "(PCMU)"},
		"B-frames":                  {chromium, camera(77, 0, 31), true, 96, -1, "(H.264 with B-frames)"},
		"high 4:2:2":                {chromium, camera(122, 0, 31), false, 96, -1, "(H.264)"},
		"H.264 where there is none": {firefox, camera(77, 0, 31, aac), false, 96, 111, "neither the camera's picture (H.264) nor its sound (AAC)"},
		"H.265":                     {chromium, []rtsp.Track{video(rtsp.H265)}, false, 96, -1, "(H.265)"},
		"H.265, where offered":      {withH265, []rtsp.Track{video(rtsp.H265)}, false, 39, -1, ""},
		"H.265 with B-frames":       {withH265, []rtsp.Track{video(rtsp.H265)}, true, 96, -1, "(H.265 with B-frames)"},
		"MPEG-4":                    {chromium, []rtsp.Track{video(rtsp.MPEG4)}, false, 96, -1, "(MPEG-4)"},
		"motion JPEG":               {chromium, []rtsp.Track{video(rtsp.JPEG)}, false, 96, -1, "(motion JPEG)"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseOffer(c.offer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := choose(o, c.tracks, abilities{convert: true, reordered: c.reordered})
			if err != nil {
				t.Fatal(err)
			}
			audio := -1
			if got.audio != nil {
				audio = int(got.audio.PayloadType)
			}
			if uint8(got.video.PayloadType) != c.video || audio != c.audio || !strings.Contains(got.converted, c.says) || (got.converted == "") != (c.says == "") {
				t.Errorf("video %d, audio %d, says %q; want %d, %d, %q", got.video.PayloadType, audio, got.converted, c.video, c.audio, c.says)
			}
		})
	}
	o, err := parseOffer(strings.ReplaceAll(chromium, "VP8/", "VP9/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tracks := range [][]rtsp.Track{{video(rtsp.JPEG)}, {video("MPV")}} {
		if c, err := choose(o, tracks, abilities{convert: true}); err == nil {
			t.Errorf("%s: chose %+v", tracks[0].Codec, c.video)
		}
	}
}

func FuzzParseOffer(f *testing.F) {
	f.Add(chromium)
	f.Add(strings.ReplaceAll(chromium, "103", "300"))
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 X 96\r\na=rtpmap:96 H264\r\na=fmtp:96 packetization-mode=1;;=;profile-level-id=zz\r\n")
	tracks := camera(100, 0, 31, rtsp.Track{Kind: rtsp.Audio, Codec: rtsp.Opus, ClockRate: 48000, Channels: 2})
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if err != nil {
			return
		}
		c, err := choose(o, tracks, abilities{})
		if err != nil {
			return
		}
		if c.video.PayloadType > 127 || !strings.EqualFold(c.video.MimeType, "video/h264") {
			t.Errorf("chose %+v", c.video)
		}
	})
}
