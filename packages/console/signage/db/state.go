package db

import (
	"context"
	"database/sql"
	"fmt"

	"porthole/packages/console/signage"
)

// State is all that people made, for a file that another device can take. Ids are those of the device it comes from.
type State struct {
	Timezone        string
	DefaultPlaylist int64
	Media           []signage.Media
	Playlists       []PlaylistState
	Groups          []signage.Group
	Players         []PlayerState
	Rules           []signage.Rule
}

// PlaylistState is a playlist with its items.
type PlaylistState struct {
	signage.Playlist
	Draft, Live []signage.Item
}

// PlayerState is a player with the hashes of what it logs in with, PHC strings, empty for none. Its auth codes never leave.
type PlayerState struct {
	signage.Player
	Code, Password string
}

// State returns everything, of one moment.
func (s *Store) State(ctx context.Context) (State, error) {
	tx, err := s.db.Reader().BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return State{}, fmt.Errorf("begin reading everything: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	st, err := readState(ctx, tx)
	if err != nil {
		return State{}, fmt.Errorf("read everything: %w", err)
	}
	return st, nil
}

func readState(ctx context.Context, q querier) (st State, err error) {
	if st.Timezone, err = timezone(ctx, q); err != nil {
		return st, err
	}
	if st.DefaultPlaylist, err = defaultPlaylist(ctx, q); err != nil {
		return st, err
	}
	if st.Media, err = list(ctx, q, scanMedia, "SELECT "+mediaColumns+" FROM media m ORDER BY m.id"); err != nil {
		return st, err
	}
	playlists, err := list(ctx, q, scanPlaylist, selectPlaylists+"GROUP BY p.id ORDER BY p.id")
	if err != nil {
		return st, err
	}
	for _, p := range playlists {
		full := PlaylistState{Playlist: p}
		if full.Draft, err = items(ctx, q, p.ID, signage.Draft); err != nil {
			return st, err
		}
		if full.Live, err = items(ctx, q, p.ID, signage.Live); err != nil {
			return st, err
		}
		st.Playlists = append(st.Playlists, full)
	}
	if st.Groups, err = list(ctx, q, scanGroup, selectGroups+"ORDER BY g.id"); err != nil {
		return st, err
	}
	players, err := list(ctx, q, scanPlayer, selectPlayers+"ORDER BY p.id")
	if err != nil {
		return st, err
	}
	for _, p := range players {
		full := PlayerState{Player: p}
		err := q.QueryRowContext(ctx, "SELECT quickconnect_hash, password_hash FROM players WHERE id = ?", p.ID).Scan(&full.Code, &full.Password)
		if err != nil {
			return st, err
		}
		st.Players = append(st.Players, full)
	}
	st.Rules, err = list(ctx, q, scanRule, selectRules+"ORDER BY r.id")
	return st, err
}
