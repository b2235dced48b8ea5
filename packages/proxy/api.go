package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"porthole/media/rtsp"
	"porthole/packages/internal/unixsock"
	"porthole/packages/proxy/allow"
	"porthole/packages/proxy/door"
)

// status is the answer to GET /status (docs/architecture.md, "proxy.sock").
type status struct {
	Cameras []rtsp.CameraStatus `json:"cameras"`
	HTTPS   door.Status         `json:"https"`
	Refused map[string]uint64   `json:"refused"`
	Access  allow.Status        `json:"access"`
	// Handshakes are with whom TLS did not come about.
	Handshakes []door.HandshakeFailure `json:"handshakes"`
	// TestPort is where the test socket is, open or not; 0 if the flag -test is empty.
	TestPort int `json:"test_port"`
}

func (p *proxy) status() status {
	s := status{Cameras: p.hub.Status(), Access: p.allow.Status(), TestPort: portOf(p.Test), Handshakes: []door.HandshakeFailure{}}
	if s.Cameras == nil {
		s.Cameras = []rtsp.CameraStatus{}
	}
	if p.door != nil {
		s.HTTPS = p.door.Status()
		s.Refused = s.HTTPS.Refused
		s.Handshakes = p.door.Handshakes()
	}
	for _, o := range []*outlet{p.http, p.test} {
		if why := o.trouble(); why != "" {
			s.Access.Problems = append(s.Access.Problems, why)
		}
	}
	return s
}

// serveAPI answers console on proxy.sock.
func (p *proxy) serveAPI(ctx context.Context) error {
	l, err := unixsock.Listen(p.Env.Socket("proxy"), unixsock.Allow(p.Env.SingleUser, "console"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, p.status()) })
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) {
		list := p.hub.Sessions()
		if list == nil {
			list = []rtsp.SessionStatus{}
		}
		p.answer(w, map[string]any{"sessions": list})
	})
	mux.HandleFunc("DELETE /sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !p.hub.EndSession(r.PathValue("id")) {
			refuse(w, http.StatusNotFound, "There is no such session any more.")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /log", p.log)
	mux.HandleFunc("DELETE /log", func(w http.ResponseWriter, _ *http.Request) {
		p.hub.ClearLog()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /probe", p.probe)
	return unixsock.Serve(ctx, l, mux)
}

// log answers with the RTSP log: after a number, of a stream.
func (p *proxy) log(w http.ResponseWriter, r *http.Request) {
	var after uint64
	if s := r.FormValue("after"); s != "" {
		var err error
		if after, err = strconv.ParseUint(s, 10, 64); err != nil {
			refuse(w, http.StatusBadRequest, "after must be the number of a line.")
			return
		}
	}
	lines := p.hub.Log(after, r.FormValue("stream"))
	if lines == nil {
		lines = []rtsp.LogLine{}
	}
	p.answer(w, map[string]any{"lines": lines})
}

func (p *proxy) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.Env.Log.Debug("console went before its answer", "err", err)
	}
}

func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why}) // console went before its answer
}
