// Package playerapi speaks with signage players: the calls that DigiServer's players know, and Porthole's own for players that
// decide by themselves. docs/architecture.md has the table of calls.
package playerapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/packages/console/credential"
	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

// Files opens what media are made of.
type Files interface {
	// Open opens a file by its SHA-256 in hex; signage.ErrNotFound or fs.ErrNotExist where there is none. The caller closes it.
	Open(sha256 string) (*os.File, error)
}

// Adder takes new versions of media.
type Adder interface {
	// AddVersion keeps what r holds; Name (which need not be a good one), By, Parent and Version are taken from like.
	AddVersion(ctx context.Context, r io.Reader, like signage.Media) (signage.Media, error)
}

// Hasher checks passwords and codes.
type Hasher interface {
	Matches(ctx context.Context, from credential.Line, secret, phc string) (bool, error)
}

// Config is what an API works with. All but Origins, Open and LongPoll must be given.
type Config struct {
	Log   *slog.Logger
	Store *db.Store
	Files Files
	Adder Adder
	// Refused returns why Adder does not take a file, in words for people; false for an error of another kind.
	Refused func(error) (string, bool)
	Hasher  Hasher
	// Key is the secret that media addresses are made with, 32 random bytes that survive restarts.
	Key []byte
	// Remote is the address of who asks, empty when it is not known.
	Remote func(*http.Request) string
	// Origins are the web sites that may ask with credentials, as https://HOST[:PORT].
	Origins func() []string
	// Open are calls that answer everybody, also without TLS, by pattern: health and certificate.
	Open map[string]http.HandlerFunc
	// LongPoll bounds how long an answer to a player may wait for news; 0 means 55 s.
	LongPoll time.Duration
}

const longPoll = 55 * time.Second

// API is the http.Handler of everything below /api/ that players ask for.
type API struct {
	c   Config
	mux *http.ServeMux

	known     *known
	presence  *presence
	guesses   *guesses
	calls     map[kind]*credential.Buckets[int64]
	strange   *credential.Buckets[netip.Prefix]
	rotations *credential.Buckets[int64]
	right     *credential.Memory
	reports   *reports
	pairings  *pairings
	pictures  *pictures
	refused   *refused
	texts     *texts
	news      *news
	edits     chan struct{}
}

// everything is what players may ask for.
const everything = "/api/"

// maxPlayers is how many players the bounded tables are made for.
const maxPlayers = 8192

// New returns an API. Nothing is kept and nobody who waits hears of news unless Run runs.
func New(c Config) *API {
	if c.LongPoll == 0 {
		c.LongPoll = longPoll
	}
	if c.Origins == nil {
		c.Origins = func() []string { return nil }
	}
	a := &API{
		c: c, mux: http.NewServeMux(),
		known: newKnown(c.Store), presence: newPresence(), guesses: newGuesses(),
		calls: map[kind]*credential.Buckets[int64]{
			fetches: credential.NewBuckets[int64](time.Minute/perMinute, perMinute, maxPlayers),
			tells:   credential.NewBuckets[int64](time.Minute/perMinute, perMinute, maxPlayers),
		},
		strange:   credential.NewBuckets[netip.Prefix](time.Second, strangerCalls, maxPlayers),
		rotations: credential.NewBuckets[int64](rotateEvery, 1, maxPlayers),
		right:     credential.NewMemory(rightFor, maxPlayers),
		reports:   newReports(c.Store),
		pairings:  newPairings(), pictures: newPictures(), refused: newRefused(), texts: newTexts(), news: newNews(),
		edits: make(chan struct{}, 1),
	}
	for pattern, h := range c.Open {
		a.mux.HandleFunc(pattern, h)
	}
	for pattern, h := range map[string]handler{
		"POST /api/auth/player":             a.authPlayer,
		"POST /api/auth/verify":             a.verify,
		"GET /api/playlists":                a.playlistByName,
		"POST /api/playlists":               a.playlistByName,
		"GET /api/playlists/{id}":           a.playlistByID,
		"POST /api/player-feedback":         a.feedback,
		"POST /api/player-edit-media":       a.edit,
		"GET /api/media/{token}/{name}":     a.media,
		"POST /api/pair":                    a.pair,
		"POST /api/pair/token":              a.pairToken,
		"GET /api/players/{id}/program":     a.program,
		"POST /api/players/{id}/screenshot": a.screenshot,
	} {
		a.mux.HandleFunc(pattern, a.answer(h))
	}
	a.mux.HandleFunc(everything, a.answer(a.nothingHere))
	return a
}

// ServeHTTP answers a player, a browser's script, or somebody with curl.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.cors(w, r) {
		return
	}
	a.mux.ServeHTTP(w, r)
}

// Run keeps what players tell and wakes those who wait for news, until ctx ends; then it keeps the rest.
func (a *API) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.reports.run(ctx) })
	g.Go(func() error { return a.watch(ctx) })
	g.Go(func() error { return a.keepPresence(ctx) })
	return g.Wait()
}

// watch passes on what the store says of changes: one waits for all players.
func (a *API) watch(ctx context.Context) error {
	for {
		revision := a.c.Store.Revision()
		a.news.tell()
		if !a.c.Store.WaitOther(ctx, revision) {
			return nil
		}
	}
}

// handler answers a request, or says why not.
type handler func(http.ResponseWriter, *http.Request) error
