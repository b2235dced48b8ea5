package rtsp

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

func TestAnswers(t *testing.T) {
	const asked = "RTP/AVP/TCP;unicast;interleaved=0-1"
	tests := []struct {
		name        string
		method      base.Method
		header      base.Header
		key, want   string
		note        string
		status      base.StatusCode
		stillThere  bool
		transported bool
	}{
		{"a good description", base.Describe, base.Header{"Content-Type": {"application/sdp;charset=utf-8"}}, "Content-Type", "application/sdp;charset=utf-8", "", 200, true, false},
		{"no type", base.Describe, base.Header{}, "Content-Type", "application/sdp", "application/sdp", 200, true, false},
		{"another type", base.Describe, base.Header{"Content-Type": {"text/plain"}}, "Content-Type", "application/sdp", "application/sdp", 200, true, false},
		{
			"a base without scheme", base.Describe, base.Header{"Content-Type": {"application/sdp"}, "Content-Base": {"10.0.0.9:554/a/"}},
			"Content-Base", "", "no address", 200, false, false,
		},
		{
			"a base elsewhere", base.Describe, base.Header{"Content-Type": {"application/sdp"}, "Content-Base": {"rtsp://192.168.0.1:8554/a/"}},
			"Content-Base", "rtsp://10.0.0.9:554/a/", "another host", 200, true, false,
		},
		{
			"a good base", base.Describe, base.Header{"Content-Type": {"application/sdp"}, "Content-Base": {"rtsp://10.0.0.9/a/"}},
			"Content-Base", "rtsp://10.0.0.9/a/", "", 200, true, false,
		},
		{"a refusal", base.Describe, base.Header{}, "Content-Type", "", "", 401, false, false},
		{"a good transport", base.Setup, base.Header{"Transport": {asked + ";ssrc=0004317F"}}, "Transport", asked + ";ssrc=0004317F", "", 200, true, true},
		{"no transport", base.Setup, base.Header{}, "Transport", asked, "our word", 200, true, true},
		{"a transport that is none", base.Setup, base.Header{"Transport": {"yes;interleaved=a-b"}}, "Transport", asked, "malformed", 200, true, true},
		{"an odd ssrc", base.Setup, base.Header{"Transport": {asked + ";ssrc=4317f;mode=play"}}, "Transport", asked + ";mode=play", "ssrc", 200, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var notes []string
			u, err := base.ParseURL("rtsp://10.0.0.9:554/a")
			if err != nil {
				t.Fatal(err)
			}
			a := &answers{note: func(s string) { notes = append(notes, s) }, base: u}
			a.request(&base.Request{Method: tt.method, Header: base.Header{"Transport": {asked}}})
			res := &base.Response{StatusCode: tt.status, Header: tt.header}
			if tt.method == base.Describe {
				res.Body = []byte(sdpAxis)
			}
			a.response(res)
			got := res.Header[tt.key]
			if tt.stillThere != (len(got) == 1) || tt.stillThere && got[0] != tt.want {
				t.Errorf("%s: %q", tt.key, got)
			}
			if all := strings.Join(notes, "\n"); !strings.Contains(all, tt.note) || (all == "") != (tt.note == "") {
				t.Errorf("notes: %q", notes)
			}
			if tt.transported && new(headers.Transport).Unmarshal(got) != nil {
				t.Errorf("gortsplib does not understand %q", got)
			}
			if tt.method == base.Describe && tt.status == 200 && len(a.told().MediaDescriptions) != 1 {
				t.Error("nothing was described")
			}
		})
	}
}
