package main

import (
	"net/http"

	"porthole/packages/internal/daemon"
)

// signageVersion is the version of the signage API that players of documents 001, 002 and 004 expect.
const signageVersion = "2.0.0"

type health struct {
	Status          string            `json:"status"`
	Version         string            `json:"version"`
	Product         string            `json:"product"`
	PortholeVersion string            `json:"porthole_version"`
	Processes       map[string]string `json:"processes"`
}

// serveHealth answers 200 as long as console lives, because players take anything else for a dead server; what is not
// well stands in status: "ok" or "degraded".
func (c *console) serveHealth(w http.ResponseWriter, r *http.Request) {
	h := health{
		Status: "ok", Version: signageVersion, Product: "porthole", PortholeVersion: daemon.Version(),
		Processes: map[string]string{},
	}
	processes, err := c.backends.processes.answer(r.Context())
	if err != nil {
		h.Status = "degraded"
	}
	for _, p := range processes {
		h.Processes[p.Name] = p.State
		if p.State != "running" {
			h.Status = "degraded"
		}
	}
	writeJSON(w, http.StatusOK, h)
}
