package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

const (
	format  = "porthole-signage"
	version = 1
	// maxManifest bounds manifest.json, in bytes.
	maxManifest = 64 << 20
)

// manifest is manifest.json. Ids only refer from one part of the file to another.
type manifest struct {
	Format          string     `json:"format"`
	Version         int        `json:"version"`
	Made            time.Time  `json:"made"`
	Timezone        string     `json:"timezone"`
	DefaultPlaylist int64      `json:"default_playlist,omitempty"`
	Media           []medium   `json:"media"`
	Playlists       []playlist `json:"playlists"`
	Groups          []group    `json:"groups"`
	Players         []player   `json:"players"`
	Rules           []rule     `json:"rules"`
}

type medium struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	SHA256  string    `json:"sha256"`
	Size    int64     `json:"size"`
	Kind    string    `json:"kind"`
	MIME    string    `json:"mime"`
	Parent  int64     `json:"parent,omitempty"`
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	By      string    `json:"by,omitempty"`
}

type playlist struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Transition string `json:"transition"`
	Published  bool   `json:"published"`
	Draft      []item `json:"draft"`
	// Live is absent where it is the same as the draft.
	Live []item `json:"live,omitempty"`
	Same bool   `json:"live_is_draft,omitempty"`
}

type item struct {
	Kind        string `json:"kind"`
	Media       int64  `json:"media,omitempty"`
	Camera      string `json:"camera,omitempty"`
	URL         string `json:"url,omitempty"`
	Text        string `json:"text,omitempty"`
	DurationMS  int64  `json:"duration_ms"`
	Fit         string `json:"fit"`
	Description string `json:"description,omitempty"`
}

type group struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Playlist int64  `json:"playlist,omitempty"`
}

type player struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Hostname    string `json:"hostname"`
	Own         bool   `json:"own,omitempty"`
	Group       int64  `json:"group,omitempty"`
	Playlist    int64  `json:"playlist,omitempty"`
	Orientation string `json:"orientation"`
	PlainHTTP   bool   `json:"plain_http,omitempty"`
	MayEdit     bool   `json:"may_edit"`
	Enabled     bool   `json:"enabled"`
	// The hashes are argon2id, PHC strings; absent unless they were asked for.
	CodeHash     string `json:"quickconnect_hash,omitempty"`
	PasswordHash string `json:"password_hash,omitempty"`
}

type rule struct {
	Name       string `json:"name,omitempty"`
	Playlist   int64  `json:"playlist"`
	Group      int64  `json:"group,omitempty"`
	Player     int64  `json:"player,omitempty"`
	FromDate   string `json:"from_date,omitempty"`
	ToDate     string `json:"to_date,omitempty"`
	FromMinute int    `json:"from_minute"`
	ToMinute   int    `json:"to_minute"`
	Weekdays   uint8  `json:"weekdays"`
	Priority   int    `json:"priority"`
	Enabled    bool   `json:"enabled"`
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func problem(text string, args ...any) error { return &Problem{fmt.Sprintf(text, args...)} }

// readManifest reads and checks manifest.json. Every error is a *Problem.
func readManifest(r io.Reader) (manifest, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return manifest{}, problem("The list of contents in this file cannot be read: %v. Copy or download the file again.", err)
	}
	if len(b) > maxManifest {
		return manifest{}, problem("The list of contents in this file is larger than any that Porthole writes.")
	}
	// Of another format, or a later version, more may be unknown than these two.
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	switch err := json.Unmarshal(b, &head); {
	case err != nil || head.Format != format:
		return manifest{}, problem("This is not a file that Porthole's signage server exported.")
	case head.Version > version:
		return manifest{}, problem("This file is of format %d, of a newer Porthole; this one knows format %d. Update this Porthole, then import it again.", head.Version, version)
	case head.Version < 1:
		return manifest{}, problem("This file is of format %d, which there never was.", head.Version)
	}
	var m manifest
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return manifest{}, problem("The list of contents in this file has a mistake: %v.", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return manifest{}, problem("The list of contents in this file goes on after its end.")
	}
	return m, m.check()
}

func (m manifest) check() error {
	switch {
	case len(m.Media) > db.MaxMedia:
		return problem("This file has %d media; at most %d are taken.", len(m.Media), db.MaxMedia)
	case len(m.Playlists) > db.MaxPlaylists || len(m.Groups) > db.MaxGroups || len(m.Players) > db.MaxPlayers || len(m.Rules) > db.MaxRules:
		return problem("This file has more playlists, groups, screens or rules than Porthole takes.")
	}
	names := map[string]bool{}
	ids := map[string]map[int64]bool{}
	once := func(what, name string, id int64) error {
		if ids[what] == nil {
			ids[what] = map[int64]bool{}
		}
		if id <= 0 || ids[what][id] {
			return problem("The list of contents in this file is wrong: the id of %s %q is used twice, or is none.", what, name)
		}
		if names[what+" "+name] {
			return problem("The list of contents in this file is wrong: it has the %s %q twice.", what, name)
		}
		ids[what][id], names[what+" "+name] = true, true
		return nil
	}
	sizes := map[string]int64{}
	for _, x := range m.Media {
		if err := once("medium", x.Name, x.ID); err != nil {
			return err
		}
		if strings.ContainsAny(x.Name, `/\`) {
			return problem("The list of contents in this file is wrong: %q is not the name of a file.", x.Name)
		}
		if !sha256Hex.MatchString(x.SHA256) || x.Size <= 0 {
			return problem("The list of contents in this file is wrong: the medium %q has no right SHA-256 or size.", x.Name)
		}
		if size, ok := sizes[x.SHA256]; ok && size != x.Size {
			return problem("The list of contents in this file is wrong: the medium %q has two sizes.", x.Name)
		}
		sizes[x.SHA256] = x.Size
	}
	for _, x := range m.Playlists {
		if err := once("playlist", x.Name, x.ID); err != nil {
			return err
		}
	}
	for _, x := range m.Groups {
		if err := once("group", x.Name, x.ID); err != nil {
			return err
		}
	}
	own := 0
	for _, x := range m.Players {
		if err := once("screen", x.Hostname, x.ID); err != nil {
			return err
		}
		if x.Own {
			own++
		}
	}
	if own > 1 {
		return problem("The list of contents in this file is wrong: it has %d own screens.", own)
	}
	return nil
}

func newItems(items []signage.Item) []item {
	all := []item{}
	for _, i := range items {
		all = append(all, item{string(i.Kind), i.MediaID, i.Camera, i.URL, i.Text, i.Duration.Milliseconds(), i.Fit, i.Description})
	}
	return all
}

func (m manifest) items(items []item) []signage.Item {
	var all []signage.Item
	for _, i := range items {
		all = append(all, signage.Item{
			Kind: signage.ItemKind(i.Kind), MediaID: i.Media, Camera: i.Camera, URL: i.URL, Text: i.Text,
			// What is longer than any duration stays so, and is refused.
			Duration: time.Duration(min(max(i.DurationMS, -1), 1<<40)) * time.Millisecond, Fit: i.Fit, Description: i.Description,
		})
	}
	return all
}

// newManifest is the manifest of everything; secrets adds hashes of quick-connect codes and passwords.
func newManifest(st db.State, made time.Time, secrets bool) manifest {
	m := manifest{
		Format: format, Version: version, Made: made.UTC(), Timezone: st.Timezone, DefaultPlaylist: st.DefaultPlaylist,
		Media: []medium{}, Playlists: []playlist{}, Groups: []group{}, Players: []player{}, Rules: []rule{},
	}
	known := map[int64]bool{}
	for _, x := range st.Media {
		known[x.ID] = true
	}
	for _, x := range st.Media {
		if !known[x.Parent] {
			x.Parent = 0
		}
		m.Media = append(m.Media, medium{x.ID, x.Name, x.SHA256, x.SizeBytes, string(x.Kind), x.MIME, x.Parent, x.Version, x.Created, x.By})
	}
	for _, x := range st.Playlists {
		p := playlist{ID: x.ID, Name: x.Name, Transition: x.Transition, Published: x.Version > 0, Draft: newItems(x.Draft)}
		if x.Changed {
			p.Live = newItems(x.Live)
		} else {
			p.Same = p.Published
		}
		m.Playlists = append(m.Playlists, p)
	}
	for _, x := range st.Groups {
		m.Groups = append(m.Groups, group{x.ID, x.Name, x.Playlist})
	}
	for _, x := range st.Players {
		p := player{
			ID: x.ID, Name: x.Name, Hostname: x.Hostname, Own: x.Own, Group: x.Group, Playlist: x.Playlist, Orientation: x.Orientation,
			PlainHTTP: x.PlainHTTP, MayEdit: x.MayEdit, Enabled: x.Enabled,
		}
		if secrets {
			p.CodeHash, p.PasswordHash = x.Code, x.Password
		}
		m.Players = append(m.Players, p)
	}
	for _, x := range st.Rules {
		m.Rules = append(m.Rules, rule{
			x.Name, x.Playlist, x.Target.Group, x.Target.Player, x.FromDate, x.ToDate, x.FromMinute, x.ToMinute, x.Weekdays, x.Priority, x.Enabled,
		})
	}
	return m
}

// state is what the manifest says.
func (m manifest) state() db.State {
	st := db.State{Timezone: m.Timezone, DefaultPlaylist: m.DefaultPlaylist}
	for _, x := range m.Media {
		st.Media = append(st.Media, signage.Media{
			ID: x.ID, Name: x.Name, SHA256: x.SHA256, SizeBytes: x.Size, Parent: x.Parent, Version: x.Version, Created: x.Created, By: x.By,
		})
	}
	for _, x := range m.Playlists {
		p := db.PlaylistState{Playlist: signage.Playlist{ID: x.ID, Name: x.Name, Transition: x.Transition}, Draft: m.items(x.Draft), Live: m.items(x.Live)}
		if x.Same {
			p.Live = p.Draft
		}
		if x.Published {
			p.Version = 1
		} else {
			p.Live = nil
		}
		st.Playlists = append(st.Playlists, p)
	}
	for _, x := range m.Groups {
		st.Groups = append(st.Groups, signage.Group{ID: x.ID, Name: x.Name, Playlist: x.Playlist})
	}
	for _, x := range m.Players {
		st.Players = append(st.Players, db.PlayerState{
			Player: signage.Player{
				ID: x.ID, Name: x.Name, Hostname: x.Hostname, Own: x.Own, Group: x.Group, Playlist: x.Playlist, Orientation: x.Orientation,
				PlainHTTP: x.PlainHTTP, MayEdit: x.MayEdit, Enabled: x.Enabled,
			},
			Code: x.CodeHash, Password: x.PasswordHash,
		})
	}
	for _, x := range m.Rules {
		st.Rules = append(st.Rules, signage.Rule{
			Name: x.Name, Playlist: x.Playlist, Target: signage.Target{Group: x.Group, Player: x.Player}, FromDate: x.FromDate, ToDate: x.ToDate,
			FromMinute: x.FromMinute, ToMinute: x.ToMinute, Weekdays: x.Weekdays, Priority: x.Priority, Enabled: x.Enabled,
		})
	}
	return st
}
