package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"porthole/packages/console/signage"
)

// Taken is a medium of a State that is here.
type Taken struct {
	ID int64
	// Fresh says that it came with the State, Rename that it gets the name and history that the State has for it.
	Fresh, Rename bool
}

// Tally counts what was done with one kind of things.
type Tally struct{ Added, Changed, Same, Removed int }

// Applied says what Apply did.
type Applied struct{ Media, Playlists, Groups, Players, Rules Tally }

// Apply takes a State in one transaction: what has the same name here (of players: the same hostname) becomes what the
// State says, the rest is added. With replace, what the State does not have goes, and its time zone and default playlist
// are taken; without, only where there is none yet. Players keep their auth codes. media says for each medium's id in the
// State which one it is here.
func (s *Store) Apply(ctx context.Context, st State, media map[int64]Taken, replace bool) (Applied, error) {
	a := &apply{
		st: st, media: media, replace: replace,
		playlists: map[int64]int64{}, groups: map[int64]int64{}, players: map[int64]int64{},
	}
	defer s.forgetCodes() // players that the State switches off lose theirs
	err := s.change(ctx, func(tx *sql.Tx) error {
		a.tx, a.done = tx, Applied{}
		for _, step := range []func(context.Context) error{
			a.removeRules, a.removeOthers, a.takePlaylists, a.takeGroups, a.takePlayers, a.takeRules, a.takeSettings, a.takeMedia,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return a.done, err
}

// apply is an Apply under way. The maps lead from ids in the State to those here.
type apply struct {
	tx                         *sql.Tx
	st                         State
	media                      map[int64]Taken
	playlists, groups, players map[int64]int64
	replace                    bool
	done                       Applied
}

// inFile is what is wrong with one thing of the State.
func inFile(what, name string, err error) error { return fmt.Errorf("%s %q: %w", what, name, err) }

// local returns the id here of what the State refers to; 0 stays 0.
func local(field string, ids map[int64]int64, id int64) (int64, error) {
	if id == 0 {
		return 0, nil
	}
	if here, ok := ids[id]; ok {
		return here, nil
	}
	return 0, wrong(field, "is not in the file")
}

func (a *apply) removeRules(ctx context.Context) error {
	if !a.replace {
		return nil
	}
	res, err := a.tx.ExecContext(ctx, "DELETE FROM schedule_rules")
	if err != nil {
		return fmt.Errorf("remove rules: %w", err)
	}
	n, err := res.RowsAffected()
	a.done.Rules.Removed = int(n)
	return err
}

// removeOthers removes what the State does not have.
func (a *apply) removeOthers(ctx context.Context) error {
	if !a.replace {
		return nil
	}
	var lists, groups, hosts []string
	for _, p := range a.st.Playlists {
		lists = append(lists, p.Name)
	}
	for _, g := range a.st.Groups {
		groups = append(groups, g.Name)
	}
	for _, p := range a.st.Players {
		hosts = append(hosts, p.Hostname)
	}
	for _, k := range []struct {
		table, column, and string
		keep               []string
		count              *int
	}{
		{"players", "hostname", " AND own = 0", hosts, &a.done.Players.Removed},
		{"player_groups", "name", "", groups, &a.done.Groups.Removed},
		{"playlists", "name", "", lists, &a.done.Playlists.Removed},
	} {
		have, err := list(ctx, a.tx, scanString, "SELECT "+k.column+" FROM "+k.table+" WHERE 1 = 1"+k.and)
		if err != nil {
			return fmt.Errorf("read %s: %w", k.table, err)
		}
		for _, name := range have {
			if slices.Contains(k.keep, name) {
				continue
			}
			if _, err := a.tx.ExecContext(ctx, "DELETE FROM "+k.table+" WHERE "+k.column+" = ?", name); err != nil {
				return fmt.Errorf("remove %q of %s: %w", name, k.table, err)
			}
			*k.count++
		}
	}
	return nil
}

// idOf returns the id of the row that has a value, 0 for none.
func (a *apply) idOf(ctx context.Context, table, column, value string) (int64, error) {
	ids, err := list(ctx, a.tx, scanInt, "SELECT id FROM "+table+" WHERE "+column+" = ?", value)
	if err != nil {
		return 0, fmt.Errorf("look for %q in %s: %w", value, table, err)
	}
	if len(ids) == 0 {
		return 0, nil
	}
	return ids[0], nil
}

func (a *apply) takeGroups(ctx context.Context) error {
	for _, g := range a.st.Groups {
		from := g.ID
		var err error
		if g.Playlist, err = local("playlist", a.playlists, g.Playlist); err != nil {
			return inFile("group", g.Name, err)
		}
		if g.ID, err = a.idOf(ctx, "player_groups", "name", g.Name); err != nil {
			return err
		}
		if g.ID == 0 {
			g, err = createGroup(ctx, a.tx, g)
			a.done.Groups.Added++
		} else {
			err = updateGroup(ctx, a.tx, g)
			a.done.Groups.Changed++
		}
		if err != nil {
			return inFile("group", g.Name, err)
		}
		a.groups[from] = g.ID
	}
	return nil
}

func (a *apply) takePlayers(ctx context.Context) error {
	for _, p := range a.st.Players {
		if err := a.takePlayer(ctx, p); err != nil {
			return inFile("screen", p.Name, err)
		}
	}
	return nil
}

func (a *apply) takePlayer(ctx context.Context, p PlayerState) (err error) {
	from := p.ID
	if p.Playlist, err = local("playlist", a.playlists, p.Playlist); err != nil {
		return err
	}
	if p.Group, err = local("group", a.groups, p.Group); err != nil {
		return err
	}
	// One device's own screen is the other's.
	if p.Own {
		p.ID, err = a.idOf(ctx, "players", "own", "1")
		if err != nil {
			return err
		}
	}
	if !p.Own || p.ID == 0 {
		if p.ID, err = a.idOf(ctx, "players", "hostname", p.Hostname); err != nil {
			return err
		}
	}
	p.Own = false
	if p.ID == 0 {
		p.ID, err = createPlayer(ctx, a.tx, p.Player)
		a.done.Players.Added++
	} else {
		err = updatePlayer(ctx, a.tx, p.Player)
		a.done.Players.Changed++
	}
	if err != nil {
		return err
	}
	a.players[from] = p.ID
	for column, hash := range map[string]string{"quickconnect_hash": p.Code, "password_hash": p.Password} {
		if hash == "" {
			continue
		}
		if _, err := a.tx.ExecContext(ctx, "UPDATE players SET "+column+" = ? WHERE id = ?", hash, p.ID); err != nil {
			return fmt.Errorf("keep %s: %w", column, err)
		}
	}
	return nil
}

func (a *apply) takeRules(ctx context.Context) error {
	have, err := rules(ctx, a.tx)
	if err != nil {
		return err
	}
	for _, r := range a.st.Rules {
		if r.Playlist, err = local("playlist", a.playlists, r.Playlist); err != nil {
			return inFile("rule", r.Name, err)
		}
		if r.Target.Group, err = local("group", a.groups, r.Target.Group); err != nil {
			return inFile("rule", r.Name, err)
		}
		if r.Target.Player, err = local("screen", a.players, r.Target.Player); err != nil {
			return inFile("rule", r.Name, err)
		}
		r.ID = 0
		if slices.ContainsFunc(have, func(h signage.Rule) bool { h.ID = 0; return h == r }) {
			a.done.Rules.Same++
			continue
		}
		if _, err := createRule(ctx, a.tx, r); err != nil {
			return inFile("rule", r.Name, err)
		}
		a.done.Rules.Added++
	}
	return nil
}

func (a *apply) takeSettings(ctx context.Context) error {
	zone, err := readSetting(ctx, a.tx, timezoneKey)
	if err != nil {
		return err
	}
	if a.st.Timezone != "" && (a.replace || zone == "") {
		if err := setTimezone(ctx, a.tx, a.st.Timezone); err != nil {
			return err
		}
	}
	base, err := defaultPlaylist(ctx, a.tx)
	if err != nil {
		return err
	}
	if a.replace || base == 0 {
		id, err := local("default_playlist", a.playlists, a.st.DefaultPlaylist)
		if err != nil {
			return err
		}
		return setDefaultPlaylist(ctx, a.tx, id)
	}
	return nil
}

// takeMedia gives the media that came with the State their names and history, after those that have to go are gone.
func (a *apply) takeMedia(ctx context.Context) error {
	keep := map[int64]bool{}
	for _, t := range a.media {
		keep[t.ID] = true
	}
	if a.replace {
		have, err := list(ctx, a.tx, scanInt, "SELECT id FROM media")
		if err != nil {
			return fmt.Errorf("read media: %w", err)
		}
		for _, id := range have {
			if keep[id] {
				continue
			}
			if _, err := a.tx.ExecContext(ctx, "DELETE FROM media WHERE id = ?", id); err != nil {
				return fmt.Errorf("remove medium: %w", err)
			}
			a.done.Media.Removed++
		}
	}
	if _, err := count(ctx, a.tx, namesKey); err != nil {
		return err
	}
	for _, m := range a.st.Media {
		t := a.media[m.ID]
		if t.Fresh {
			a.done.Media.Added++
		} else {
			a.done.Media.Same++
		}
		if !t.Rename {
			continue
		}
		name, err := cleanFileName(m.Name)
		if err != nil {
			return inFile("medium", m.Name, err)
		}
		// Free for its own row too.
		if _, err := a.tx.ExecContext(ctx, "UPDATE media SET name = '' WHERE id = ?", t.ID); err != nil {
			return fmt.Errorf("name medium %q: %w", name, err)
		}
		if name, err = freeName(ctx, a.tx, "media", name, maxFileName); err != nil {
			return fmt.Errorf("name medium %q: %w", name, err)
		}
		_, err = a.tx.ExecContext(ctx, "UPDATE media SET name = ?, parent = ?, version = ?, created = ?, created_by = ? WHERE id = ?",
			name, a.media[m.Parent].ID, max(m.Version, 1), m.Created.Unix(), m.By, t.ID)
		if err != nil {
			return fmt.Errorf("name medium %q: %w", name, err)
		}
	}
	return nil
}
