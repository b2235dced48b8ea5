package playerapi

import (
	"context"
	"sync"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

// player is a player as it stood at one revision.
type player struct {
	signage.Player
	// code and password are PHC strings, empty for none.
	code, password string
}

// known holds what was read of players and their auth codes since the last change: a thousand players ask each second,
// people change something now and then.
type known struct {
	store *db.Store

	mu       sync.Mutex
	revision int64                    // guarded by mu, as is all that follows
	players  map[int64]*player        // nil: there is none
	names    map[string]int64         // by hostname
	codes    map[[32]byte]db.AuthCode // by hash
}

func newKnown(s *db.Store) *known {
	return &known{store: s, players: map[int64]*player{}, names: map[string]int64{}, codes: map[[32]byte]db.AuthCode{}}
}

// recall runs f while nothing changes, after forgetting what is out of date, and returns the revision.
func (k *known) recall(f func()) int64 {
	now := k.store.Revision()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.revision != now {
		k.revision = now
		clear(k.players)
		clear(k.names)
		clear(k.codes)
	}
	f()
	return now
}

// keep runs f unless something changed since revision.
func (k *known) keep(revision int64, f func()) {
	if k.store.Revision() != revision {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.revision == revision {
		f()
	}
}

// byID returns a player, signage.ErrNotFound when there is none.
func (k *known) byID(ctx context.Context, id int64) (*player, error) {
	var p *player
	revision := k.recall(func() { p = k.players[id] })
	if p != nil {
		return p, nil
	}
	row, err := k.store.Player(ctx, id)
	if err != nil {
		return nil, err
	}
	return k.complete(ctx, revision, row)
}

// byHostname returns the player that calls itself so, signage.ErrNotFound when there is none.
func (k *known) byHostname(ctx context.Context, hostname string) (*player, error) {
	var p *player
	revision := k.recall(func() { p = k.players[k.names[hostname]] })
	if p != nil {
		return p, nil
	}
	row, err := k.store.PlayerByHostname(ctx, hostname)
	if err != nil {
		return nil, err
	}
	return k.complete(ctx, revision, row)
}

func (k *known) complete(ctx context.Context, revision int64, row signage.Player) (*player, error) {
	p := &player{Player: row}
	var err error
	if p.code, p.password, err = k.store.Hashes(ctx, row.ID); err != nil {
		return nil, err
	}
	k.keep(revision, func() {
		k.players[row.ID] = p
		k.names[row.Hostname] = row.ID
	})
	return p, nil
}

// authCode returns what an auth code that is not over belongs to, given its hash.
func (k *known) authCode(ctx context.Context, hash [32]byte, now time.Time) (db.AuthCode, error) {
	var c db.AuthCode
	revision := k.recall(func() { c = k.codes[hash] })
	if c.Player == 0 {
		var err error
		if c, err = k.store.AuthCode(ctx, hash); err != nil {
			return c, err
		}
		k.keep(revision, func() {
			if len(k.codes) >= maxPlayers {
				clear(k.codes)
			}
			k.codes[hash] = c
		})
	}
	if !now.Before(c.Expires) {
		return c, signage.ErrNotFound
	}
	return c, nil
}

// drop forgets the auth codes of a player that were made before.
func (k *known) drop(id int64, before time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for h, c := range k.codes {
		if c.Player == id && c.Created.Before(before) {
			delete(k.codes, h)
		}
	}
}
