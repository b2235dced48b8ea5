package main

import (
	"context"
	"encoding/json"
	"net/http"

	"porthole/media/rtsp"
	"porthole/packages/internal/unixsock"
	"porthole/packages/proxy/door"
)

// status is the answer to GET /status (docs/architecture.md, "proxy.sock").
type status struct {
	Cameras []rtsp.CameraStatus `json:"cameras"`
	HTTPS   door.Status         `json:"https"`
	Refused map[string]uint64   `json:"refused"`
}

// serveStatus answers console on proxy.sock.
func (p *proxy) serveStatus(ctx context.Context) error {
	l, err := unixsock.Listen(p.Env.Socket("proxy"), unixsock.Allow(p.Env.SingleUser, "console"))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		s := status{Cameras: p.hub.Status()}
		if s.Cameras == nil {
			s.Cameras = []rtsp.CameraStatus{}
		}
		if p.door != nil {
			s.HTTPS = p.door.Status()
			s.Refused = s.HTTPS.Refused
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(s); err != nil {
			p.Env.Log.Debug("console went before its answer", "err", err)
		}
	})
	return unixsock.Serve(ctx, l, mux)
}
