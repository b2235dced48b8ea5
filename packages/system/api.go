package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"porthole/packages/internal/unixsock"
	"porthole/packages/system/authority"
	"porthole/packages/system/health"
	"porthole/packages/system/intake"
	"porthole/packages/system/pairs"
	"porthole/packages/system/supervisor"
	"porthole/packages/system/update"
)

// api answers system.sock (docs/architecture.md).
type api struct {
	log        *slog.Logger
	device     *authority.Device
	pairs      *pairs.Store
	intake     *intake.Intake
	supervisor *supervisor.Client
	tail       *supervisor.Tail
	processor  *health.Watch
	problems   *problems
	reset      *factoryReset
	updates    *update.Engine
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /certificate", a.certificate)
	mux.Handle("PUT /certificates/{name}", consoleOnly(a.publish))
	mux.Handle("DELETE /certificates/{name}", consoleOnly(a.unpublish))
	mux.HandleFunc("GET /certificates/events", a.certificateEvents)
	mux.HandleFunc("GET /processes", a.processes)
	mux.Handle("GET /problems", a.problems)
	mux.Handle("GET /processes/{name}/log", consoleOnly(a.logLines))
	mux.Handle("POST /processes/{name}/restart", consoleOnly(a.restart))
	mux.HandleFunc("GET /log", a.wholeLog)
	mux.HandleFunc("GET /hardware", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.processor.Report()) })
	mux.Handle("POST /governor", consoleOnly(a.governor))
	mux.Handle("GET /provision", consoleOnly(a.provision))
	mux.Handle("POST /provision/taken", consoleOnly(a.taken))
	mux.Handle("POST /factory-reset", consoleOnly(a.reset.ServeHTTP))
	a.updates.Register(mux, consoleOnly)
	return mux
}

// consoleOnly keeps calls that change something or show secrets from the other processes.
func consoleOnly(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := unixsock.PeerOf(r.Context()); !ok || !p.Is("console") {
			refuse(w, http.StatusForbidden, "only console may ask this")
			return
		}
		h(w, r)
	})
}

func (a *api) processes(w http.ResponseWriter, r *http.Request) {
	list, err := a.supervisor.Processes(r.Context())
	if err != nil {
		a.fail(w, err)
		return
	}
	answer(w, list)
}

func (a *api) logLines(w http.ResponseWriter, r *http.Request) {
	lines, err := a.supervisor.Log(r.Context(), r.PathValue("name"))
	if err != nil {
		a.fail(w, err)
		return
	}
	if lines == nil {
		lines = []supervisor.Line{}
	}
	answer(w, map[string]any{"lines": lines})
}

// logWait is how long a question for the log of all processes waits for a line.
const logWait = 20 * time.Second

// wholeLog answers with the lines of all processes after a number.
func (a *api) wholeLog(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("after"), "0"), 10, 64)
	if err != nil || after < 0 {
		refuse(w, http.StatusBadRequest, "after must be the number of the last line you have, 0 for none")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), logWait)
	defer cancel()
	lines := a.tail.After(ctx, after)
	if lines == nil {
		lines = []supervisor.Entry{}
	}
	answer(w, map[string]any{"lines": lines})
}

// governor sets how the kernel chooses the processor's speed.
func (a *api) governor(w http.ResponseWriter, r *http.Request) {
	var in struct{ Governor *string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&in); err != nil || in.Governor == nil {
		refuse(w, http.StatusBadRequest, "send {\"governor\":…}, empty for the usual one")
		return
	}
	switch err := a.processor.SetGovernor(*in.Governor); {
	case errors.Is(err, health.ErrFixed):
		refuse(w, http.StatusConflict, err.Error())
	case errors.Is(err, health.ErrUnknown):
		refuse(w, http.StatusUnprocessableEntity, err.Error())
	case err != nil:
		a.fail(w, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *api) restart(w http.ResponseWriter, r *http.Request) {
	// One's own end would cut the answer off: the request outlives its caller, not the process.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second)
	defer cancel()
	if err := a.supervisor.Restart(ctx, r.PathValue("name")); err != nil {
		a.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) provision(w http.ResponseWriter, _ *http.Request) {
	h, ok := a.intake.Handover()
	if !ok {
		refuse(w, http.StatusNotFound, "there is nothing to take over")
		return
	}
	answer(w, h)
}

func (a *api) taken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Digest    string
		KeepFiles bool `json:"keep_files"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "send {\"digest\":…}")
		return
	}
	switch err := a.intake.Taken(in.Digest, in.KeepFiles); {
	case errors.Is(err, intake.ErrOther):
		refuse(w, http.StatusConflict, err.Error())
	case err != nil:
		a.fail(w, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *api) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, supervisor.ErrUnknown) {
		refuse(w, http.StatusNotFound, err.Error())
		return
	}
	a.log.Error("a call on system.sock failed", "err", err)
	refuse(w, http.StatusBadGateway, err.Error())
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the caller has gone
}

func refuse(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": reason}) //nolint:errcheck // the caller has gone
}
