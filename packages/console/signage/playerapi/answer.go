package playerapi

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// problem is an answer that says what is wrong and what to do.
type problem struct {
	status int
	text   string
	// wait is when to come again, 0 if that does not matter.
	wait time.Duration
	// more are further fields of the answer.
	more map[string]any
}

func (p *problem) Error() string { return p.text }

func bad(text string) *problem { return &problem{status: http.StatusBadRequest, text: text} }

func tooMany(wait time.Duration) *problem {
	return &problem{status: http.StatusTooManyRequests, wait: wait, text: "too many requests; wait as long as Retry-After says, then go on more slowly"}
}

// answer makes a net/http handler of h. What goes wrong on our side is logged by the call's pattern: paths may hold
// capabilities, queries hold codes.
func (a *API) answer(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		var p *problem
		switch {
		case errors.As(err, &p):
		case isGone(err):
			p = &problem{status: http.StatusNotFound, text: "this is not there any more; ask again"}
		default:
			a.c.Log.Error("a player's request failed", "call", r.Pattern, "err", err)
			p = &problem{status: http.StatusInternalServerError, text: "the server could not do this; try again in a moment, its log says why", wait: 5 * time.Second}
		}
		body := map[string]any{"error": p.text}
		for k, v := range p.more {
			body[k] = v
		}
		h := w.Header()
		if p.wait > 0 {
			h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.wait.Seconds()))))
		}
		switch p.status {
		case http.StatusUnauthorized:
			// RFC 9110 section 11.6.1.
			h.Set("WWW-Authenticate", "Bearer")
		case http.StatusUpgradeRequired:
			// RFC 2817 section 4.2.
			h.Set("Upgrade", "TLS/1.2, HTTP/1.1")
			h.Set("Connection", "Upgrade")
		}
		writeJSON(w, p.status, body)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

// nothingHere answers what is no call, or not with that method (RFC 9110 section 15.5.6).
func (a *API) nothingHere(w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		other := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(other); pattern != everything && pattern != "" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) == 0 {
		return &problem{status: http.StatusNotFound, text: "there is no such call; the server’s documentation lists them"}
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	return &problem{status: http.StatusMethodNotAllowed, text: "this call takes " + strings.Join(allowed, " or ") + " only"}
}

// maxAge is for how long a browser may believe what it was told of CORS, in seconds.
const maxAge = 3600

// cors says which web sites may ask: all of them, but with their visitors' credentials only those that are listed (Fetch
// standard, section 3.2). The header is there without Origin too, as people look for it with curl. It reports whether the
// request was answered.
func (a *API) cors(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" && slices.Contains(a.c.Origins(), origin) {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	} else {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, Content-Range, Accept-Ranges, Content-Length")
	if r.Method != http.MethodOptions {
		return false
	}
	methods := "GET, POST, OPTIONS"
	if strings.HasPrefix(r.URL.Path, "/api/media/") {
		methods = "GET, HEAD, OPTIONS"
	}
	h.Set("Allow", methods)
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Content-Type, Authorization, If-None-Match, Range, If-Range")
	h.Set("Access-Control-Max-Age", strconv.Itoa(maxAge))
	w.WriteHeader(http.StatusNoContent)
	return true
}
