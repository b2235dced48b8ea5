package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/media/rtsp"
)

// proxyFake stands where proxy does and speaks the JSON of docs/architecture.md, with the types that proxy itself sends.
type proxyFake struct {
	mu       sync.Mutex
	cameras  []rtsp.CameraStatus
	sessions []rtsp.SessionStatus
	lines    []rtsp.LogLine
	status   map[string]any
	// probe answers a try of an address.
	probe  func(url string) (rtsp.ProbeResult, int)
	probed []map[string]string
	ended  []string
	asked  []string // the queries of GET /log
}

func (p *proxyFake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]any{"cameras": p.cameras, "https": map[string]any{"connections": 3}, "refused": map[string]int{}}
		for k, v := range p.status {
			answer[k] = v
		}
		jsonHandler(answer)(w, r)
	})
	mux.HandleFunc("GET /sessions", jsonHandler(map[string]any{"sessions": p.sessions}))
	mux.HandleFunc("DELETE /sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		for i := range p.sessions {
			if s := &p.sessions[i]; s.ID == r.PathValue("id") && s.Ended.IsZero() {
				s.Ended, s.Reason = time.Now(), "ended from the web page"
				p.ended = append(p.ended, s.ID)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		http.NotFound(w, r)
	})
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, r *http.Request) {
		p.asked = append(p.asked, r.URL.RawQuery)
		lines := []rtsp.LogLine{}
		for _, l := range p.lines {
			if s := r.URL.Query().Get("stream"); s == "" || s == l.Stream {
				lines = append(lines, l)
			}
		}
		jsonHandler(map[string]any{"lines": lines})(w, r)
	})
	mux.HandleFunc("DELETE /log", func(w http.ResponseWriter, r *http.Request) {
		p.lines = nil
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /probe", func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.probed = append(p.probed, in)
		result, status := p.probe(in["url"])
		if status != http.StatusOK {
			http.Error(w, `{"error":"busy"}`, status)
			return
		}
		id := ""
		if result.OK {
			id = "probe-7f3a"
		}
		jsonHandler(map[string]any{"result": result, "id": id})(w, r)
	})
	mux.ServeHTTP(w, r)
}

// goodStream is a stream as Alexa likes it.
func goodStream(id string) rtsp.CameraStatus {
	return rtsp.CameraStatus{
		ID: id, State: "live", Since: time.Now().Add(-3 * time.Minute), Readers: 2, BytesIn: 12_000_000, BytesOut: 34_000_000,
		Tracks: []rtsp.TrackStatus{
			{Kind: rtsp.Video, Codec: rtsp.H264, Detail: "1280×720", Width: 1280, Height: 720, Profile: "Main"},
			{Kind: rtsp.Audio, Codec: rtsp.AAC, ClockRate: 48000, Channels: 1},
		},
		Sessions: 17, LastSession: time.Now().Add(-5 * time.Minute), LastDuration: 75, KbitPerSecond: 1534, FPS: 25,
		GOPPictures: 50, GOPSeconds: 2, Transport: "tcp", Dropped: 120, DroppedGOPs: 3, Reconnects: 4,
		Repairs: []string{"A missing <control> line was added."},
	}
}

// expect looks for what a page must have, and must not have (with ! before it).
func expect(t *testing.T, where, body string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		not, unwanted := strings.CutPrefix(want, "!")
		if unwanted && strings.Contains(body, not) {
			t.Errorf("%s has %q", where, not)
		}
		if !unwanted && !strings.Contains(body, want) {
			t.Errorf("%s lacks %q", where, want)
		}
	}
	if t.Failed() {
		t.Logf("%s:\n%s", where, body)
	}
}
