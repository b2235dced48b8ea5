// Package library keeps the files that screens show: it takes uploads of any size and goes on with them after any
// interruption, looks at what a file really is, keeps each content once under its SHA-256, makes thumbnails and serves both.
//
// Below its folder lie media (files by content), thumbs (their thumbnails) and uploads (what is not complete yet). Whatever
// is acknowledged is on the disk: contents, names and folders are synced before anybody hears of them.
package library

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"porthole/packages/console/signage"
	"porthole/packages/internal/durable"
)

// Index is the database's part: which media there are.
type Index interface {
	// AddMedia makes the name unique and returns the medium with its id.
	AddMedia(ctx context.Context, m signage.Media) (signage.Media, error)
	AllMedia(ctx context.Context) ([]signage.Media, error)
	// HashesInUse has true for each content that a medium has.
	HashesInUse(ctx context.Context) (map[string]bool, error)
}

// Options say where files lie and what may be done to them.
type Options struct {
	Log *slog.Logger
	// Dir is the folder of it all. It is made if need be.
	Dir   string
	Index Index
	// Decoder is the program that looks into videos and large photos (overlays/decoder), Libraries the folders that it may load from.
	Decoder   string
	Libraries []string
	// Reserve is how many bytes stay free for the database and everything else; 0 means 5 % of the disk, at least 64 MB, at
	// most 512 MB.
	Reserve int64
	// Expire is how long an upload may rest before it is removed; 0 means 7 days.
	Expire time.Duration
}

// Defaults and limits.
const (
	defaultExpire = 7 * 24 * time.Hour
	// maxFile is the largest file that is taken, in bytes: what a card can hold is said by its free space.
	maxFile = 64 << 30
	// atOnce is how many files are looked at, or get a thumbnail, at the same time.
	atOnce = 2
	// cleanEvery is how often leftovers are looked for, scrubEvery how often a stored file is read again.
	cleanEvery = time.Hour
	scrubEvery = 6 * time.Hour
	// copyBuffer is how much is read at once, in bytes.
	copyBuffer = 256 << 10
	dirMode    = 0o700
	fileMode   = 0o600
)

// Library is a running library. All methods may be called by any goroutine.
type Library struct {
	log   *slog.Logger
	opts  Options
	index Index

	children *semaphore.Weighted // of atOnce: decoder children, and decoding here
	remaking *semaphore.Weighted // of atOnce: thumbnails that were lost
	memory   *semaphore.Weighted // of maxDecoded bytes that decoding here may take

	uploads *uploads

	mu       sync.Mutex
	pins     map[string]int    // contents that somebody is about to put into the index; guarded by mu
	adopted  map[string]uint64 // when contents came lately, as counted by turn; guarded by mu
	turn     uint64            // counts adoptions; guarded by mu
	sizes    map[string]int64  // bytes that a content has; guarded by mu
	problems map[string]string // files that are not what they should be, by content; guarded by mu
}

// New opens the library, makes its folders and removes what was being written when the power went.
func New(ctx context.Context, o Options) (*Library, error) {
	if o.Expire == 0 {
		o.Expire = defaultExpire
	}
	l := &Library{
		log: o.Log, opts: o, index: o.Index,
		children: semaphore.NewWeighted(atOnce), remaking: semaphore.NewWeighted(atOnce), memory: semaphore.NewWeighted(maxDecoded),
		pins: map[string]int{}, adopted: map[string]uint64{}, sizes: map[string]int64{}, problems: map[string]string{},
	}
	for _, dir := range []string{l.path("media"), l.path("thumbs"), l.path("uploads")} {
		if err := os.MkdirAll(dir, dirMode); err != nil {
			return nil, fmt.Errorf("make folder of the library: %w", err)
		}
	}
	if err := durable.SyncDir(o.Dir); err != nil {
		return nil, err
	}
	if err := l.learnSizes(ctx); err != nil {
		return nil, err
	}
	var err error
	l.uploads, err = l.loadUploads()
	return l, err
}

// Run looks at uploads that are complete, and removes leftovers, until ctx ends.
func (l *Library) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range atOnce {
		g.Go(func() error { l.work(ctx); return nil })
	}
	g.Go(func() error { l.clean(ctx); return nil })
	g.Go(func() error { l.scrub(ctx); return nil })
	return g.Wait()
}

func (l *Library) path(parts ...string) string {
	return filepath.Join(append([]string{l.opts.Dir}, parts...)...)
}

// learnSizes reads from the index how large each file has to be.
func (l *Library) learnSizes(ctx context.Context) error {
	all, err := l.index.AllMedia(ctx)
	if err != nil {
		return fmt.Errorf("read media: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range all {
		l.sizes[m.SHA256] = m.SizeBytes
	}
	return nil
}

// Problems are sentences about files that are not what they should be.
func (l *Library) Problems() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Values(l.problems))
}

// Refusal is why a file is not taken, in words for the person who sent it.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// AsRefusal returns the sentence if err is one about the file.
func AsRefusal(err error) (string, bool) {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason, true
	}
	return "", false
}
