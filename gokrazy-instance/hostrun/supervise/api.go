//go:build linux

package supervise

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// xsrfCookie and xsrfField carry gokrazy's token against cross-site requests (gokrazy's xsrf.go): a POST must repeat in
// its form what the cookie says.
const (
	xsrfCookie = "gokrazy_xsrf"
	xsrfField  = "xsrftoken"
)

// Handler returns gokrazy's HTTP API: GET /, /status and /log, POST /restart, /stop and /reboot. Where gokrazy has pages for a
// browser, this one answers JSON too.
func (s *Supervisor) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.handleOverview)
	mux.HandleFunc("/status", s.handleStatus)
	mux.HandleFunc("/log", s.handleLog)
	mux.HandleFunc("/restart", s.handleControl)
	mux.HandleFunc("/stop", s.handleControl)
	mux.HandleFunc("/reboot", s.handleReboot)
	return mux
}

func answerJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

func (s *Supervisor) handleOverview(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, s.overview())
}

func (s *Supervisor) handleStatus(w http.ResponseWriter, r *http.Request) {
	token := tokenOf(r)
	if token == 0 {
		token = s.xsrf()
	}
	//nolint:gosec // the API is on a unix socket: there is no TLS that Secure could ask for
	http.SetCookie(w, &http.Cookie{Name: xsrfCookie, Value: strconv.Itoa(int(token)), Expires: time.Now().Add(24 * time.Hour), HttpOnly: true})
	svc := s.find(r.FormValue("path"))
	if svc == nil {
		http.Error(w, "service not found", http.StatusNotFound)
		return
	}
	answerJSON(w, svc.status())
}

func tokenOf(r *http.Request) int32 {
	for _, c := range r.CookiesNamed(xsrfCookie) {
		if i, err := strconv.ParseInt(c.Value, 0, 32); err == nil {
			return int32(i)
		}
	}
	return 0
}

func newToken() int32 {
	var b [4]byte
	for {
		rand.Read(b[:]) // never fails (crypto/rand)
		if t := int32(binary.NativeEndian.Uint32(b[:]) >> 1); t != 0 {
			return t
		}
	}
}

func (s *Supervisor) handleControl(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "expected a POST request", http.StatusBadRequest)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	cookie := tokenOf(r)
	if cookie == 0 {
		http.Error(w, "XSRF cookie missing", http.StatusBadRequest)
		return
	}
	form, err := strconv.ParseInt(r.FormValue(xsrfField), 0, 32)
	if err != nil {
		http.Error(w, fmt.Sprintf("parsing XSRF token form value: %v", err), http.StatusBadRequest)
		return
	}
	if int32(form) != cookie {
		http.Error(w, "XSRF token mismatch", http.StatusForbidden)
		return
	}
	path := r.FormValue("path")
	svc := s.find(path)
	if svc == nil {
		http.Error(w, "no such service", http.StatusNotFound)
		return
	}
	sig := syscall.SIGTERM
	if r.FormValue("signal") == "kill" {
		sig = syscall.SIGKILL
	}
	if r.URL.Path == "/restart" {
		err = svc.restart(sig, r.FormValue("supervise") == "once")
	} else {
		err = svc.stop(sig)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, "/status?"+url.Values{"path": {path}}.Encode(), http.StatusSeeOther)
}

// handleReboot ends all processes and starts them again. Like gokrazy's (update.go, powerHandler) it asks for no token; unlike it,
// it answers at once.
func (s *Supervisor) handleReboot(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "expected a POST request", http.StatusBadRequest)
		return
	}
	select {
	case s.reboot <- struct{}{}:
	default: // somebody wants it already
	}
	fmt.Fprintln(w, "Rebooting...")
}

// handleLog streams a process's lines, those kept first, until the client goes (gokrazy's statuslog.go).
func (s *Supervisor) handleLog(w http.ResponseWriter, r *http.Request) {
	svc := s.find(r.FormValue("path"))
	if svc == nil {
		http.Error(w, "service not found", http.StatusNotFound)
		return
	}
	var stdout, stderr <-chan string
	stream := r.FormValue("stream")
	if stream == "stdout" || stream == "both" {
		lines, stop := svc.stdout.stream()
		defer stop()
		stdout = lines
	}
	if stream == "stderr" || stream == "both" {
		lines, stop := svc.stderr.stream()
		defer stop()
		stderr = lines
	}
	if stdout == nil && stderr == nil {
		http.Error(w, "stream not found", http.StatusNotFound)
		return
	}
	events := strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/event-stream")
	if events {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
	}
	for {
		var line, name string
		select {
		case line = <-stdout:
			name = "stdout"
		case line = <-stderr:
			name = "stderr"
		case <-r.Context().Done():
			return
		}
		if events {
			line = "data: " + line + "\n"
			if stream == "both" {
				line = "event: " + name + "\n" + line
			}
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
}
