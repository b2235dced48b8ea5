package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/program"
)

// world is what all programs are made of, at one revision. Nothing but playing changes once it is made.
type world struct {
	revision   int64
	names      string // what namesKey was
	timezone   string
	base       int64 // the default playlist
	playlists  map[int64]program.Playlist
	groups     map[int64]int64 // their playlists
	players    map[int64]signage.Player
	rules      []signage.Rule
	interrupts []signage.Interrupt // those that were not over when it was read

	mu      sync.Mutex
	playing map[int64]answer // by player; guarded by mu
}

// answer is what a player shows from one time to another.
type answer struct {
	since time.Time
	program.Now
}

// cache holds the world of the newest revision that was asked for: many players ask again and again, few people change.
type cache struct {
	mu    sync.Mutex
	world *world // guarded by mu
}

// Program returns what a player shows and when, of one revision: the playlists that can ever concern it, with the items
// that are live. URL of media is empty. The caller may change it. Interruptions that are over at now are left out, so that
// two programs of a revision may differ.
func (s *Store) Program(ctx context.Context, id int64, now time.Time) (program.Program, error) {
	w, err := s.now(ctx, now)
	if err != nil {
		return program.Program{}, err
	}
	p, ok := w.players[id]
	if !ok {
		return program.Program{}, signage.ErrNotFound
	}
	return w.program(p, now), nil
}

// Showing is what a player shows.
type Showing struct {
	program.Now
	Revision    int64
	Orientation string
}

// Playing returns what a player shows at now. It costs next to nothing until that changes. The caller must not change the
// playlist, whose media have no URL.
func (s *Store) Playing(ctx context.Context, id int64, now time.Time) (Showing, error) {
	w, err := s.now(ctx, now)
	if err != nil {
		return Showing{}, err
	}
	p, ok := w.players[id]
	if !ok {
		return Showing{}, signage.ErrNotFound
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if a, ok := w.playing[id]; ok && !now.Before(a.since) && (a.Until.IsZero() || now.Before(a.Until)) {
		return Showing{a.Now, w.revision, p.Orientation}, nil
	}
	mine := w.program(p, now)
	// The answer must not hold a copy of all playlists.
	n := program.Resolve(mine, now)
	if n.Playlist != nil {
		shared := w.playlists[n.Playlist.ID]
		n.Playlist = &shared
	}
	w.playing[id] = answer{now, n}
	return Showing{n, w.revision, p.Orientation}, nil
}

// Preview returns the program that an imagined player would have, of a group or of none.
func (s *Store) Preview(ctx context.Context, p signage.Player, now time.Time) (program.Program, error) {
	w, err := s.now(ctx, now)
	if err != nil {
		return program.Program{}, err
	}
	return w.program(p, now), nil
}

// now returns the world of the newest revision.
func (s *Store) now(ctx context.Context, now time.Time) (*world, error) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	if w := s.cache.world; w != nil && w.revision == s.Revision() {
		return w, nil
	}
	w, err := readWorld(ctx, s.db.Reader(), now, s.cache.world)
	if err != nil {
		return nil, err
	}
	s.cache.world = w
	return w, nil
}

// readWorld reads the world. Of last, which may be nil, it takes the items of playlists that were not published since.
func readWorld(ctx context.Context, from *sql.DB, now time.Time, last *world) (*world, error) {
	tx, err := from.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("begin reading programs: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	w := &world{
		playlists: map[int64]program.Playlist{}, groups: map[int64]int64{}, players: map[int64]signage.Player{},
		playing: map[int64]answer{},
	}
	if w.revision, err = readRevision(ctx, tx); err != nil {
		return nil, err
	}
	if w.names, err = readSetting(ctx, tx, namesKey); err != nil {
		return nil, err
	}
	if w.timezone, err = timezone(ctx, tx); err != nil {
		return nil, err
	}
	if w.base, err = defaultPlaylist(ctx, tx); err != nil {
		return nil, err
	}
	if w.rules, err = rules(ctx, tx); err != nil {
		return nil, err
	}
	// A clock that is set back must not lose one.
	if w.interrupts, err = interrupts(ctx, tx, now.Add(-24*time.Hour)); err != nil {
		return nil, err
	}
	players, err := list(ctx, tx, scanPlayer, selectPlayers)
	if err != nil {
		return nil, fmt.Errorf("read players: %w", err)
	}
	for _, p := range players {
		w.players[p.ID] = p
	}
	// Without how many players each has, which nobody asks for here.
	groups, err := list(ctx, tx, func(row scanner) (g signage.Group, err error) {
		return g, row.Scan(&g.ID, &g.Playlist)
	}, "SELECT id, coalesce(playlist, 0) FROM player_groups")
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	for _, g := range groups {
		w.groups[g.ID] = g.Playlist
	}
	return w, w.readPlaylists(ctx, tx, last)
}

func (w *world) readPlaylists(ctx context.Context, tx *sql.Tx, last *world) error {
	playlists, err := list(ctx, tx, func(row scanner) (p program.Playlist, err error) {
		return p, row.Scan(&p.ID, &p.Name, &p.Version, &p.Transition)
	}, "SELECT id, name, version, transition FROM playlists WHERE version > 0")
	if err != nil {
		return fmt.Errorf("read playlists: %w", err)
	}
	var all map[int64][]program.Item
	if last == nil || last.names != w.names {
		if all, err = liveItems(ctx, tx, "WHERE i.stage = 'live'"); err != nil {
			return err
		}
	}
	for _, p := range playlists {
		if all != nil {
			p.Items = all[p.ID]
		} else if was, ok := last.playlists[p.ID]; ok && was.Version == p.Version {
			p.Items = was.Items
		} else {
			its, err := liveItems(ctx, tx, "WHERE i.stage = 'live' AND i.playlist = ?", p.ID)
			if err != nil {
				return err
			}
			p.Items = its[p.ID]
		}
		w.playlists[p.ID] = p
	}
	return nil
}

// liveItems returns items by playlist, in their order.
func liveItems(ctx context.Context, tx *sql.Tx, where string, args ...any) (map[int64][]program.Item, error) {
	items, err := list(ctx, tx, scanItem, selectItems+where+" ORDER BY i.playlist, i.position, i.id", args...)
	if err != nil {
		return nil, fmt.Errorf("read items: %w", err)
	}
	of := map[int64][]program.Item{}
	for _, i := range items {
		of[i.playlist] = append(of[i.playlist], programItem(i.Item))
	}
	return of, nil
}

func programItem(i signage.Item) program.Item {
	p := program.Item{
		ID: i.ID, Kind: string(i.Kind), URL: i.URL, Camera: i.Camera, Text: i.Text, DurationMS: i.Duration.Milliseconds(), Fit: i.Fit,
		Description: i.Description,
	}
	if m := i.Media; m != nil {
		p.Kind, p.FileName, p.MIME, p.SHA256, p.SizeBytes = string(m.Kind), m.Name, m.MIME, m.SHA256, m.SizeBytes
		p.MediaID, p.LengthMS = m.ID, m.Duration.Milliseconds()
	}
	return p
}

// basis returns the playlist that a player shows when no rule applies, 0 for none.
func (w *world) basis(p signage.Player) int64 {
	for _, id := range []int64{p.Playlist, w.groups[p.Group], w.base} {
		if id != 0 {
			return id
		}
	}
	return 0
}

// special returns how closely a target means a player: 0 for everybody, 1 its group, 2 itself; false when it does not.
func special(t signage.Target, p signage.Player) (int, bool) {
	switch {
	case t.Player != 0:
		return 2, t.Player == p.ID
	case t.Group != 0:
		return 1, t.Group == p.Group
	}
	return 0, true
}

func (w *world) program(p signage.Player, now time.Time) program.Program {
	out := program.Program{
		Revision: w.revision, Time: now, Timezone: w.timezone, PlayerID: p.ID, PlayerName: p.Name, Orientation: p.Orientation,
		Base: w.basis(p), Playlists: []program.Playlist{}, Rules: []program.Rule{}, Interrupts: []program.Interrupt{},
	}
	needed := []int64{out.Base}
	for _, r := range w.rules {
		if how, ok := special(r.Target, p); ok && r.Enabled {
			out.Rules = append(out.Rules, program.Rule{
				ID: r.ID, Name: r.Name, Playlist: r.Playlist, FromDate: r.FromDate, ToDate: r.ToDate, FromMinute: r.FromMinute,
				ToMinute: r.ToMinute, Weekdays: r.Weekdays, Priority: r.Priority, Special: how,
			})
			needed = append(needed, r.Playlist)
		}
	}
	for _, i := range w.interrupts {
		if _, ok := special(i.Target, p); ok && i.Ends.After(now) {
			out.Interrupts = append(out.Interrupts, program.Interrupt{ID: i.ID, Playlist: i.Playlist, Text: i.Text, Begins: i.Begins, Ends: i.Ends})
			needed = append(needed, i.Playlist)
		}
	}
	slices.Sort(needed)
	for _, id := range slices.Compact(needed) {
		if list, ok := w.playlists[id]; ok {
			list.Items = append([]program.Item{}, list.Items...)
			out.Playlists = append(out.Playlists, list)
		}
	}
	return out
}

// ReplaceMedia puts an edited picture into the place of the one it was made of, in every playlist that can concern the
// player, draft and live, and returns the playlist whose version players will ask about: the one the player shows when no
// rule applies, if it had the picture. signage.ErrNotFound: none has it.
func (s *Store) ReplaceMedia(ctx context.Context, id, old, replacement int64) (signage.Playlist, error) {
	w, err := s.now(ctx, time.Now())
	if err != nil {
		return signage.Playlist{}, err
	}
	p, ok := w.players[id]
	if !ok {
		return signage.Playlist{}, signage.ErrNotFound
	}
	mine := w.program(p, time.Now())
	var first signage.Playlist
	err = s.change(ctx, func(tx *sql.Tx) error {
		if _, err := scanMedia(tx.QueryRowContext(ctx, "SELECT "+mediaColumns+" FROM media m WHERE m.id = ?", replacement)); err != nil {
			return found("read edited medium", err)
		}
		for _, list := range mine.Playlists {
			res, err := tx.ExecContext(ctx, "UPDATE playlist_items SET media = ? WHERE playlist = ? AND media = ?", replacement, list.ID, old)
			if err != nil {
				return fmt.Errorf("put edited medium into playlist %d: %w", list.ID, err)
			}
			n, err := res.RowsAffected()
			if err != nil {
				return fmt.Errorf("count items of playlist %d: %w", list.ID, err)
			}
			if n == 0 {
				continue
			}
			if _, err := tx.ExecContext(ctx, "UPDATE playlists SET version = version + 1, published = ? WHERE id = ?", time.Now().Unix(), list.ID); err != nil {
				return fmt.Errorf("count version of playlist %d: %w", list.ID, err)
			}
			if first.ID == 0 || list.ID == mine.Base {
				if first, err = playlist(ctx, tx, list.ID); err != nil {
					return err
				}
			}
		}
		if first.ID == 0 {
			return signage.ErrNotFound
		}
		return nil
	})
	return first, err
}
