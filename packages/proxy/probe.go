package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"porthole/media/rtsp"
	"porthole/packages/internal/settings"
)

// maxProbeRequest bounds the request to try a camera, in bytes.
const maxProbeRequest = 16 << 10

// probeRequest is the camera to try.
type probeRequest struct {
	URL       string             `json:"url"`
	User      string             `json:"user"`
	Password  string             `json:"password"`
	Transport settings.Transport `json:"transport"`
}

// probeAnswer is what was found; ID is the camera on rtsp.sock for a minute, empty when no pictures come.
type probeAnswer struct {
	Result rtsp.ProbeResult `json:"result"`
	ID     string           `json:"id"`
}

// probe tries a camera for somebody who is about to add it.
func (p *proxy) probe(w http.ResponseWriter, r *http.Request) {
	var req probeRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxProbeRequest)).Decode(&req); err != nil {
		refuse(w, http.StatusBadRequest, `The request is not {"url","user","password","transport"}.`)
		return
	}
	cam, err := settings.Camera{ID: "camera", URL: req.URL, User: req.User, Password: req.Password, Transport: req.Transport}.Normalize()
	if err != nil {
		p.answer(w, probeAnswer{Result: rtsp.ProbeResult{Code: "address", Problem: addressProblem(err), Tracks: []rtsp.TrackStatus{}, Repairs: []string{}}})
		return
	}
	id := rtsp.ProbePrefix + strings.ToLower(rand.Text())
	res, err := p.hub.Probe(r.Context(), rtsp.Source{ID: id, URL: cam.URL, User: cam.User, Password: cam.Password, Transport: string(cam.Transport)})
	switch {
	case errors.Is(err, rtsp.ErrProbing):
		refuse(w, http.StatusTooManyRequests, "Four cameras are being tried already. Try again in a few seconds.")
		return
	case err != nil:
		p.Env.Log.Error("cannot try a camera", "err", err)
		refuse(w, http.StatusInternalServerError, "The camera cannot be tried.")
		return
	}
	if !res.OK {
		id = ""
	}
	p.answer(w, probeAnswer{Result: res, ID: id})
}

// addressProblem makes a sentence of what is wrong with a field.
func addressProblem(err error) string {
	var field *settings.FieldError
	if !errors.As(err, &field) {
		return "The address cannot be used."
	}
	if field.Field == "url" {
		return "The address " + field.Reason + "."
	}
	return "The " + field.Field + " " + field.Reason + "."
}
