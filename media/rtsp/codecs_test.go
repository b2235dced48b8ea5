package rtsp_test

import (
	"strings"
	"testing"

	"porthole/media/rtsp"
	"porthole/media/rtsp/rtsptest"
)

const (
	picture = "-f lavfi -i testsrc2=s=320x192:r=10"
	h264    = " -c:v libx264 -preset ultrafast -g 10 -bf 0 -pix_fmt yuv420p"
)

// TestCodecs has ffmpeg be the camera's encoder, for each codec and each way to and into the camera, and another one
// decode what comes out of the Hub.
func TestCodecs(t *testing.T) {
	tests := []struct {
		name    string
		options rtsptest.Options
		publish string
		want    []string
		tracks  []rtsp.TrackStatus
		udp     bool
	}{
		{
			"H.264 and AAC, TCP, MD5", rtsptest.Options{User: "me", Password: "p:w", Auth: "md5"},
			picture + " -f lavfi -i sine=r=48000" + h264 + " -profile:v baseline -c:a aac", []string{"Video: h264 (Constrained Baseline)", "Audio: aac"},
			[]rtsp.TrackStatus{
				{Kind: rtsp.Video, Codec: rtsp.H264, Detail: "320×192 baseline", Width: 320, Height: 192, Profile: "baseline", ClockRate: 90000},
				{Kind: rtsp.Audio, Codec: rtsp.AAC, Detail: "48 kHz mono", ClockRate: 48000, Channels: 1},
			}, false,
		},
		{
			"H.264 with B-frames and G.711 A-law, TLS, SHA-256", rtsptest.Options{User: "me", Password: "pw", Auth: "sha256", TLS: true},
			picture + " -f lavfi -i sine=r=8000 -c:v libx264 -preset ultrafast -g 20 -bf 2 -c:a pcm_alaw", []string{"Video: h264", "Audio: pcm_alaw"},
			[]rtsp.TrackStatus{
				{Kind: rtsp.Video, Codec: rtsp.H264, Detail: "320×192 main", Width: 320, Height: 192, Profile: "main", BFrames: true, ClockRate: 90000},
				{Kind: rtsp.Audio, Codec: rtsp.PCMA, Detail: "8 kHz mono", ClockRate: 8000, Channels: 1},
			}, false,
		},
		{
			"H.265 and Opus, UDP, no password", rtsptest.Options{UDPOnly: true},
			picture + " -f lavfi -i sine=r=48000 -pix_fmt yuv420p -c:v libx265 -preset ultrafast -g 10 -x265-params log-level=error:bframes=0:pools=1 -c:a libopus -ac 2",
			[]string{"Video: hevc (Main)", "Audio: opus"},
			[]rtsp.TrackStatus{
				{Kind: rtsp.Video, Codec: rtsp.H265, Detail: "320×192 main", Width: 320, Height: 192, Profile: "main", ClockRate: 90000},
				{Kind: rtsp.Audio, Codec: rtsp.Opus, Detail: "48 kHz stereo", ClockRate: 48000, Channels: 2},
			}, true,
		},
		{
			"motion JPEG and G.711 µ-law, TCP, Basic", rtsptest.Options{User: "me", Password: "pw", Auth: "basic"},
			picture + " -f lavfi -i sine=r=8000 -pix_fmt yuvj420p -c:v mjpeg -huffman default -q:v 5 -c:a pcm_mulaw", []string{"Video: mjpeg", "Audio: pcm_mulaw"},
			[]rtsp.TrackStatus{
				{Kind: rtsp.Video, Codec: "JPEG", ClockRate: 90000},
				{Kind: rtsp.Audio, Codec: rtsp.PCMU, Detail: "8 kHz mono", ClockRate: 8000, Channels: 1},
			}, false,
		},
		{
			"H.264, TCP, with garbage", rtsptest.Options{User: "me", Password: "pw", Garbage: true},
			picture + h264, []string{"Video: h264"},
			[]rtsp.TrackStatus{
				{Kind: rtsp.Video, Codec: rtsp.H264, Detail: "320×192 baseline", Width: 320, Height: 192, Profile: "baseline", ClockRate: 90000},
			}, false,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cam := rtsptest.Start(t, tt.options)
			cam.PublishAs(t, strings.Fields(tt.publish)...)
			src := rtsp.Source{ID: "cam", URL: cam.URL(), User: tt.options.User, Password: tt.options.Password}
			if tt.udp {
				src.Transport = "udp"
			}
			h := startHub(t, patient, src)
			out, err := tool(t, "ffmpeg", "-v", "info", "-nostdin", "-nostats", "-rtsp_transport", "tcp", "-i", h.url("cam"), "-map", "0", "-t", "4", "-f", "framemd5", "-")
			for _, w := range append(tt.want, "\n0,") {
				if err != nil || !strings.Contains(out, w) {
					t.Fatalf("%v, no %q in %s", err, w, out)
				}
			}
			if n := strings.Count(out, "\n0,"); n < 10 {
				t.Errorf("%d pictures in 4 s:\n%s", n, out)
			}
			if n := strings.Count(out, "\n1,"); len(tt.tracks) > 1 && n < 10 {
				t.Errorf("%d sounds in 4 s:\n%s", n, out)
			}
			s := h.status("cam")
			for i := range s.Tracks {
				if i >= len(tt.tracks) || s.Tracks[i] != tt.tracks[i] {
					t.Errorf("track %d: %+v", i, s.Tracks[i])
				}
			}
			via := "tcp"
			if tt.udp {
				via = "udp"
			}
			if s.Transport != via || s.Reconnects != 0 || (len(s.Repairs) > 0) != tt.options.Garbage {
				t.Errorf("status: %+v", s)
			}
		})
	}
}
