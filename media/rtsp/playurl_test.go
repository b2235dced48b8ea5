package rtsp_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"porthole/media/rtsp"
	"porthole/media/rtsp/rtsptest"
)

// TestPlayURL reads cameras that are no Hub's by their address, and says in words why others cannot be read.
func TestPlayURL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options     rtsptest.Options
		credentials string
		want        string
	}{
		"TCP":                {},
		"with a password":    {options: rtsptest.Options{User: "me", Password: "p:w/d"}, credentials: "me:p%3Aw%2Fd@"},
		"TLS":                {options: rtsptest.Options{User: "me", Password: "pw", TLS: true}, credentials: "me:pw@"},
		"a repaired camera":  {options: rtsptest.Options{Garbage: true}},
		"another password":   {options: rtsptest.Options{User: "me", Password: "pw"}, credentials: "me:hush@", want: "refuses the user name or the password"},
		"without a password": {options: rtsptest.Options{User: "me", Password: "pw"}, want: "refuses the user name or the password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cam := rtsptest.Start(t, c.options)
			cam.Publish(t)
			address := strings.Replace(cam.URL(), "://", "://"+c.credentials, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			pictures := 0
			err := rtsp.PlayURL(ctx, address, forward(func(u rtsp.Unit) {
				if len(u.NALUs) == 0 {
					t.Error("what is no picture came")
				}
				if pictures++; pictures == 30 {
					cancel()
				}
			}))
			if c.want == "" {
				if pictures < 30 || !errors.Is(err, context.Canceled) {
					t.Errorf("%d pictures, %v", pictures, err)
				}
				return
			}
			var told *rtsp.StreamError
			if !errors.As(err, &told) || !strings.Contains(told.Error(), c.want) || strings.Contains(told.Error(), "hush") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	for _, address := range []string{"", "http://host/x", "rtsp:///x", "rtsp://%", "::"} {
		var told *rtsp.StreamError
		if err := rtsp.PlayURL(t.Context(), address, forward(func(rtsp.Unit) {})); !errors.As(err, &told) || !strings.Contains(told.Error(), "URL") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
