package acme_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/integration/acmetest"
	"porthole/packages/console/acme"
	"porthole/packages/internal/certs"
)

const within = 90 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	acmetest.Clean()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// keeper keeps in memory; it can be told to die at a change, as a power cut does.
type keeper struct {
	mu   sync.Mutex
	m    map[string][]byte
	gate func(changes map[string][]byte) error
}

func (k *keeper) Load(_ context.Context, key string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return bytes.Clone(k.m[key]), nil
}

func (k *keeper) Save(_ context.Context, changes map[string][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gate != nil {
		if err := k.gate(changes); err != nil {
			return err
		}
	}
	if k.m == nil {
		k.m = map[string][]byte{}
	}
	for key, v := range changes {
		if v == nil {
			delete(k.m, key)
			continue
		}
		k.m[key] = bytes.Clone(v)
	}
	return nil
}

// shelf is where pairs are published to.
type shelf struct {
	mu    sync.Mutex
	pairs map[string]tls.Certificate
	whys  []string
	fail  error
}

func (s *shelf) Publish(_ context.Context, name string, chain, key []byte, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err
	}
	if s.pairs == nil {
		s.pairs = map[string]tls.Certificate{}
	}
	s.pairs[name] = pair
	s.whys = append(s.whys, name+": "+why)
	return nil
}

func (s *shelf) said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.whys)
}

func (s *shelf) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *shelf) Unpublish(_ context.Context, name, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pairs, name)
	return nil
}

func (s *shelf) Published(context.Context) (map[string]string, error) {
	m := map[string]string{}
	for name, p := range s.all() {
		m[name] = certs.Fingerprint(p.Leaf)
	}
	return m, nil
}

func (s *shelf) all() map[string]tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.pairs)
}

// world is a device with its two ports, and what it needs around it.
type world struct {
	t       *testing.T
	keeper  *keeper
	shelf   *shelf
	answers *acme.Answers
	// TLS and HTTP are the ports that servers look at.
	TLS, HTTP int
	options   acme.Options
	log       bytes.Buffer
	logMu     sync.Mutex
	manager   *acme.Manager
	halt      func()
}

func (w *world) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, keeper: &keeper{}, shelf: &shelf{}, answers: acme.NewAnswers(), TLS: acmetest.FreePort(t), HTTP: acmetest.FreePort(t)}
	w.options = acme.Options{
		Log: slog.New(slog.NewTextHandler(w, nil)), Keeper: w.keeper, Publisher: w.shelf, Answers: w.answers, Version: "test",
		Production: "https://127.0.0.1:1/none", Staging: "https://127.0.0.1:1/none", PollInterval: 50 * time.Millisecond,
		Port80: func() bool { return true },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
		},
	}
	return w
}

// open443 answers on the port of TLS until the test ends.
func (w *world) open443() {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.TLS))
	if err != nil {
		w.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.answers.ServeTLS(context.Background(), c) })
		}
	})
	w.t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

// open80 answers on the port of HTTP until the test ends.
func (w *world) open80() {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", w.HTTP))
	if err != nil {
		w.t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		if said, ok := w.answers.HTTP01(token); ok {
			rw.Write([]byte(said))
			return
		}
		http.NotFound(rw, r)
	})}
	go s.Serve(l)
	w.t.Cleanup(func() { s.Close() })
}

// want keeps settings, as the console does.
func (w *world) want(s acme.Settings) {
	w.t.Helper()
	s, wrong := s.Normalize()
	if len(wrong) > 0 {
		w.t.Fatal(wrong[0])
	}
	changes, err := acme.NewSettings(s)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.keeper.Save(w.t.Context(), changes); err != nil {
		w.t.Fatal(err)
	}
	if w.manager != nil {
		w.manager.Changed()
	}
}

// run starts a Manager, as a start of the device does.
func (w *world) run() {
	w.t.Helper()
	w.manager = acme.New(w.options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.manager.Run(ctx) }()
	w.halt = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(w.halt)
}

// until waits for what f asks of the status.
func (w *world) until(what string, f func(acme.Status) bool) acme.Status {
	w.t.Helper()
	var s acme.Status
	acmetest.Until(w.t, within, func() error {
		if s = w.manager.Status(); f(s) {
			return nil
		}
		w.logMu.Lock()
		defer w.logMu.Unlock()
		return fmt.Errorf("%s: %+v\n%s", what, s, w.log.String())
	})
	return s
}

// served waits until so many pairs are in service and the Manager rests.
func (w *world) served(n int) acme.Status {
	w.t.Helper()
	return w.until(fmt.Sprintf("%d pairs", n), func(s acme.Status) bool { return len(s.Pairs) == n && s.Trouble == "" && !s.Busy })
}

// failed waits for trouble.
func (w *world) failed() acme.Status {
	w.t.Helper()
	return w.until("trouble", func(s acme.Status) bool { return s.Trouble != "" && !s.Busy })
}

// leaf returns a pair's certificate, which has to be good for the names below the root.
func (w *world) leaf(pair, rootPEM string, names ...string) *x509.Certificate {
	w.t.Helper()
	c, ok := w.shelf.all()[pair]
	if !ok {
		w.t.Fatalf("%s is not published", pair)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		w.t.Fatal(err)
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(rootPEM))
	for _, der := range c.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			w.t.Fatal(err)
		}
		between.AddCert(cert)
	}
	for _, n := range names {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: n, Roots: roots, Intermediates: between}); err != nil {
			w.t.Errorf("%s for %s: %v", pair, n, err)
		}
	}
	return leaf
}

func (w *world) chainPEM(pair string) []byte {
	w.t.Helper()
	c := w.shelf.all()[pair]
	var b bytes.Buffer
	for _, der := range c.Certificate {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			w.t.Fatal(err)
		}
	}
	return b.Bytes()
}

func (w *world) pebble(o acmetest.PebbleOptions) (*acmetest.Pebble, *acmetest.BIND) {
	w.t.Helper()
	bind := acmetest.StartBIND(w.t)
	o.HTTPPort, o.TLSPort, o.DNS = w.HTTP, w.TLS, bind.Address
	w.options.Resolvers = []string{bind.Address}
	return acmetest.StartPebble(w.t, o), bind
}

func ask(p *acmetest.Pebble, names ...string) acme.Settings {
	return acme.Settings{Names: names, Directory: p.Directory, RootPEM: p.RootPEM, Agreed: true, RSA: true, Email: "me@example.org"}
}

var errCut = errors.New("the power is cut")
