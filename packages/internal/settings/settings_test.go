package settings_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

func TestNormalize(t *testing.T) {
	for name, c := range map[string]struct {
		in   settings.Camera
		want settings.Camera
		bad  string
	}{
		"complete": {
			in:   settings.Camera{ID: "door", Name: "Front door", URL: "rtsp://10.0.0.9/s1", User: "u", Password: "p", Transport: settings.UDP},
			want: settings.Camera{ID: "door", Name: "Front door", URL: "rtsp://10.0.0.9/s1", User: "u", Password: "p", Transport: settings.UDP},
		},
		"credentials leave the URL": {
			in:   settings.Camera{ID: "a", URL: " rtsp://me:s%40cret@cam.local:554/x?y=1 "},
			want: settings.Camera{ID: "a", Name: "a", URL: "rtsp://cam.local:554/x?y=1", User: "me", Password: "s@cret", Transport: settings.Auto},
		},
		"given credentials win": {
			in:   settings.Camera{ID: "a", URL: "rtsps://x:y@h/", User: "u", Password: "p"},
			want: settings.Camera{ID: "a", Name: "a", URL: "rtsps://h/", User: "u", Password: "p", Transport: settings.Auto},
		},
		"id empty":         {in: settings.Camera{URL: "rtsp://h/"}, bad: "id"},
		"id upper case":    {in: settings.Camera{ID: "Door", URL: "rtsp://h/"}, bad: "id"},
		"id slash":         {in: settings.Camera{ID: "a/b", URL: "rtsp://h/"}, bad: "id"},
		"id taken":         {in: settings.Camera{ID: "t", URL: "rtsp://h/"}, bad: "id"},
		"id long":          {in: settings.Camera{ID: strings.Repeat("a", 33), URL: "rtsp://h/"}, bad: "id"},
		"name long":        {in: settings.Camera{ID: "a", Name: strings.Repeat("n", 101), URL: "rtsp://h/"}, bad: "name"},
		"no scheme":        {in: settings.Camera{ID: "a", URL: "10.0.0.9/stream"}, bad: "url"},
		"http":             {in: settings.Camera{ID: "a", URL: "http://h/"}, bad: "url"},
		"no host":          {in: settings.Camera{ID: "a", URL: "rtsp:///x"}, bad: "url"},
		"not a URL":        {in: settings.Camera{ID: "a", URL: "rtsp://u:topsecret@h:port/"}, bad: "url"},
		"transport":        {in: settings.Camera{ID: "a", URL: "rtsp://h/", Transport: "http"}, bad: "transport"},
		"name only spaces": {in: settings.Camera{ID: "a", Name: "  ", URL: "rtsp://h/"}, want: settings.Camera{ID: "a", Name: "a", URL: "rtsp://h/", Transport: settings.Auto}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.in.Normalize()
			if c.bad == "" {
				if c.want.Auth == "" {
					c.want.Auth = settings.AnyAuth
				}
				if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
					t.Errorf("%v, -want +got:\n%s", err, diff)
				}
				return
			}
			var fe *settings.FieldError
			if !errors.As(err, &fe) || fe.Field != c.bad {
				t.Fatalf("got %v, want an error in %s", err, c.bad)
			}
			if strings.Contains(err.Error(), "topsecret") {
				t.Errorf("error repeats the password: %v", err)
			}
		})
	}
}

func TestCheckHostname(t *testing.T) {
	for name, ok := range map[string]bool{
		"porthole": true, "shop-3": true, "a": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "A": false, "a.b": false, "a b": false, strings.Repeat("a", 64): false,
	} {
		if err := settings.CheckHostname(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPlayerSettings(t *testing.T) {
	for _, c := range []struct {
		in  settings.PlayerSettings
		bad string
	}{
		{settings.PlayerSettings{}, ""},
		{settings.PlayerSettings{Show: settings.ShowPicture, Picture: "Menü 1.png"}, ""},
		{settings.PlayerSettings{Show: settings.ShowCamera, Camera: "front-door"}, ""},
		{settings.PlayerSettings{Show: "Camera"}, "show"},
		{settings.PlayerSettings{Picture: "../a.png"}, "picture"},
		{settings.PlayerSettings{Picture: `a\b.png`}, "picture"},
		{settings.PlayerSettings{Picture: ".a.png"}, "picture"},
		{settings.PlayerSettings{Picture: "a\x00.png"}, "picture"},
		{settings.PlayerSettings{Picture: strings.Repeat("a", 201)}, "picture"},
		{settings.PlayerSettings{Camera: "../x"}, "camera"},
	} {
		err := c.in.Check()
		var fe *settings.FieldError
		if c.bad == "" && err != nil || c.bad != "" && (!errors.As(err, &fe) || fe.Field != c.bad) {
			t.Errorf("%+v: %v, want an error in %q", c.in, err, c.bad)
		}
	}
}
