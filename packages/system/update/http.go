package update

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"porthole/packages/internal/update"
)

const (
	// maxWho bounds who wants something, in bytes.
	maxWho = 200
	// maxOffer bounds an offer: a manifest in base64, a signature and the rest, in bytes.
	maxOffer = 2*update.MaxManifest + 2*update.MaxSignature + 4<<10
	// silence is how long nothing may come of a part.
	silence = 2 * time.Minute
)

// Register adds the calls to system.sock (docs/architecture.md). guard keeps calls that change something from others than
// console.
func (e *Engine) Register(mux *http.ServeMux, guard func(http.HandlerFunc) http.Handler) {
	mux.HandleFunc("GET /update", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, e.Status()) })
	mux.Handle("POST /update", guard(e.serveOffer))
	mux.Handle("PUT /update/parts/{name}", guard(e.servePart))
	mux.Handle("POST /update/install", guard(e.asked(http.StatusAccepted, func(r *http.Request, who string) error { return e.Install(r.Context(), who) })))
	mux.Handle("POST /update/back", guard(e.asked(http.StatusAccepted, func(r *http.Request, who string) error { return e.Back(r.Context(), who) })))
	mux.Handle("POST /update/seen", guard(e.asked(http.StatusNoContent, func(_ *http.Request, who string) error { return e.Seen(who) })))
	mux.Handle("DELETE /update", guard(e.asked(http.StatusNoContent, func(_ *http.Request, who string) error { return e.CallOff(who) })))
}

func (e *Engine) serveOffer(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Manifest  []byte
		Signature string
		Downgrade bool
		Who       string
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOffer)).Decode(&in); err != nil || in.Who == "" || len(in.Who) > maxWho {
		answer(w, http.StatusBadRequest, problem(fmt.Sprintf("send {\"manifest\":…,\"signature\":…,\"who\":…}, who of 1 to %d bytes", maxWho)))
		return
	}
	s, err := e.Offer(r.Context(), Offer{Manifest: in.Manifest, Signature: in.Signature, Downgrade: in.Downgrade, Who: in.Who})
	if err != nil {
		e.fail(w, err)
		return
	}
	answer(w, http.StatusOK, s)
}

// servePart writes a part. Its answer comes when it was read back.
func (e *Engine) servePart(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength < 0 {
		answer(w, http.StatusLengthRequired, problem("send the part with its Content-Length"))
		return
	}
	b := &body{r: r.Body, conn: http.NewResponseController(w)}
	if err := e.PutPart(r.Context(), r.PathValue("name"), b, r.ContentLength); err != nil {
		e.fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// body is what comes of a part: it ends when nothing comes for too long, or when the part is no longer wanted.
type body struct {
	r    io.Reader
	conn *http.ResponseController

	mu      sync.Mutex // guards what follows, and the order of deadlines
	stopped bool
}

// Read reads on as long as something comes.
func (b *body) Read(p []byte) (int, error) {
	if err := b.wait(); err != nil {
		return 0, err
	}
	return b.r.Read(p)
}

func (b *body) wait() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return os.ErrDeadlineExceeded
	}
	return b.conn.SetReadDeadline(time.Now().Add(silence))
}

// Interrupt ends a Read that waits, and all that follow.
func (b *body) Interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // the connection has gone then
}

// asked answers a call that says who wants something.
func (e *Engine) asked(status int, do func(r *http.Request, who string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Who string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in); err != nil || in.Who == "" || len(in.Who) > maxWho {
			answer(w, http.StatusBadRequest, problem(fmt.Sprintf("send {\"who\":…}, 1 to %d bytes", maxWho)))
			return
		}
		if err := do(r, in.Who); err != nil {
			e.fail(w, err)
			return
		}
		w.WriteHeader(status)
	}
}

// fail answers with what is wrong.
func (e *Engine) fail(w http.ResponseWriter, err error) {
	status := http.StatusBadGateway
	switch refused, inTheWay := IsRefusal(err); {
	case inTheWay:
		status = http.StatusConflict
	case refused:
		status = http.StatusUnprocessableEntity
	default:
		e.cfg.Log.Error("updates: a call on system.sock failed", "err", err)
	}
	answer(w, status, problem(err.Error()))
}

func problem(text string) map[string]string { return map[string]string{"error": text} }

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the caller has gone
}
