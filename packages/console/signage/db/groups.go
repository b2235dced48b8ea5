package db

import (
	"context"
	"database/sql"
	"fmt"

	"porthole/packages/console/signage"
)

const selectGroups = `SELECT g.id, g.name, coalesce(g.playlist, 0), (SELECT count(*) FROM players p WHERE p.player_group = g.id) FROM player_groups g `

func scanGroup(row scanner) (g signage.Group, err error) {
	return g, row.Scan(&g.ID, &g.Name, &g.Playlist, &g.Players)
}

// Groups returns all groups by name.
func (s *Store) Groups(ctx context.Context) ([]signage.Group, error) {
	all, err := list(ctx, s.db.Reader(), scanGroup, selectGroups+"ORDER BY lower(g.name), g.id")
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	return all, nil
}

// Group returns a group.
func (s *Store) Group(ctx context.Context, id int64) (signage.Group, error) {
	g, err := scanGroup(s.db.Reader().QueryRowContext(ctx, selectGroups+"WHERE g.id = ?", id))
	return g, found("read group", err)
}

// CreateGroup makes a group.
func (s *Store) CreateGroup(ctx context.Context, g signage.Group) (signage.Group, error) {
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		g, err = createGroup(ctx, tx, g)
		return err
	})
	return g, err
}

func createGroup(ctx context.Context, tx *sql.Tx, g signage.Group) (signage.Group, error) {
	g.ID, g.Players = 0, 0
	if err := checkGroup(ctx, tx, &g); err != nil {
		return g, err
	}
	if err := bound(ctx, tx, "player_groups", "groups", MaxGroups); err != nil {
		return g, err
	}
	err := tx.QueryRowContext(ctx, "INSERT INTO player_groups (name, playlist) VALUES (?, ?) RETURNING id", g.Name, null(g.Playlist)).Scan(&g.ID)
	if err != nil {
		return g, fmt.Errorf("make group: %w", err)
	}
	return g, nil
}

func checkGroup(ctx context.Context, tx *sql.Tx, g *signage.Group) (err error) {
	if g.Name, err = cleanName("name", g.Name); err != nil {
		return err
	}
	if err := free(ctx, tx, "player_groups", "name", g.Name, g.ID); err != nil {
		return err
	}
	return must(ctx, tx, "playlists", "playlist", g.Playlist)
}

// UpdateGroup changes name and playlist.
func (s *Store) UpdateGroup(ctx context.Context, g signage.Group) error {
	return s.change(ctx, func(tx *sql.Tx) error { return updateGroup(ctx, tx, g) })
}

func updateGroup(ctx context.Context, tx *sql.Tx, g signage.Group) error {
	if err := checkGroup(ctx, tx, &g); err != nil {
		return err
	}
	return touched(tx.ExecContext(ctx, "UPDATE player_groups SET name = ?, playlist = ? WHERE id = ?", g.Name, null(g.Playlist), g.ID))("change group")
}

// DeleteGroup deletes a group with its rules and interruptions; its players are in none then.
func (s *Store) DeleteGroup(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		return touched(tx.ExecContext(ctx, "DELETE FROM player_groups WHERE id = ?", id))("delete group")
	})
}
