package rtsp

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

func TestTarget(t *testing.T) {
	tests := []struct {
		url         string
		path, track string
		plain       string
		setup       string
	}{
		{"rtsp://h/cam", "cam", "", "rtsp://h/cam", "rtsp://h/cam/"},
		{"rtsps://h:8443/cam/", "cam", "", "rtsp://h:8443/cam", "rtsp://h:8443/cam/"},
		{"rtsp://user:secret@h/cam/trackID=1", "cam", "1", "rtsp://h/cam", "rtsp://h/cam/trackID=1"},
		{"rtsp://h/cam?x=1", "cam", "", "rtsp://h/cam", "rtsp://h/cam/"},
		{"rtsp://h/cam?x=1/trackID=2", "cam", "2", "rtsp://h/cam", "rtsp://h/cam/trackID=2"},
		{"rtsp://h/live/ch0/trackID=0", "live/ch0", "0", "rtsp://h/live/ch0", "rtsp://h/live/ch0/trackID=0"},
		{"rtsp://h/cam%20/trackID=0", "cam", "0", "rtsp://h/cam", "rtsp://h/cam/trackID=0"},
		{"rtsp://h/cam/trackID=x", "cam/trackID=x", "", "rtsp://h/cam/trackID=x", "rtsp://h/cam/trackID=x/"},
		{"rtsp://h", "", "", "rtsp://h/", "rtsp://h//"},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			u, err := base.ParseURL(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			got := parseTarget(u)
			if got.path != tt.path || got.track != tt.track {
				t.Errorf("target = %+v", got)
			}
			got.rewrite(u, false)
			if u.String() != tt.plain && u.String()+"/" != tt.plain {
				t.Errorf("rewritten: %s, want %s", u, tt.plain)
			}
			if got.rewrite(u, true); u.String() != tt.setup {
				t.Errorf("rewritten for SETUP: %s, want %s", u, tt.setup)
			}
		})
	}
	if got := parseTarget(nil); got != (target{}) {
		t.Errorf("target of * = %+v", got)
	}
}

func TestTrackURL(t *testing.T) {
	u, err := base.ParseURL("rtsp://h/cam")
	if err != nil {
		t.Fatal(err)
	}
	if got := trackURL(u, 3); got != "rtsp://h/cam/trackID=3" {
		t.Errorf("trackURL = %s", got)
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"rtsp://h/cam", "rtsps://h/cam/trackID=1", "/cam ", "cam/trackID=", "rtsp://h/?a/trackID=1", "rtsp://a:b@h//%2e%2e/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p := pathOf(s); strings.HasPrefix(p, "/") || strings.HasSuffix(p, "/") {
			t.Errorf("pathOf(%q) = %q", s, p)
		}
		u, err := base.ParseURL(s)
		if err != nil {
			return
		}
		was := parseTarget(u)
		was.rewrite(u, true)
		if u.Scheme != "rtsp" || u.User != nil || u.RawQuery != "" {
			t.Errorf("%q became %s", s, u)
		}
		if again := parseTarget(u); again.path != was.path || again.track != was.track {
			t.Errorf("%q: %+v became %+v", s, was, again)
		}
	})
}
