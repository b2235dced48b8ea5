// Package cache keeps a program and the media it needs, so that the screen plays without network for as long as it must.
// Media are kept by content, downloaded beside and renamed once they are verified. A program is taken as a whole: the old
// one stays until everything of the new one is here.
//
// Below its folder lie program.json and program.old.json (what plays, and what did before), media (files by content), parts
// (downloads that are not complete, each with what is known of it) and urls (what came from addresses whose content the
// server does not say). Files and names are synced before anybody hears of them.
package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/packages/internal/program"
)

// Source is where media come from (link.Link).
type Source interface {
	// Get opens a medium from an offset in bytes on. From says where the answer really begins: 0 where the server cannot resume.
	// Size is the medium's, -1 where the server does not say. Tag is the entity tag; a download is resumed only where it is
	// still the same. Errors: ErrGone when the server does not have it (any more), ErrServer when it answered with a failure
	// of its own; any other means that it could not be reached, and is waited out.
	Get(ctx context.Context, url string, offset int64, tag string) (*Part, error)
}

// What a Source says besides.
var (
	// ErrGone means that the server does not have the medium (any more): 404, 410.
	ErrGone = errors.New("the server does not have it any more")
	// ErrServer means that the server was there and did not hand the medium out: 403, 416, 500 and the like.
	ErrServer = errors.New("the server does not hand it out")
)

// Part is an answer to Get. The caller closes Body.
type Part struct {
	Body       io.ReadCloser
	From, Size int64
	// Tag is the entity tag (else Last-Modified), as the server wrote it; empty where it sends neither.
	Tag string
}

// State is what the cache can say, for player.sock.
type State struct {
	// Revision is that of the program that plays, Coming that of one whose media are being fetched, 0 for none.
	Revision int64 `json:"revision"`
	Coming   int64 `json:"coming,omitempty"`
	// Files and Bytes are of media that are here, Missing and MissingBytes of those that are still to come.
	Files        int   `json:"files"`
	Bytes        int64 `json:"bytes"`
	Missing      int   `json:"missing"`
	MissingBytes int64 `json:"missing_bytes"`
	// Limit bounds Bytes.
	Limit int64 `json:"limit"`
	// Fetching is the name of the medium that comes in now, Done and Size how much of it.
	Fetching string `json:"fetching,omitempty"`
	Done     int64  `json:"done,omitempty"`
	Size     int64  `json:"size,omitempty"`
	// Problem says in a sentence what is in the way, or is empty.
	Problem string `json:"problem,omitempty"`
	// Failed are media that were given up for now, with why.
	Failed []Failed `json:"failed,omitempty"`
}

// Failed is a medium that could not be had.
type Failed struct {
	Name   string    `json:"name"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Config says where the cache lies and whom it talks to.
type Config struct {
	Log *slog.Logger
	// Dir is the cache's own folder. It is made if need be.
	Dir string
	// Limit bounds the media in bytes, those of downloads included; 0: whatever the disk has besides Reserve.
	Limit int64
	// Reserve is how many bytes of the disk stay free for everything else; 0 means 5 % of it, at least 64 MB, at most 512 MB.
	Reserve int64
	Source  Source
	// Now is the time of day, for what people read and for what was played last (clock.Clock.Now).
	Now func() time.Time
	// Ready is called by Run with each program that can be played: media that are not here are left out. It may be called again
	// with the same revision, when more of it is here.
	Ready func(program.Program)
}

// Cache is a cache of a program and its media. All methods may be called by any goroutine.
type Cache struct {
	cfg  Config
	wake chan struct{}
	// syncEvery is the constant, except in tests with small files.
	syncEvery int64

	mu      sync.Mutex
	disk    disk             // guarded by mu
	playing *program.Program // what plays, whole, with what is missing; guarded by mu
	coming  *program.Program // what shall, guarded by mu
	wanted  *program.Program // the last Want, guarded by mu
	said    []byte           // the same as it was wanted last, without its time; guarded by mu
	unsaved bool             // playing is not on the disk yet; guarded by mu
	stored  *program.Program // what is on the disk, if that is another; guarded by mu
	heard   time.Time        // when Want was called last; guarded by mu
	shown   *program.Program // what Ready was last told, or Current at the start; guarded by mu
	met     time.Time        // when the source's server has answered last, guarded by mu
	turn    int              // counts programs; guarded by mu

	// starving says whether media of what plays are given up for what is coming, ration which is kept. Guarded by mu.
	starving hunger
	ration   string

	checked  map[string]bool     // addresses that were asked for changes since the last Want; guarded by mu
	failures map[string]*failure // by key of the medium; guarded by mu
	current  *progress           // what is being fetched; guarded by mu
	problems problems            // guarded by mu
}

// problems are sentences about what is in the way, empty where nothing is.
type problems struct{ storage, damage, server, program string }

// progress is of a download.
type progress struct {
	key, name  string
	done, size int64
	cancel     context.CancelFunc
}

// New returns the cache with what is on the disk. It needs no network, and no working disk either: State then says what is wrong.
func New(cfg Config) *Cache {
	c := &Cache{
		cfg: cfg, wake: make(chan struct{}, 1), syncEvery: syncEvery,
		checked: map[string]bool{}, failures: map[string]*failure{},
	}
	c.load()
	return c
}

// Run fetches what is wanted, and checks what is here, until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { c.work(ctx); return nil })
	g.Go(func() error { c.scrub(ctx); return nil })
	return g.Wait()
}

// Want says which program the server wants to be played. What is missing is fetched, then Ready is called; what plays stays
// until then. The newest wins. Interruptions come into force as soon as they can be shown, without waiting for the rest. To
// say the same again costs nothing, and tells that the server is there: media that cannot be reached are then their own fault.
func (c *Cache) Want(p program.Program) {
	p = clone(p)
	if err := p.Validate(); err != nil {
		c.cfg.Log.Error("the server's program is wrong; the old one goes on", "err", err)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.problems.program = fmt.Sprintf("The server sent a program that is wrong (%v), so the old one goes on. Update the server, or look at its playlists.", err)
		return
	}
	timeless := p
	timeless.Time = time.Time{}
	said, err := json.Marshal(timeless)
	if err != nil {
		c.cfg.Log.Error("the server's program cannot be kept", "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = time.Now()
	c.problems.program = ""
	if bytes.Equal(said, c.said) {
		return // it is on its way, or plays
	}
	c.said, c.wanted, c.coming = said, &p, &p
	c.renew()
}

// renew begins anew with what is wanted. It needs mu.
func (c *Cache) renew() {
	c.turn++
	c.starving = fed
	clear(c.checked)
	keep := c.needed()
	for key, f := range c.failures {
		if !keep[key] {
			delete(c.failures, key)
		}
		f.next = time.Time{}
	}
	if c.current != nil && !keep[c.current.key] {
		c.current.cancel()
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Current is the program that can be played now, without the media that are not here; false when there has never been one.
func (c *Cache) Current() (program.Program, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.playing == nil {
		return program.Program{}, false
	}
	return c.onScreen(*c.playing), true
}

// Open opens a medium by its SHA-256 in hex, for reading; fs.ErrNotExist (errors.Is) while it is not here. It counts as played.
func (c *Cache) Open(sha256 string) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	file, ok := c.disk.files[sha256]
	if !ok || !file.good {
		return nil, fmt.Errorf("open medium %.12s: %w", sha256, fs.ErrNotExist)
	}
	f, err := os.Open(c.disk.path(mediaDir, sha256))
	if err != nil && !isDamage(err) {
		return nil, fmt.Errorf("open medium: %w", err)
	}
	if err != nil {
		c.lost(sha256, "it is not there any more")
		return nil, fmt.Errorf("open medium %.12s: %w", sha256, fs.ErrNotExist)
	}
	if st, err := f.Stat(); err != nil || st.Size() != file.size {
		f.Close()
		c.lost(sha256, "it has another size")
		return nil, fmt.Errorf("open medium %.12s: %w", sha256, fs.ErrNotExist)
	}
	c.disk.touch(sha256, c.cfg.Now())
	return f, nil
}

// State says how far the cache is.
func (c *Cache) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Limit: c.limit()}
	target := c.playing
	if c.playing != nil {
		s.Revision = c.playing.Revision
	}
	if c.coming != nil {
		s.Coming, target = c.coming.Revision, c.coming
	}
	for _, f := range c.disk.files {
		s.Files++
		s.Bytes += f.size
	}
	if target != nil {
		for _, m := range c.media(*target) {
			if c.here(m) {
				continue
			}
			s.Missing++
			s.MissingBytes += max(0, m.size-c.disk.parts[m.key])
			if f := c.failures[m.key]; f != nil && f.out {
				s.Failed = append(s.Failed, Failed{Name: m.name, Reason: f.reason, Time: f.at})
			}
		}
	}
	if s.Missing > len(s.Failed) {
		s.Coming = target.Revision
	}
	if c.current != nil {
		s.Fetching, s.Done, s.Size = c.current.name, c.current.done, c.current.size
	}
	for _, text := range []string{c.problems.storage, c.problems.damage, c.problems.server, c.problems.program} {
		if text != "" {
			s.Problem = text
			break
		}
	}
	return s
}
