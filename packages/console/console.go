package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"golang.org/x/sync/errgroup"

	"porthole/packages/console/acme"
	"porthole/packages/console/credential"
	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/library"
	"porthole/packages/console/signage/playerapi"
	"porthole/packages/console/updates"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
)

// longPoll is how long a follower of settings is kept waiting; docs/architecture.md promises at most 55 s.
const longPoll = 55 * time.Second

// Options say how console runs.
type Options struct {
	Env daemon.Env
	// Builtin cameras are shown first and cannot be changed in the web page. They are normalized.
	Builtin []settings.Camera
	// Decoder is the program that looks into uploaded videos, Libraries the folders that it may load from.
	Decoder   string
	Libraries []string
	// ClaimWindow is how long after power-on the device can be claimed; 0 means half an hour.
	ClaimWindow time.Duration
	// Uptime is how long the device has been on; nil: what the kernel says, or with Env.SingleUser since console started.
	Uptime func() time.Duration
	// LongPoll is how long a follower of settings waits for news; 0 means 55 s.
	LongPoll time.Duration
	// Share holds porthole/licences.json, porthole/sbom.cdx.json and licenses/; empty means /usr/share.
	Share string
}

type console struct {
	log      *slog.Logger
	env      daemon.Env
	builtin  []settings.Camera
	longPoll time.Duration

	store    *store
	signage  *db.Store
	players  *playerapi.API
	hasher   *credential.Hasher
	library  *library.Library
	sessions *scs.SessionManager
	auth     *authenticator
	backends *backends
	// onceCodes are quick-connect codes for their maker's next page.
	onceCodes onceCodes
	// onceTokens are API tokens for the same, by their numbers.
	onceTokens onceCodes
	transfers  *transfers
	// answers are for servers that look at our names, acme gets certificates from them.
	answers *acme.Answers
	acme    *acme.Manager
	// updates brings new versions to system.
	updates *updates.Service
	// share has the licences of what this is made of, and the list of parts.
	share  string
	pages  map[string]*template.Template
	assets map[string]asset

	claims, pairTries *credential.Limiter

	// editing is held while an operation on a playlist looks at what is there and then changes it.
	editing sync.Mutex

	// claimWindow and uptime are those of the Options.
	claimWindow time.Duration
	uptime      func() time.Duration
}

// Run serves console's two sockets until ctx ends or something fails that a restart may mend. A damaged database is
// such a failure: it is reported and left as it is.
func Run(ctx context.Context, o Options) error {
	s, err := openStore(ctx, filepath.Join(o.Env.PermDir, "console", "porthole.db"))
	if err != nil {
		return err
	}
	err = run(ctx, o, s)
	return errors.Join(err, s.close())
}

// newConsole puts console together over its database. The caller closes its backends.
func newConsole(ctx context.Context, o Options, s *store) (*console, error) {
	if err := s.firstStart(ctx, o.Builtin); err != nil {
		return nil, fmt.Errorf("prepare database: %w", explain(err))
	}
	c := &console{
		log: o.Env.Log, env: o.Env, builtin: o.Builtin, longPoll: o.LongPoll,
		store: s, signage: db.New(s), hasher: credential.NewHasher(), claims: credential.NewLimiter(),
		pairTries: credential.NewLimiter(), transfers: newTransfers(),
		answers: acme.NewAnswers(),
	}
	if c.longPoll == 0 {
		c.longPoll = longPoll
	}
	c.share = cmp.Or(o.Share, "/usr/share")
	c.claimWindow, c.uptime = cmp.Or(o.ClaimWindow, claimWindow), o.Uptime
	if c.uptime == nil {
		c.uptime = uptimeClock(o.Env.SingleUser)
	}
	if err := c.ownScreen(ctx); err != nil {
		return nil, fmt.Errorf("prepare database: %w", explain(err))
	}
	c.sessions = newSessions(s, c.sessionFailed)
	key, err := s.deviceKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare database: %w", explain(err))
	}
	c.auth = newAuthenticator(s, c.sessions, c.hasher, credential.NewDevices(key), c.note)
	if c.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if c.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if c.library, err = library.New(ctx, c.libraryOptions(o)); err != nil {
		return nil, err
	}
	if c.players, err = c.newPlayers(ctx); err != nil {
		return nil, err
	}
	if err := checkRoutes(c.routes()); err != nil {
		return nil, err
	}
	c.backends = newBackends(o.Env)
	c.acme = c.newACME()
	c.updates = updates.New(c.updatesOptions())
	return c, nil
}

func run(ctx context.Context, o Options, s *store) error {
	c, err := newConsole(ctx, o, s)
	if err != nil {
		return err
	}
	defer c.backends.close()
	defer c.updates.Close()
	public, err := unixsock.Listen(o.Env.Socket("console"), unixsock.Allow(o.Env.SingleUser, "proxy"))
	if err != nil {
		return err
	}
	defer public.Close()
	internal, err := unixsock.Listen(o.Env.Socket("console-internal"),
		unixsock.Allow(o.Env.SingleUser, "proxy", "signaling", "player"))
	if err != nil {
		return err
	}
	defer internal.Close()
	validations, err := unixsock.Listen(o.Env.Socket("acme"), unixsock.Allow(o.Env.SingleUser, "proxy"))
	if err != nil {
		return err
	}
	defer validations.Close()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return unixsock.Serve(ctx, public, c.publicHandler()) })
	g.Go(func() error { return unixsock.Serve(ctx, internal, c.internalHandler()) })
	g.Go(func() error { return c.prune(ctx) })
	g.Go(func() error { return c.players.Run(ctx) })
	g.Go(func() error { return c.provision(ctx) })
	g.Go(func() error { return c.library.Run(ctx) })
	g.Go(func() error { return c.takeTransfers(ctx) })
	g.Go(func() error { return c.validations(ctx, validations) })
	g.Go(func() error { return c.acme.Run(ctx) })
	g.Go(func() error { return c.updates.Run(ctx) })
	return g.Wait()
}
