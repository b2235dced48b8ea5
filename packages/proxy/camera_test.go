package main_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porthole/media/rtsp"
	"porthole/media/samples"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/proxy/allow"
	"porthole/packages/proxy/door"
)

// house is settings with one camera, which runs until the test ends.
func house(t *testing.T) settings.Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := rtsp.ServeClip(ctx, slog.New(slog.DiscardHandler), l, samples.Demo(), "/stream1", "admin", "cam-secret"); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	ha1 := md5.Sum([]byte("porthole:" + rtsp.Realm + ":secret"))
	return settings.Proxy{
		Revision: 1, Hostname: "porthole", PlainHTTP: true,
		Cameras:  []settings.Camera{{ID: "door", Name: "Door", URL: "rtsp://" + l.Addr().String() + "/stream1", User: "admin", Password: "cam-secret", Transport: settings.TCP}},
		Accounts: []settings.Account{{User: "porthole", HA1: hex.EncodeToString(ha1[:])}},
	}
}

// probe reads a camera as ffmpeg's users do and returns the codecs it found, or what ffprobe says is wrong.
func probe(t *testing.T, url string) ([]string, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-tls_verify", "0",
		"-show_entries", "stream=codec_name", "-of", "json", url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err.Error() + ": " + stderr.String()
	}
	var found struct {
		Streams []struct {
			Codec string `json:"codec_name"`
		}
	}
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	var codecs []string
	for _, s := range found.Streams {
		codecs = append(codecs, s.Codec)
	}
	return codecs, stderr.String()
}

func TestCamera(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console-internal", internal(house(t)))
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })

	codecs, said := probe(t, "rtsps://porthole:secret@"+r.https+"/door")
	if d := cmp.Diff([]string{"h264", "aac"}, codecs); d != "" {
		t.Errorf("%s%s", said, d)
	}
	for url, want := range map[string]string{
		"rtsps://porthole:wrong@" + r.https + "/door": "401 Unauthorized",
		"rtsps://" + r.https + "/door":                "401 Unauthorized",
		"rtsp://porthole:secret@" + r.https + "/door": "Use rtsps instead of rtsp",
	} {
		if _, said := probe(t, url); !strings.Contains(said, want) {
			t.Errorf("%s: %s", url, said)
		}
	}
	s := r.status(t)
	if c := s.Cameras[0]; c.ID != "door" || c.BytesOut == 0 || c.State != "live" {
		t.Errorf("%+v", c)
	}
	if s.HTTPS.Served["rtsp"] < 3 || s.Refused["plain_rtsp"] < 1 {
		t.Errorf("%+v", s)
	}
	if log := r.log.String(); strings.Contains(log, "secret") {
		t.Errorf("the log holds a password:\n%s", log)
	}
}

// TestLocalReader: signaling and player read without a password over rtsp.sock.
func TestLocalReader(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.serve(t, "console-internal", internal(house(t)))
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := &sink{enough: cancel}
	rtsp.Play(ctx, rtsp.PlayConfig{
		Camera: "door", Dial: func(ctx context.Context) (net.Conn, error) { return unixsock.Dial(ctx, r.env.Socket("rtsp")) },
	}, got)
	if got.units < 10 || len(got.tracks) != 2 {
		t.Errorf("%d units of %d tracks", got.units, len(got.tracks))
	}
}

type sink struct {
	enough context.CancelFunc
	tracks []rtsp.Track
	units  int
}

func (s *sink) Tracks(t []rtsp.Track) { s.tracks = t }

func (s *sink) Unit(rtsp.Unit) {
	if s.units++; s.units == 10 {
		s.enough()
	}
}

// TestKeptSettings: with console dead, cameras are served from what was kept.
func TestKeptSettings(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	kept, err := json.Marshal(house(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(r.env.SettingsFile()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.env.SettingsFile(), kept, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(t)
	until(t, "settings", func() bool { return len(r.status(t).Cameras) == 1 })
	if codecs, said := probe(t, "rtsps://porthole:secret@"+r.https+"/door"); len(codecs) != 2 {
		t.Errorf("%v %s", codecs, said)
	}
}

// report is proxy's status as console reads it.
type report struct {
	Handshakes []door.HandshakeFailure
	Cameras    []rtsp.CameraStatus
	HTTPS      struct {
		Connections, Undecided int
		Served, TLS            map[string]int
	}
	Refused map[string]int
	Access  allow.Status
	// TestPort is the test socket's.
	TestPort int `json:"test_port"`
}

func (r *rig) status(t *testing.T) report {
	t.Helper()
	c := unixsock.NewClient(r.env.Socket("proxy"))
	defer c.Close()
	var s report
	until(t, "proxy.sock answers", func() bool {
		_, err := c.Call(t.Context(), http.MethodGet, "/status", nil, &s)
		return err == nil
	})
	return s
}

// TestStatus pins the names that console reads.
func TestStatus(t *testing.T) {
	r := newRig(t)
	r.publish(t, "device")
	r.start(t)
	c := unixsock.NewClient(r.env.Socket("proxy"))
	defer c.Close()
	var raw map[string]json.RawMessage
	until(t, "proxy.sock answers", func() bool {
		_, err := c.Call(t.Context(), http.MethodGet, "/status", nil, &raw)
		return err == nil && strings.Contains(string(raw["access"]), "192.168.77")
	})
	for key, want := range map[string]string{
		"cameras":   `[]`,
		"https":     `{"connections":0,"undecided":0,"served":{"acme":0,"http":0,"ice":0,"left":0,"plain_http":0,"rtsp":0},"tls":{}}`,
		"refused":   `{"acme":0,"crowded":0,"full":0,"garbage":0,"handshake":0,"logins":0,"not_allowed":0,"plain_rtsp":0,"slow":0,"stun":0}`,
		"access":    `{"own":[],"networks":["192.168.77.0/24"],"problems":[]}`,
		"test_port": `0`,
	} {
		if string(raw[key]) != want {
			t.Errorf("%s: %s", key, raw[key])
		}
	}
}
