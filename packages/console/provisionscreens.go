package main

import (
	"context"
	"errors"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/internal/provision"
)

// provisionScreens takes the players that a file declares: it adds and updates, and makes groups that are not there. It may
// be done twice. A code is left out of a file once it was taken: a screen without one keeps what it has.
func (c *console) provisionScreens(ctx context.Context, f provision.File) (problems []provision.Problem, err error) {
	if len(f.Screens) == 0 && f.Player.Orientation == "" {
		return nil, nil
	}
	host := f.Hostname
	if host == "" {
		if host, err = setting(ctx, c.store.r, "hostname"); err != nil {
			return nil, err
		}
	}
	own, err := c.signage.EnsureOwn(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(f.Screens) == 0 {
		own.Orientation = f.Player.Orientation
		return nil, c.signage.UpdatePlayer(ctx, own)
	}
	for _, s := range f.Screens {
		wrong, err := c.provisionScreen(ctx, s, own)
		if fe, ok := asFieldError(err); ok {
			wrong, err = append(wrong, provision.Problem{Key: "player." + fe.Field, Reason: fe.Reason + "; the player " + quoted(s.Hostname) + " is left out"}), nil
		}
		if err != nil {
			return problems, err
		}
		problems = append(problems, wrong...)
	}
	return problems, nil
}

func (c *console) provisionScreen(ctx context.Context, s provision.Screen, own signage.Player) (problems []provision.Problem, err error) {
	p, err := own, error(nil)
	if !s.Own {
		p, err = c.signage.PlayerByHostname(ctx, s.Hostname)
		if errors.Is(err, signage.ErrNotFound) {
			p, err = signage.Player{Hostname: s.Hostname, MayEdit: true, Enabled: true}, nil
		}
		if err == nil && p.Own {
			return []provision.Problem{{Key: "player.hostname", Reason: quoted(s.Hostname) + " is this device itself; write own = true instead, or another hostname"}}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	for _, v := range []struct {
		from string
		to   *string
	}{{s.Name, &p.Name}, {s.Orientation, &p.Orientation}} {
		if v.from != "" {
			*v.to = v.from
		}
	}
	if s.PlainHTTP != nil {
		p.PlainHTTP = *s.PlainHTTP
	}
	if s.Group != "" {
		if p.Group, err = c.groupNamed(ctx, s.Group); err != nil {
			return nil, err
		}
	}
	if s.Playlist != "" {
		id, err := c.playlistNamed(ctx, s.Playlist)
		if err != nil {
			return nil, err
		}
		if id != 0 {
			p.Playlist = id
		} else {
			problems = append(problems, provision.Problem{Key: "player.playlist", Reason: "there is no playlist " + quoted(s.Playlist) + " yet; the player has none of its own until you choose one"})
		}
	}
	if p.ID == 0 {
		p, err = c.signage.CreatePlayer(ctx, p)
	} else {
		err = c.signage.UpdatePlayer(ctx, p)
	}
	if err == nil && s.QuickConnectCode != "" {
		err = c.setCode(ctx, p.ID, s.QuickConnectCode)
	}
	return problems, err
}

// groupNamed returns the group of that name, and makes it if there is none.
func (c *console) groupNamed(ctx context.Context, name string) (int64, error) {
	all, err := c.signage.Groups(ctx)
	if err != nil {
		return 0, err
	}
	for _, g := range all {
		if strings.EqualFold(g.Name, name) {
			return g.ID, nil
		}
	}
	g, err := c.signage.CreateGroup(ctx, signage.Group{Name: name})
	return g.ID, err
}

// playlistNamed returns the playlist of that name, 0 for none.
func (c *console) playlistNamed(ctx context.Context, name string) (int64, error) {
	all, err := c.signage.Playlists(ctx)
	for _, p := range all {
		if strings.EqualFold(p.Name, name) {
			return p.ID, nil
		}
	}
	return 0, err
}
