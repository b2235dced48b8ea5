package route

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"porthole/packages/internal/identity"
)

// retrySeconds is how soon a page about a dead process loads again; a process is restarted after one second.
const retrySeconds = 2

// TLSHeader tells a backend what the client negotiated, as door.TLSName has it.
const TLSHeader = "Porthole-TLS"

// HTTPSPortHeader tells console where the same is with TLS, on what came without.
const HTTPSPortHeader = "Porthole-HTTPS-Port"

type (
	identityKey struct{}
	tlsKey      struct{}
)

// negotiated is what a client's connection came to.
type negotiated struct {
	name    string
	vouched bool
}

// WithTLS is the context of a client's connection with what it negotiated, and whether its certificate is for the name that the
// client asked for, and everybody trusts it.
func WithTLS(ctx context.Context, name string, vouched bool) context.Context {
	return context.WithValue(ctx, tlsKey{}, negotiated{name, vouched})
}

// strictTransport makes browsers come to this name by TLS only, for half a year (RFC 6797 section 6.1).
const strictTransport = "max-age=15768000"

// strict says so to those who have seen a certificate that they need not be told to trust: with any other, who is told so would
// be locked out.
func strict(w http.ResponseWriter, r *http.Request) {
	if t, ok := r.Context().Value(tlsKey{}).(negotiated); ok && t.vouched {
		w.Header().Set("Strict-Transport-Security", strictTransport)
	}
}

// withIdentity makes the backend put id on what it forwards.
func withIdentity(r *http.Request, id identity.Identity) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
}

// backend forwards requests to one process.
type backend struct {
	log     *slog.Logger
	process string
	stall   time.Duration
	// httpsPort is where the same is with TLS, for who came without; 0 if it does not matter.
	httpsPort int
	// down makes the log name a dead process once, not once per request.
	down  atomic.Bool
	proxy httputil.ReverseProxy
}

// newBackend returns a handler that forwards requests that have an origin to the named process.
func (cfg Config) newBackend(process string, t http.RoundTripper) *backend {
	b := &backend{log: cfg.Log, process: process, stall: cfg.Stall}
	b.proxy = httputil.ReverseProxy{
		Transport:      t,
		Rewrite:        b.rewrite,
		ModifyResponse: b.answered,
		ErrorHandler:   b.failed,
		// Events, live pictures and long polls must not wait for a buffer to fill.
		FlushInterval: -1,
		BufferPool:    &buffers{},
		ErrorLog:      slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, done := boundBody(w, r, b.stall)
	defer done()
	b.proxy.ServeHTTP(w, r)
}

// rewrite addresses the process and replaces what a client says about itself by what we know. It runs after the
// client's hop-by-hop headers are gone, so none of them can remove ours.
func (b *backend) rewrite(pr *httputil.ProxyRequest) {
	pr.Out.URL.Scheme, pr.Out.URL.Host = "http", b.process
	h := pr.Out.Header
	for k := range h {
		if claims(k) {
			delete(h, k)
		}
	}
	for k := range pr.Out.Trailer {
		if claims(k) {
			delete(pr.Out.Trailer, k)
		}
	}
	from := originOf(pr.In)
	h.Set("X-Forwarded-For", from.client)
	h.Set("X-Forwarded-Proto", from.scheme)
	h.Set("X-Forwarded-Host", from.host)
	if from.near {
		h.Set(NearHeader, "1")
	}
	if b.httpsPort != 0 {
		h.Set(HTTPSPortHeader, strconv.Itoa(b.httpsPort))
	}
	if t, ok := pr.In.Context().Value(tlsKey{}).(negotiated); ok {
		h.Set(TLSHeader, t.name)
	}
	if id, ok := pr.In.Context().Value(identityKey{}).(identity.Identity); ok {
		if err := identity.Set(h, id); err != nil {
			b.log.Error("forwarding without identity", "err", err)
		}
	}
}

// claims reports whether a header says who the client is or where it comes from.
func claims(header string) bool {
	k := http.CanonicalHeaderKey(header)
	return strings.HasPrefix(k, "X-Forwarded-") || k == "Forwarded" || k == "X-Real-Ip" || strings.HasPrefix(k, "Porthole-")
}

func (b *backend) answered(res *http.Response) error {
	// Only the door knows: see strict.
	res.Header.Del("Strict-Transport-Security")
	if b.down.Load() && b.down.Swap(false) {
		b.log.Info("process answers again", "backend", b.process)
	}
	return nil
}

func (b *backend) failed(w http.ResponseWriter, r *http.Request, err error) {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		tooLarge(large.Limit).send(w, r)
		return
	}
	if tooSlow(r) {
		notice{Status: http.StatusRequestTimeout, Title: "The upload stood still",
			Text: "The upload stood still for too long. Try again; a large file goes on where it stopped."}.send(w, r)
		return
	}
	if r.Context().Err() != nil {
		// The client has gone: nobody reads an answer.
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to drop a connection without an answer
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" && !b.down.Swap(true) {
		b.log.Warn("process does not answer", "backend", b.process, "err", err)
	}
	down(b.process).send(w, r)
}

// down is the notice about a process that does not answer.
func down(process string) notice {
	title := "The console is not running"
	if process == "signaling" {
		title = "The live view is not running"
	}
	return notice{Status: http.StatusBadGateway, Process: process, RetrySeconds: retrySeconds, Title: title,
		Text: "The process “" + process + "” does not answer. It is started again by itself; if it does not come back, look at its log or restart the device."}
}
