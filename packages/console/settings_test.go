package main_test

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/settings"
)

// follow is another process that follows its settings, with the code that processes use.
func follow[V settings.View](d *device, process string) <-chan V {
	views := make(chan V, 16)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		cache := filepath.Join(d.options.Env.RunDir, process, "settings.json")
		if err := settings.Follow(ctx, d.options.Env.Log, d.internal(), process, cache, func(v V) { views <- v }); err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return views
}

func next[V any](t *testing.T, views <-chan V) V {
	t.Helper()
	select {
	case v := <-views:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("no news after 30 s")
		panic("not reached")
	}
}

func TestSettingsWakeFollowers(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	proxies, signalings := follow[settings.Proxy](d, "proxy"), follow[settings.Signaling](d, "signaling")
	p, s := next(t, proxies), next(t, signalings)
	if d := cmp.Diff([]settings.Camera{demoCamera()}, p.Cameras, noTokens); d != "" || p.Hostname != "porthole" {
		t.Errorf("first settings of proxy: %+v\n%s", p, d)
	}
	if d := cmp.Diff([]settings.CameraRef{{ID: "demo", Name: "Demo camera"}}, s.Cameras); d != "" || s.Revision != p.Revision {
		t.Errorf("first settings of signaling: %+v\n%s", s, d)
	}

	d.addCamera(b, "name", "Front door", "url", "rtsp://viewer:hunter2@192.168.1.20/stream1")
	door := settings.Camera{ID: "front-door", Name: "Front door", URL: "rtsp://192.168.1.20/stream1", User: "viewer", Password: "hunter2", Transport: settings.Auto, Auth: settings.AnyAuth}
	was := p.Revision
	p, s = next(t, proxies), next(t, signalings)
	if d := cmp.Diff([]settings.Camera{demoCamera(), door}, p.Cameras, noTokens); d != "" || p.Revision <= was {
		t.Errorf("after a camera was added: revision %d after %d\n%s", p.Revision, was, d)
	}
	if d := cmp.Diff([]settings.CameraRef{{ID: "demo", Name: "Demo camera"}, {ID: "front-door", Name: "Front door"}}, s.Cameras); d != "" {
		t.Error(d)
	}
	// proxy gets what lets RTSP clients in, and it is what the page shows to admins.
	stream := streamPassword(t, b)
	md, sha := md5.Sum([]byte("porthole:Streaming Server:"+stream)), sha256.Sum256([]byte("porthole:Streaming Server:"+stream))
	want := []settings.Account{{User: "porthole", HA1: hex.EncodeToString(md[:]), HA1SHA256: hex.EncodeToString(sha[:])}}
	if d := cmp.Diff(want, p.Accounts); d != "" {
		t.Error(d)
	}
	if a := b.post("/settings/cameras/front-door/delete"); a.status != http.StatusSeeOther {
		t.Errorf("delete: %d", a.status)
	}
	if p = next(t, proxies); len(p.Cameras) != 1 {
		t.Errorf("after it was deleted: %+v", p.Cameras)
	}
}

// streamPassword is the one an admin finds in the page.
func streamPassword(t *testing.T, b *browser) string {
	t.Helper()
	m := regexp.MustCompile(`data-whole="rtsps://porthole:([^@"]+)@`).FindStringSubmatch(b.get("/").body)
	if m == nil {
		t.Fatal("no address with a password in the page")
	}
	if p, err := url.PathUnescape(m[1]); err != nil || p != m[1] || len(p) < 16 {
		t.Fatalf("stream password %q is short or needs escapes", m[1])
	}
	return m[1]
}

func TestSettingsCalls(t *testing.T) {
	d := newDevice(t)
	d.options.LongPoll = 50 * time.Millisecond
	d.start()
	c := d.internal()
	var p settings.Proxy
	if status, err := c.Call(t.Context(), http.MethodGet, "/settings/proxy?after=0", nil, &p); err != nil || status != http.StatusOK || p.Cameras == nil && p.Revision == 0 {
		t.Fatalf("first call: %d, %v, %+v", status, err, p)
	}
	var raw any
	for target, want := range map[string]int{
		"/settings/proxy?after=" + itoa(p.Revision): http.StatusNoContent,
		// A follower of a database that was reset since is behind too.
		"/settings/proxy?after=" + itoa(p.Revision+50): http.StatusOK,
		"/settings/player?after=0":                     http.StatusOK,
		"/settings/proxy":                              http.StatusBadRequest,
		"/settings/proxy?after=x":                      http.StatusBadRequest,
		"/settings/network?after=0":                    http.StatusNotFound,
		"/settings/?after=0":                           http.StatusNotFound,
		"/":                                            http.StatusNotFound,
	} {
		if status, _ := c.Call(t.Context(), http.MethodGet, target, nil, &raw); status != want {
			t.Errorf("%s: %d, want %d", target, status, want)
		}
	}
	// A start that changes nothing is no news; other built-in cameras are.
	restart := func() settings.Proxy {
		d.stop()
		d.start()
		var p settings.Proxy
		if _, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/proxy?after=0", nil, &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if again := restart(); again.Revision != p.Revision {
		t.Errorf("revision %d became %d with a restart", p.Revision, again.Revision)
	}
	d.options.Builtin = []settings.Camera{demoCamera()}
	if again := restart(); again.Revision == p.Revision || len(again.Cameras) != 1 {
		t.Errorf("a new built-in camera is no news: %+v", again)
	}
}

func TestCameraForms(t *testing.T) {
	d := newDevice(t)
	d.options.Builtin = []settings.Camera{demoCamera()}
	d.start()
	b := d.claimed()
	d.addCamera(b, "name", "Yard", "url", "rtsp://192.168.1.30/s", "user", "joe", "password", "hunter2")
	for name, c := range map[string]struct {
		form []string
		want []string
	}{
		"web address": {[]string{"name", "Back yard", "url", "http://10.0.0.9/"}, []string{`id="url-error"`, "must start with rtsp://", `value="http://10.0.0.9/"`, `value="Back yard"`}},
		"nothing":     {nil, []string{`id="name-error"`, "give the camera a name"}},
		"no address":  {[]string{"name", "X"}, []string{`id="url-error"`}},
		"taken id":    {[]string{"id", "yard", "url", "rtsp://h/s"}, []string{`id="id-error"`, "taken by the camera"}},
		"built-in":    {[]string{"id", "demo", "url", "rtsp://h/s"}, []string{`id="id-error"`, "built-in"}},
		"reserved":    {[]string{"name", "New", "url", "rtsp://h/s"}, []string{`id="id-error"`, "is taken by the page"}},
		"bad id":      {[]string{"id", "A b", "url", "rtsp://h/s"}, []string{`id="id-error"`, "lowercase letters", `value="A b"`}},
		"no letters":  {[]string{"name", "门", "url", "rtsp://h/s"}, []string{`id="id-error"`, "type one"}},
		"no user":     {[]string{"name", "X", "url", "rtsp://h/s", "password", "p"}, []string{`id="user-error"`}},
		"transport":   {[]string{"name", "X", "url", "rtsp://h/s", "transport", "quic"}, []string{"must be &#34;auto&#34;"}},
		"markup":      {[]string{"name", `"><script>x`, "url", "x"}, []string{`value="&#34;&gt;&lt;script&gt;x"`}},
	} {
		a := b.post("/settings/cameras/new", c.form...)
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, a.status)
		}
		for _, want := range c.want {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s: the form lacks %q:\n%s", name, want, a.body)
			}
		}
	}

	camera := func() settings.Camera {
		t.Helper()
		var p settings.Proxy
		if _, err := d.internal().Call(t.Context(), http.MethodGet, "/settings/proxy?after=0", nil, &p); err != nil || len(p.Cameras) != 2 {
			t.Fatalf("%+v, %v", p, err)
		}
		return p.Cameras[1]
	}
	if a := b.get("/settings/cameras/yard"); a.status != http.StatusOK || strings.Contains(a.body, "hunter2") || !strings.Contains(a.body, `value="rtsp://192.168.1.30/s"`) {
		t.Errorf("edit page: %d\n%s", a.status, a.body)
	}
	for _, step := range []struct {
		name string
		form []string
		want settings.Camera
	}{
		{"an empty password keeps the one that is set", []string{"name", "Garden", "url", "rtsp://192.168.1.31/s", "user", "joe", "transport", "tcp", "id", "other"},
			settings.Camera{ID: "yard", Name: "Garden", URL: "rtsp://192.168.1.31/s", User: "joe", Password: "hunter2", Transport: settings.TCP, Auth: settings.AnyAuth}},
		{"another password", []string{"name", "Garden", "url", "rtsp://192.168.1.31/s", "user", "joe", "password", "hunter22"},
			settings.Camera{ID: "yard", Name: "Garden", URL: "rtsp://192.168.1.31/s", User: "joe", Password: "hunter22", Transport: settings.Auto, Auth: settings.AnyAuth}},
		{"credentials in the address", []string{"name", "Garden", "url", "rtsp://jim:hunter23@192.168.1.31/s"},
			settings.Camera{ID: "yard", Name: "Garden", URL: "rtsp://192.168.1.31/s", User: "jim", Password: "hunter23", Transport: settings.Auto, Auth: settings.AnyAuth}},
		{"no user, no password", []string{"url", "rtsp://192.168.1.31/s"},
			settings.Camera{ID: "yard", Name: "yard", URL: "rtsp://192.168.1.31/s", Transport: settings.Auto, Auth: settings.AnyAuth}},
	} {
		if a := b.post("/settings/cameras/yard", step.form...); a.status != http.StatusSeeOther {
			t.Errorf("%s: %d\n%s", step.name, a.status, a.body)
		}
		if d := cmp.Diff(step.want, camera(), noTokens); d != "" {
			t.Errorf("%s:\n%s", step.name, d)
		}
	}
	if a := b.get("/"); !strings.Contains(a.body, "Camera &#34;yard&#34; was changed.") {
		t.Errorf("the page does not say that it worked:\n%s", a.body)
	}
	if a := b.get("/"); strings.Contains(a.body, "was changed.") {
		t.Error("the page says so twice")
	}
	for target, want := range map[string]int{"/settings/cameras/demo": http.StatusForbidden, "/settings/cameras/demo/delete": http.StatusForbidden, "/settings/cameras/gone": http.StatusNotFound, "/settings/cameras/gone/delete": http.StatusNotFound} {
		if a := b.get(target); a.status != want {
			t.Errorf("GET %s: %d", target, a.status)
		}
		if a := b.post(target, "url", "rtsp://h/s", "name", "x"); a.status != want {
			t.Errorf("POST %s: %d", target, a.status)
		}
	}
	if a := b.get("/settings/cameras/yard/delete"); a.status != http.StatusOK || !strings.Contains(a.body, "Keep it") {
		t.Errorf("confirmation: %d", a.status)
	}
	if c := camera(); c.ID != "yard" {
		t.Errorf("looking at the confirmation changed %+v", c)
	}
}
