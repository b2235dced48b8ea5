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

// known holds all players as they stand since the last change: a thousand of them ask each second, people change something
// now and then.
type known struct {
	store *db.Store

	mu       sync.Mutex
	revision int64              // guarded by mu, as is all that follows
	players  map[int64]*player  // nil until it is read
	names    map[string]*player // by hostname
}

func newKnown(s *db.Store) *known { return &known{store: s} }

// byID returns a player, signage.ErrNotFound when there is none.
func (k *known) byID(ctx context.Context, id int64) (*player, error) {
	return k.find(ctx, func() *player { return k.players[id] })
}

// byHostname returns the player that calls itself so, signage.ErrNotFound when there is none.
func (k *known) byHostname(ctx context.Context, hostname string) (*player, error) {
	return k.find(ctx, func() *player { return k.names[hostname] })
}

func (k *known) find(ctx context.Context, get func() *player) (*player, error) {
	// Asked before anything is read: what changes meanwhile is read again the next time.
	revision := k.store.Revision()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.players == nil || k.revision != revision {
		if err := k.read(ctx); err != nil {
			return nil, err
		}
		k.revision = revision
	}
	if p := get(); p != nil {
		return p, nil
	}
	return nil, signage.ErrNotFound
}

// read reads everything anew. The caller holds mu.
func (k *known) read(ctx context.Context) error {
	rows, err := k.store.Players(ctx)
	if err != nil {
		return err
	}
	secrets, err := k.store.AllHashes(ctx)
	if err != nil {
		return err
	}
	k.players, k.names = make(map[int64]*player, len(rows)), make(map[string]*player, len(rows))
	for _, row := range rows {
		p := &player{row, secrets[row.ID].Code, secrets[row.ID].Password}
		k.players[row.ID], k.names[row.Hostname] = p, p
	}
	return nil
}
