package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"porthole/packages/console/signage"
)

const selectPlayers = `SELECT p.id, p.name, p.hostname, p.own, coalesce(p.player_group, 0), coalesce(p.playlist, 0), p.orientation,
	p.plain_http, p.may_edit, p.enabled, p.quickconnect_hash <> '', p.password_hash <> '', p.created, p.last_seen, p.address, p.agent,
	p.status, p.message, p.item, p.playing_version, p.screenshot FROM players p `

func scanPlayer(row scanner) (signage.Player, error) {
	var p signage.Player
	var created, seen, shot int64
	err := row.Scan(&p.ID, &p.Name, &p.Hostname, &p.Own, &p.Group, &p.Playlist, &p.Orientation, &p.PlainHTTP, &p.MayEdit, &p.Enabled,
		&p.HasCode, &p.HasPassword, &created, &seen, &p.Address, &p.Agent, &p.Status, &p.Message, &p.Item, &p.PlayingVersion, &shot)
	p.Created, p.LastSeen, p.Screenshot = at(created), at(seen), at(shot)
	return p, err
}

// Players returns all players, this device's own first, then by name.
func (s *Store) Players(ctx context.Context) ([]signage.Player, error) {
	all, err := list(ctx, s.db.Reader(), scanPlayer, selectPlayers+"ORDER BY p.own DESC, lower(p.name), p.id")
	if err != nil {
		return nil, fmt.Errorf("read players: %w", err)
	}
	return all, nil
}

// Player returns a player.
func (s *Store) Player(ctx context.Context, id int64) (signage.Player, error) {
	return player(ctx, s.db.Reader(), id)
}

func player(ctx context.Context, q querier, id int64) (signage.Player, error) {
	p, err := scanPlayer(q.QueryRowContext(ctx, selectPlayers+"WHERE p.id = ?", id))
	return p, found("read player", err)
}

// PlayerByHostname returns the player that calls itself so.
func (s *Store) PlayerByHostname(ctx context.Context, hostname string) (signage.Player, error) {
	p, err := scanPlayer(s.db.Reader().QueryRowContext(ctx, selectPlayers+"WHERE p.hostname = ?", hostname))
	return p, found("read player", err)
}

// CreatePlayer makes a player, enabled or not as it says; an empty name is the hostname, an empty orientation landscape.
// Own is ignored: EnsureOwn makes the device's own.
func (s *Store) CreatePlayer(ctx context.Context, p signage.Player) (signage.Player, error) {
	err := s.change(ctx, func(tx *sql.Tx) error {
		p.Own = false
		id, err := createPlayer(ctx, tx, p)
		if err != nil {
			return err
		}
		p, err = player(ctx, tx, id)
		return err
	})
	return p, err
}

func createPlayer(ctx context.Context, tx *sql.Tx, p signage.Player) (id int64, err error) {
	p.ID = 0
	if err := checkPlayer(ctx, tx, &p); err != nil {
		return 0, err
	}
	if err := bound(ctx, tx, "players", "players", MaxPlayers); err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, `INSERT INTO players (name, hostname, own, player_group, playlist, orientation, plain_http, may_edit, enabled, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, p.Name, p.Hostname, p.Own, null(p.Group), null(p.Playlist), p.Orientation,
		p.PlainHTTP, p.MayEdit, p.Enabled, time.Now().Unix()).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("make player: %w", err)
	}
	return id, nil
}

func checkPlayer(ctx context.Context, tx *sql.Tx, p *signage.Player) (err error) {
	if p.Hostname, err = cleanName("hostname", p.Hostname); err != nil {
		return err
	}
	if p.Name == "" {
		p.Name = p.Hostname
	}
	if p.Name, err = cleanName("name", p.Name); err != nil {
		return err
	}
	switch p.Orientation {
	case "":
		p.Orientation = "landscape"
	case "landscape", "portrait", "landscape-flipped", "portrait-flipped":
	default:
		return wrong("orientation", `must be "landscape", "portrait", "landscape-flipped" or "portrait-flipped"`)
	}
	if err := free(ctx, tx, "players", "hostname", p.Hostname, p.ID); err != nil {
		return err
	}
	if err := must(ctx, tx, "player_groups", "group", p.Group); err != nil {
		return err
	}
	return must(ctx, tx, "playlists", "playlist", p.Playlist)
}

// UpdatePlayer changes what people decide: name, hostname, group, playlist, orientation, PlainHTTP, MayEdit, Enabled. The
// device's own keeps its hostname, which is the device's, and stays enabled.
func (s *Store) UpdatePlayer(ctx context.Context, p signage.Player) error {
	defer s.forgetCodes()
	return s.change(ctx, func(tx *sql.Tx) error { return updatePlayer(ctx, tx, p) })
}

func updatePlayer(ctx context.Context, tx *sql.Tx, p signage.Player) error {
	was, err := player(ctx, tx, p.ID)
	if err != nil {
		return err
	}
	if was.Own {
		p.Hostname, p.Enabled = was.Hostname, true
	}
	if err := checkPlayer(ctx, tx, &p); err != nil {
		return err
	}
	if !p.Enabled {
		if err := endAuthCodes(ctx, tx, p.ID); err != nil {
			return err
		}
	}
	return touched(tx.ExecContext(ctx, `UPDATE players SET name = ?, hostname = ?, player_group = ?, playlist = ?, orientation = ?,
		plain_http = ?, may_edit = ?, enabled = ? WHERE id = ?`, p.Name, p.Hostname, null(p.Group), null(p.Playlist), p.Orientation,
		p.PlainHTTP, p.MayEdit, p.Enabled, p.ID))("change player")
}

// DeletePlayer forgets a player with its auth codes, rules, interruptions and reports. The device's own stays.
func (s *Store) DeletePlayer(ctx context.Context, id int64) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		p, err := player(ctx, tx, id)
		if err != nil {
			return err
		}
		if p.Own {
			return wrong("player", "is this device's own screen and stays")
		}
		return touched(tx.ExecContext(ctx, "DELETE FROM players WHERE id = ?", id))("delete player")
	})
}

// EnsureOwn makes the player that is this device's own screen, and lets it follow the device's hostname. A player that
// has that hostname already becomes it.
func (s *Store) EnsureOwn(ctx context.Context, hostname string) (signage.Player, error) {
	own, err := s.Own(ctx)
	if err == nil && own.Hostname == hostname {
		return own, nil
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		own, err = ensureOwn(ctx, tx, hostname)
		return err
	})
	return own, err
}

func ensureOwn(ctx context.Context, tx *sql.Tx, hostname string) (signage.Player, error) {
	ids, err := list(ctx, tx, scanInt, "SELECT id FROM players WHERE own = 1")
	if err != nil {
		return signage.Player{}, fmt.Errorf("look for the own screen: %w", err)
	}
	others, err := list(ctx, tx, scanInt, "SELECT id FROM players WHERE own = 0 AND hostname = ?", hostname)
	if err != nil {
		return signage.Player{}, fmt.Errorf("look for the own screen: %w", err)
	}
	var id int64
	switch {
	case len(ids) == 0 && len(others) > 0:
		id = others[0]
		_, err = tx.ExecContext(ctx, "UPDATE players SET own = 1, enabled = 1 WHERE id = ?", id)
	case len(ids) == 0:
		id, err = createPlayer(ctx, tx, signage.Player{Name: "This screen", Hostname: hostname, Own: true, Enabled: true, MayEdit: true})
	default:
		id = ids[0]
		if len(others) > 0 {
			// The name is the device's now; the other is told apart by its id.
			_, err = tx.ExecContext(ctx, "UPDATE players SET hostname = hostname || '-' || id WHERE id = ?", others[0])
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE players SET hostname = ? WHERE id = ?", hostname, id)
		}
	}
	if err != nil {
		return signage.Player{}, fmt.Errorf("make the own screen: %w", err)
	}
	return player(ctx, tx, id)
}

// Own returns the player that is this device's own screen.
func (s *Store) Own(ctx context.Context) (signage.Player, error) {
	p, err := scanPlayer(s.db.Reader().QueryRowContext(ctx, selectPlayers+"WHERE p.own = 1"))
	return p, found("read own player", err)
}

// SetCode keeps the hash of a player's quick-connect code, a PHC string; empty for none. Its auth codes end.
func (s *Store) SetCode(ctx context.Context, id int64, phc string) error {
	defer s.forgetCodes()
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := endAuthCodes(ctx, tx, id); err != nil {
			return err
		}
		return touched(tx.ExecContext(ctx, "UPDATE players SET quickconnect_hash = ? WHERE id = ?", phc, id))("keep quick-connect code")
	})
}

// SetPassword keeps the hash of a player's password, a PHC string; empty for none. Its auth codes end.
func (s *Store) SetPassword(ctx context.Context, id int64, phc string) error {
	defer s.forgetCodes()
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := endAuthCodes(ctx, tx, id); err != nil {
			return err
		}
		return touched(tx.ExecContext(ctx, "UPDATE players SET password_hash = ? WHERE id = ?", phc, id))("keep player's password")
	})
}

// Hashes returns what SetCode and SetPassword kept.
func (s *Store) Hashes(ctx context.Context, id int64) (code, password string, err error) {
	err = s.db.Reader().QueryRowContext(ctx, "SELECT quickconnect_hash, password_hash FROM players WHERE id = ?", id).Scan(&code, &password)
	return code, password, found("read player's hashes", err)
}

// SavePresence keeps what players said of themselves, in one transaction; who was deleted meanwhile is left out.
func (s *Store) SavePresence(ctx context.Context, players []signage.Player) error {
	if len(players) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, p := range players {
			_, err := tx.ExecContext(ctx, `UPDATE players SET last_seen = ?, address = ?, agent = ?, status = ?, message = ?, item = ?,
				playing_version = ?, screenshot = ? WHERE id = ?`, seconds(p.LastSeen), p.Address, p.Agent, p.Status, p.Message, p.Item,
				p.PlayingVersion, seconds(p.Screenshot), p.ID)
			if err != nil {
				return fmt.Errorf("keep presence of player %d: %w", p.ID, err)
			}
		}
		return nil
	})
}
