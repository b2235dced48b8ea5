package main

import (
	"cmp"
	"encoding/json"
	"net/http"
	"time"

	"porthole/packages/internal/daemon"
	"porthole/packages/internal/settings"
	"porthole/packages/signaling/live"
)

// limits are the settings', and the flags' where the settings say nothing.
func (o options) limits(l settings.Live) live.Limits {
	return live.Limits{
		PerCamera: cmp.Or(l.PerCamera, o.perCamera), Total: cmp.Or(l.Total, o.allViews), MaxTime: time.Duration(l.MaxMinutes) * time.Minute,
	}
}

// statusHandler serves signaling-status.sock, as docs/architecture.md says.
func statusHandler(env daemon.Env, views *live.Server) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			env.Log.Debug("who asked went before the answer", "err", err)
		}
	}
	mux.HandleFunc("GET /viewers", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, views.Status()) })
	mux.HandleFunc("DELETE /viewers/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !views.End(r.PathValue("id")) {
			answer(w, http.StatusNotFound, map[string]string{"error": "There is no such viewer any more."})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
