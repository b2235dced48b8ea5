package db

import (
	"context"
	"fmt"
)

// Secrets are PHC strings of what a player proves itself with, empty for none.
type Secrets struct{ Code, Password string }

// AllHashes is Hashes of all players that have any, by id.
func (s *Store) AllHashes(ctx context.Context) (map[int64]Secrets, error) {
	type row struct {
		id int64
		Secrets
	}
	rows, err := list(ctx, s.db.Reader(), func(from scanner) (r row, err error) {
		return r, from.Scan(&r.id, &r.Code, &r.Password)
	}, "SELECT id, quickconnect_hash, password_hash FROM players WHERE quickconnect_hash <> '' OR password_hash <> ''")
	if err != nil {
		return nil, fmt.Errorf("read players' hashes: %w", err)
	}
	all := make(map[int64]Secrets, len(rows))
	for _, r := range rows {
		all[r.id] = r.Secrets
	}
	return all, nil
}
