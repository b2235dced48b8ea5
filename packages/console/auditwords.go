package main

import (
	"context"
	"net/http"
	"strings"

	"porthole/packages/internal/identity"
)

// auditWords say what forms of administrators do, by their patterns; {x} is what stands in the path. What has no words here is
// named by its address.
var auditWords = map[string]string{
	"POST /settings/cameras/new":                   "added a camera",
	"POST /settings/cameras/{id}":                  "changed the camera {id}",
	"POST /settings/cameras/{id}/delete":           "deleted the camera {id}",
	"POST /camera/{id}/token/{stream}":             "made a new stream token for the camera {id}",
	"POST /settings/import":                        "imported settings",
	"POST /sessions/{session}/end":                 "ended somebody’s RTSP session",
	"POST /viewers/{viewer}/end":                   "ended somebody’s live view",
	"POST /rtsp-log/clear":                         "cleared the RTSP log",
	"POST /settings/proxy":                         "changed the proxy settings",
	"POST /settings/proxy/accounts":                "added an RTSP account",
	"POST /settings/proxy/accounts/{user}":         "changed the RTSP account {user}",
	"POST /settings/proxy/accounts/{user}/delete":  "deleted the RTSP account {user}",
	"POST /settings/live":                          "changed the live view settings",
	"POST /settings/signage":                       "changed the signage settings",
	"POST /settings/transfer/import":               "imported the signage",
	"POST /processes/{process}/restart":            "restarted {process}",
	"POST /screen":                                 "chose what this screen shows",
	"POST /screen/server":                          "changed the server of this screen",
	"POST /screen/display":                         "changed how this screen shows and when it is on",
	"POST /screen/governor":                        "changed the processor’s pace",
	"POST /screen/trust":                           "approved another certificate of this screen’s server",
	"POST /screen/retry":                           "had this screen’s server asked again",
	"POST /notices/{notice}/dismiss":               "dismissed a notice",
	"POST /settings/certificate/own":               "gave the device a certificate of their own",
	"POST /settings/certificate/own/{name}/remove": "took a certificate of their own away",
	"POST /settings/updates":                       "sent an update",
	"POST /settings/updates/url":                   "had an update fetched",
	"POST /settings/updates/install":               "had the device restart into an update",
	"POST /settings/updates/back":                  "had the device go back to the former version",
	"POST /settings/updates/cancel":                "called an update off",
	"POST /screens/show":                           "set what many screens show",
	"POST /screens/new":                            "added a screen",
	"POST /screens/pair":                           "paired a screen",
	"POST /screens/{id}":                           "changed screen {id}",
	"POST /screens/{id}/code":                      "gave screen {id} a new code",
	"POST /screens/{id}/code/delete":               "took the code of screen {id} away",
	"POST /screens/{id}/password":                  "set the password of screen {id}",
	"POST /screens/{id}/delete":                    "deleted screen {id}",
	"POST /groups":                                 "added a group of screens",
	"POST /groups/{id}":                            "changed group {id}",
	"POST /groups/{id}/delete":                     "deleted group {id}",
}

// wordsOf says what the request did.
func wordsOf(r *http.Request) string {
	words, ok := auditWords[r.Pattern]
	if !ok {
		return "sent the form " + logPath(r.URL.Path)
	}
	for _, part := range strings.Split(r.Pattern, "/") {
		name := strings.Trim(part, "{}")
		if name != part {
			words = strings.ReplaceAll(words, part, r.PathValue(name))
		}
	}
	return words
}

// noted makes the audit log say what an administrator's form did, unless its handler has said it in other words.
func (c *console) noted(who access, h userHandler) userHandler {
	if who != admin {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request, id identity.Identity) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			h(w, r, id)
			return
		}
		mark := &auditMark{}
		r = r.WithContext(context.WithValue(r.Context(), auditKey{}, mark))
		kept := &statusKeeper{ResponseWriter: w}
		h(kept, r, id)
		// A form that was refused is shown again, with another status.
		if !mark.made && kept.status < http.StatusBadRequest {
			c.note(r.Context(), byPerson(r, id, auditSettings, wordsOf(r)))
		}
	}
}

// statusKeeper remembers the status of an answer.
type statusKeeper struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (k *statusKeeper) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (k *statusKeeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }
