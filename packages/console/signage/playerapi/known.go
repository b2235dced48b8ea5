package playerapi

import (
	"context"
	"sync"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

// player is a player as it stood at one revision.
type player struct {
	signage.Player
	// code and password are PHC strings, empty for none.
	code, password string
}

// known holds what was read of players since the last change: a thousand players ask each second,
// people change something now and then.
type known struct {
	store *db.Store

	mu       sync.Mutex
	revision int64             // guarded by mu, as is all that follows
	players  map[int64]*player // nil: there is none
	names    map[string]int64  // by hostname
}

func newKnown(s *db.Store) *known {
	return &known{store: s, players: map[int64]*player{}, names: map[string]int64{}}
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
