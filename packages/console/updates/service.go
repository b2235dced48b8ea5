package updates

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"porthole/packages/internal/retry"
	"porthole/packages/internal/update"
)

// Keeper is console's database, as far as updates need it.
type Keeper interface {
	// Noted returns what Note was given last; empty if nothing.
	Noted(context.Context) (string, error)
	// Note keeps mark, and what became of an update, in the audit log.
	Note(ctx context.Context, mark string, e Entry) error
}

// Entry is a line of the audit log: a sentence's predicate.
type Entry struct{ Who, Remote, What string }

// Options say whom a Service serves.
type Options struct {
	Log *slog.Logger
	// Socket is system.sock.
	Socket string
	Keeper Keeper
	Fetch  FetchOptions
}

// Person is who asks for something.
type Person struct{ Name, Remote string }

// Wish is what becomes of an update.
type Wish struct {
	// Downgrade takes it even if it is older than what runs.
	Downgrade bool `json:"downgrade"`
	// Install restarts into it by itself when all of it is there.
	Install bool `json:"install"`
}

// Service brings updates to system. Its methods may be called by several at once; their errors are Problems, or ours.
type Service struct {
	log    *slog.Logger
	engine *engine
	keeper Keeper
	fetch  FetchOptions
	jobs   chan job
	wake   chan struct{}

	mu sync.Mutex // guards what follows
	// offered is what parts belong to, sending how many of them are on their way.
	offered offer
	sending int
	// busy says who sends or fetches a whole file.
	busy string
	last *Fetch
	stop context.CancelFunc // ends the job
}

// offer is a manifest that system has taken.
type offer struct {
	id       string
	manifest update.Manifest
	by       Person
	install  bool
}

// View is all there is to say.
type View struct {
	update.Status
	// Fetch is about the address that an update comes from, or came from; nil if it is not from one.
	Fetch *Fetch `json:"fetch,omitempty"`
	// InstallWhenReady says that the device restarts into it by itself.
	InstallWhenReady bool `json:"install_when_ready,omitempty"`
	// Sending says that somebody sends or fetches it now; else a phase of update.Receiving goes on when the same is sent again.
	Sending bool `json:"sending,omitempty"`
}

// New returns a Service that does nothing but answer until Run.
func New(o Options) *Service {
	return &Service{log: o.Log, engine: newEngine(o.Socket), keeper: o.Keeper, fetch: o.Fetch, jobs: make(chan job, 1), wake: make(chan struct{}, 1)}
}

// Close drops idle connections.
func (s *Service) Close() { s.engine.close() }

// View asks system how far the update is.
func (s *Service) View(ctx context.Context) (View, error) {
	status, err := s.engine.status(ctx)
	if err != nil {
		return View{}, err
	}
	if active(status.Phase) {
		s.look()
	}
	return s.view(status), nil
}

func (s *Service) view(status update.Status) View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := View{Status: status, Sending: s.sending > 0 || s.busy != ""}
	if s.last != nil {
		f := *s.last
		v.Fetch = &f
	}
	v.InstallWhenReady = s.offered.install && s.offered.id == status.ID && status.ID != "" && (status.Phase == update.Receiving || status.Phase == update.Ready)
	return v
}

// active reports whether something will change by itself.
func active(p update.Phase) bool {
	return p == update.Receiving || p == update.Restarting || p == update.Trying
}

// look makes Run look at what system does.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Offer has system check a manifest. The parts that are update.Waiting then have to be sent.
func (s *Service) Offer(ctx context.Context, by Person, manifest, signature []byte, w Wish) (View, error) {
	s.mu.Lock()
	busy := s.busy
	s.mu.Unlock()
	if busy != "" {
		return View{}, problem(http.StatusConflict, "Another update is on its way: %s. Wait for its end, or call it off.", busy)
	}
	status, err := s.offer(ctx, by, manifest, signature, w)
	if err != nil {
		return View{}, err
	}
	s.mu.Lock()
	s.last = nil
	s.mu.Unlock()
	return s.view(status), nil
}

func (s *Service) offer(ctx context.Context, by Person, manifest, signature []byte, w Wish) (update.Status, error) {
	m, err := update.ParseManifest(manifest)
	if err != nil {
		return update.Status{}, refused(err)
	}
	if !w.Downgrade {
		if err := s.older(ctx, m); err != nil {
			return update.Status{}, err
		}
	}
	status, err := s.engine.offer(ctx, manifest, signature, w.Downgrade, by.Name)
	if err != nil {
		return status, err
	}
	s.mu.Lock()
	s.offered = offer{id: status.ID, manifest: m, by: by, install: w.Install}
	s.mu.Unlock()
	if status, err = s.settle(ctx, status); err != nil {
		return status, err
	}
	s.log.Info("an update is being sent", "version", m.Version, "from", status.Version, "account", by.Name)
	s.look()
	return status, nil
}

// settleEvery is how often system is asked whether it is done with what broke off before.
const settleEvery = 200 * time.Millisecond

// settle waits until system no longer writes what nobody sends: then that is there, or has to be sent again.
func (s *Service) settle(ctx context.Context, status update.Status) (update.Status, error) {
	for slices.ContainsFunc(status.Parts, func(p update.Part) bool { return p.Step == update.Writing || p.Step == update.ReadBack }) {
		s.mu.Lock()
		sending := s.sending > 0
		s.mu.Unlock()
		if sending || !retry.Pause(ctx, settleEvery) {
			break
		}
		var err error
		if status, err = s.engine.status(ctx); err != nil {
			return status, err
		}
	}
	return status, ctx.Err()
}

// older is a Problem if the update is older than what runs: system refuses it as well, but nobody could tell that from other
// refusals.
func (s *Service) older(ctx context.Context, m update.Manifest) error {
	status, err := s.engine.status(ctx)
	if err != nil {
		return err
	}
	if n, err := update.Compare(m.Version, status.Version); err != nil || n >= 0 {
		return nil //nolint:nilerr // what runs has no version that compares: system decides
	}
	p := bad("The update is %s, older than %s, which runs: what the newer version has stored in a new form may be lost on it. Say so if you want the older one all the same.", m.Version, status.Version)
	p.Code = CodeOlder
	return p
}

// refused makes a Problem of what the reader of updates refuses.
func refused(err error) error {
	var r *update.Refusal
	if errors.As(err, &r) {
		return &Problem{Status: http.StatusUnprocessableEntity, Text: r.Sentence}
	}
	return err
}

// SendPart sends a part as the bundle stores it: length bytes, or -1 if that is not known. The manifest must have been
// offered.
func (s *Service) SendPart(ctx context.Context, name string, r io.Reader, length int64) (View, error) {
	s.mu.Lock()
	p, known := s.offered.manifest.Part(name)
	begun, busy := s.offered.id != "", s.busy
	s.mu.Unlock()
	switch {
	case busy != "":
		return View{}, problem(http.StatusConflict, "Another update is on its way: %s. Wait for its end, or call it off.", busy)
	case !begun:
		return View{}, problem(http.StatusConflict, "Send the manifest of the update first; parts that have arrived need not be sent again.")
	case !known:
		return View{}, problem(http.StatusNotFound, "The update has no part of that name.")
	case length >= 0 && length != p.Stored:
		return View{}, bad("The part %s has %d bytes, the manifest says %d: it is from another file.", name, length, p.Stored)
	}
	s.count(1)
	defer s.count(-1)
	body, err := p.Decode(r)
	if err != nil {
		return View{}, refused(err)
	}
	defer body.Close()
	if err := s.engine.send(ctx, name, p.Size, body); err != nil {
		return View{}, refused(err)
	}
	s.look()
	return s.View(ctx)
}

func (s *Service) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending += n
}

// begin makes everybody else wait; false if somebody is at it.
func (s *Service) begin(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy != "" || s.sending > 0 {
		return problem(http.StatusConflict, "Another update is on its way: %s. Wait for its end, or call it off.", cmp.Or(s.busy, "its parts are being sent"))
	}
	s.busy = what
	return nil
}

func (s *Service) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = ""
}

// Receive takes a whole update file as it comes in. When all that the device needs has come it returns, and may leave the
// rest unread.
func (s *Service) Receive(ctx context.Context, by Person, r io.Reader, w Wish) (View, error) {
	if err := s.begin(by.Name + " sends a file"); err != nil {
		return View{}, err
	}
	defer s.end()
	s.mu.Lock()
	s.last = nil
	s.mu.Unlock()
	if err := s.take(ctx, by, r, w); err != nil {
		return View{}, refused(err)
	}
	return s.View(ctx)
}

// take takes an update apart.
func (s *Service) take(ctx context.Context, by Person, r io.Reader, w Wish) error {
	b, err := update.ReadBundle(r)
	if err != nil {
		return err
	}
	defer b.Close()
	status, err := s.offer(ctx, by, b.Manifest, b.Signature, w)
	if err != nil {
		return err
	}
	s.mu.Lock()
	m := s.offered.manifest
	s.mu.Unlock()
	needed := map[string]bool{}
	for _, p := range status.Parts {
		needed[p.Name] = p.Step == update.Waiting
	}
	for slices.ContainsFunc(m.Parts, func(p update.ManifestPart) bool { return needed[p.Name] }) {
		p, body, err := b.Next(m)
		if err != nil {
			return err // never the end: a part that is needed has not come, and Next says that it should have
		}
		if !needed[p.Name] {
			continue
		}
		if err := s.engine.send(ctx, p.Name, p.Size, body); err != nil {
			return err
		}
		needed[p.Name] = false
	}
	s.look()
	return nil
}

// Install restarts the device into the update that is ready.
func (s *Service) Install(ctx context.Context, by Person) error {
	err := s.engine.order(ctx, http.MethodPost, "/update/install", by.Name)
	s.look()
	return err
}

// Back starts the former version again.
func (s *Service) Back(ctx context.Context, by Person) error {
	err := s.engine.order(ctx, http.MethodPost, "/update/back", by.Name)
	s.look()
	return err
}

// Seen has system say no more that an update went wrong.
func (s *Service) Seen(ctx context.Context, by Person) error {
	return s.engine.order(ctx, http.MethodPost, "/update/seen", by.Name)
}

// Cancel calls the update off.
func (s *Service) Cancel(ctx context.Context, by Person) error {
	s.mu.Lock()
	fetching := s.stop != nil
	if fetching {
		s.stop()
	}
	s.last, s.offered = nil, offer{}
	s.mu.Unlock()
	err := s.engine.order(ctx, http.MethodDelete, "/update", by.Name)
	var p *Problem
	if fetching && errors.As(err, &p) && p.Status == http.StatusConflict {
		return nil // it had not come as far as system
	}
	return err
}
