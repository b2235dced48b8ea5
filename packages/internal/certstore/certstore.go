// Package certstore holds the certificates a process serves, chooses one for each client, and reloads them when system
// publishes others, without dropping a connection.
package certstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ErrKeyExposed means that others than owner and group can read the private key.
var ErrKeyExposed = errors.New("private key is readable by everybody")

// device is the pair of the device's own authority, without which nothing is served.
const device = "device"

// maxPairs bounds how many folders are looked into.
const maxPairs = 32

// Store serves the pairs in one folder: NAME/privkey.pem and NAME/fullchain.pem. Those whose names begin with "device" are of
// the device's own authority, the others are public.
type Store struct {
	log *slog.Logger
	dir string
	set atomic.Pointer[set]
	// told is what was last logged of each folder; only load uses it, and nobody calls it twice at once.
	told map[string]string
}

// set is what is served at one time.
type set struct {
	// device has the pair "device" in front.
	device, public []*pair
	// mark is another for any other pairs: sessions of TLS that began with those are not resumed.
	mark [sha256.Size]byte
}

// Open returns a store over dir (/perm/tls). It waits until ctx ends for a usable pair named "device". One goroutine may call
// Watch afterwards.
func Open(ctx context.Context, log *slog.Logger, dir string) (*Store, error) {
	s := &Store{log: log, dir: dir, told: map[string]string{}}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		// For a moment at the first start, the folder is there and not yet its readers' (system sets its group).
		err := s.load(tries >= 5)
		if err == nil {
			return s, nil
		}
		if tries == 5 && len(s.told) == 0 && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("certificates are not readable yet", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a certificate in %s/%s: %w", dir, device, err)
		case <-tick.C:
		}
	}
}

// load takes what the folder has now. The error says why there is no pair of the device at all.
func (s *Store) load(tell bool) error {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return fmt.Errorf("open the certificates' folder: %w", err)
	}
	defer root.Close()
	names, err := folders(root)
	if err != nil {
		return err
	}
	old := s.set.Load()
	if old == nil {
		old = &set{}
	}
	var now set
	var reason error
	for _, name := range names {
		p, err := s.fresh(root, name, old.named(name), tell)
		switch {
		case p == nil:
			if name == device {
				reason = err
			}
		case p.Public:
			now.public = append(now.public, p)
		default:
			now.device = append(now.device, p)
		}
	}
	for name := range s.told {
		if !slices.Contains(names, name) {
			delete(s.told, name)
		}
	}
	if now.named(device) == nil {
		// It may be taken away only for another one.
		former := old.named(device)
		if former == nil {
			return cmp.Or(reason, fs.ErrNotExist)
		}
		now.device = append(now.device, former)
	}
	now.sort()
	s.say(old, &now)
	s.set.Store(&now)
	return nil
}

// folders lists the names of what may hold a pair, in order.
func folders(root *os.Root) ([]string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("list the certificates: %w", err)
	}
	var names []string
	for _, e := range entries {
		// What begins with a dot is not complete yet, or on its way out.
		if !strings.HasPrefix(e.Name(), ".") && e.IsDir() && len(names) < maxPairs {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// fresh reads the pair with that name; nil if there is none to serve. One that cannot be used leaves the former in use, unless
// its key is exposed and the device's own can stand in for it.
func (s *Store) fresh(root *os.Root, name string, former *pair, tell bool) (*pair, error) {
	p, err := read(root, name, former)
	if err == nil {
		delete(s.told, name)
		return p, nil
	}
	gone, exposed := errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrKeyExposed)
	if former != nil && (gone || exposed) && former.Name != device {
		former = nil
	}
	// Once, and not while it waits for its first files.
	if tell && !gone && s.told[name] != err.Error() {
		s.told[name] = err.Error()
		s.log.Error("certificate is not usable", "certificate", name, "former_stays", former != nil, "err", err)
	}
	return former, err
}

func (s *set) named(name string) *pair {
	for _, list := range [][]*pair{s.device, s.public} {
		for _, p := range list {
			if p.Name == name {
				return p
			}
		}
	}
	return nil
}

// sort puts the pairs in the order in which they are preferred where nothing else decides, and marks the set.
func (s *set) sort() {
	order := func(a, b *pair) int {
		return cmp.Or(before(a.Name == device, b.Name == device), before(!a.rsa, !b.rsa),
			// What a person has put there before what came by itself.
			before(strings.HasPrefix(a.Name, "own"), strings.HasPrefix(b.Name, "own")), strings.Compare(a.Name, b.Name))
	}
	slices.SortFunc(s.device, order)
	slices.SortFunc(s.public, order)
	sum := sha256.New()
	for _, p := range slices.Concat(s.device, s.public) {
		sum.Write(p.sum[:])
	}
	sum.Sum(s.mark[:0])
}

// before is for comparisons: what is true goes first.
func before(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// say logs what became different.
func (s *Store) say(old, now *set) {
	for _, p := range slices.Concat(now.device, now.public) {
		former := old.named(p.Name)
		if former == p {
			continue
		}
		s.log.Info("certificate in service", "certificate", p.Name, "algorithm", p.Algorithm, "names", p.Names(),
			"not_after", p.Leaf.NotAfter, "sha256", fmt.Sprintf("%x", sha256.Sum256(p.Leaf.Raw)), "renewed", former != nil)
	}
	for _, p := range slices.Concat(old.device, old.public) {
		if now.named(p.Name) == nil {
			s.log.Info("certificate out of service", "certificate", p.Name)
		}
	}
}

// Certificates lists what is served now, the device's own first.
func (s *Store) Certificates() []Certificate {
	now := s.set.Load()
	var list []Certificate
	for _, p := range slices.Concat(now.device, now.public) {
		list = append(list, p.Certificate)
	}
	return list
}
