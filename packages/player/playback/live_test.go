package playback_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"porthole/media/rtsp"
	"porthole/media/rtsp/rtsptest"
	"porthole/packages/internal/program"
)

// blue starts a camera that shows blue.
func blue(t *testing.T, o rtsptest.Options) *rtsptest.Camera {
	t.Helper()
	c := rtsptest.Start(t, o)
	c.PublishAs(t, "-f", "lavfi", "-i", "color=c=0x0000ff:s=320x180:r=25", "-c:v", "libx264", "-preset", "ultrafast",
		"-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p")
	return c
}

// TestLive: cameras by id and streams by their address come on the screen with their first picture, straight after what was
// there; one that falls silent gives way to the next item, with a reason.
func TestLive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options rtsptest.Options
		item    func(address string) program.Item
	}{
		"camera":          {rtsptest.Options{}, func(string) program.Item { return program.Item{Kind: "camera", Camera: "door"} }},
		"stream over TCP": {rtsptest.Options{}, func(a string) program.Item { return program.Item{Kind: "stream", URL: a} }},
		"stream over TLS, with a password": {rtsptest.Options{User: "me", Password: "s:cret", TLS: true}, func(a string) program.Item {
			return program.Item{Kind: "stream", URL: strings.Replace(a, "//", "//me:s%3Acret@", 1)}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cam := blue(t, c.options)
			r := start(t, program.Program{}, setup{
				stream: rtsp.PlayURL,
				camera: func(ctx context.Context, id string, sink rtsp.Sink) error {
					if id != "door" {
						t.Errorf("camera %q was read", id)
					}
					return rtsp.PlayURL(ctx, cam.URL(), sink)
				},
			})
			item := c.item(cam.URL())
			item.DurationMS = 3600_000
			r.engine.SetProgram(list("cut", still('r', time.Second), item))
			r.run("the camera is on the screen", func() bool { return r.hues() == "rb" })
			r.run("some pictures were shown", func() bool { return r.engine.State().Item.Presented > 10 })
			if s := r.engine.State(); s.Item.Kind != item.Kind || strings.Contains(s.Item.Name, "cret") {
				t.Errorf("item %+v", s.Item)
			}
			if s := r.engine.State(); s.Problem != "" {
				t.Errorf("problem %q", s.Problem)
			}
			cam.Freeze(true)
			r.run("the next item came", func() bool { return r.hues() == "rbr" })
			s := r.engine.State()
			if len(s.Skipped) == 0 || s.Skipped[0].Item != 2 || !strings.Contains(s.Skipped[0].Reason, "sends nothing") {
				t.Errorf("skipped %+v", s.Skipped)
			}
		})
	}
}

// TestDeadCamera: what does not answer is passed over with a reason, and costs the others nothing.
func TestDeadCamera(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		item   program.Item
		reason string
	}{
		"camera":    {program.Item{Kind: "camera", Camera: "door"}, "does not answer"},
		"stream":    {program.Item{Kind: "stream", URL: "rtsp://user:secret@127.0.0.1:1/x"}, "nothing answers"},
		"no stream": {program.Item{Kind: "stream", URL: "http://127.0.0.1:1/x"}, "not an rtsp:// or rtsps:// URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, program.Program{}, setup{
				stream: rtsp.PlayURL,
				camera: func(context.Context, string, rtsp.Sink) error { return rtsp.ErrUnavailable },
			})
			c.item.DurationMS = 1000
			r.engine.SetProgram(list("cut", still('r', time.Second), c.item, still('g', time.Second)))
			r.run("the item after it is on the screen", func() bool { return strings.HasPrefix(r.hues(), "rg") })
			r.until("the reason is there", func() bool { return len(r.engine.State().Skipped) > 0 })
			s := r.engine.State().Skipped[0]
			if s.Item != 2 || !strings.Contains(s.Reason, c.reason) || strings.Contains(s.Name, "secret") {
				t.Errorf("skipped %+v, want %q", s, c.reason)
			}
		})
	}
}

// TestOnlyCamera: when the only item there is falls silent its last picture stays, and it is said that it stands still, until
// there are new ones.
func TestOnlyCamera(t *testing.T) {
	t.Parallel()
	cam := blue(t, rtsptest.Options{})
	r := start(t, program.Program{}, setup{stream: rtsp.PlayURL})
	r.engine.SetProgram(list("cut", program.Item{Kind: "stream", URL: cam.URL(), DurationMS: 10_000}))
	r.run("the camera is on the screen", func() bool { return r.hues() == "b" })
	cam.Freeze(true)
	r.run("it is said", func() bool {
		return strings.Contains(r.engine.State().Problem, "No new picture from rtsp://127.0.0.1")
	})
	if s := r.engine.State(); !s.Playing || r.hues() != "b" {
		t.Errorf("on the screen: %s, state %+v", r.hues(), s)
	}
	cam.Freeze(false)
	r.run("it is well", func() bool { return r.engine.State().Problem == "" })
	if s := r.engine.State(); !s.Playing || r.hues() != "b" {
		t.Errorf("on the screen: %s, state %+v", r.hues(), s)
	}
}
