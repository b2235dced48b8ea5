package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"porthole/packages/internal/program"
)

// medium is a file that a program needs.
type medium struct {
	// key names it: the content's SHA-256, or one made of the address where the server does not say that.
	key string
	// sha is the content's SHA-256 in hex, empty where the server does not say it.
	sha  string
	name string
	urls []string
	// size is in bytes, 0 where nobody knows.
	size int64
}

// addressKey is the key of what has no hash.
func addressKey(url string) string {
	sum := sha256.Sum256([]byte(url))
	return "url-" + hex.EncodeToString(sum[:])
}

// isFile reports whether an item is shown from a file.
func isFile(i program.Item) bool { return i.Kind == "image" || i.Kind == "video" }

// mediumOf is an item's medium. Keys become names of files: what a server calls a hash is looked at.
func mediumOf(i program.Item) medium {
	m := medium{key: i.SHA256, sha: i.SHA256, name: i.FileName, size: max(0, i.SizeBytes)}
	switch {
	case i.SHA256 == "":
		m.key = addressKey(i.URL)
	case !isHash(i.SHA256):
		m.key, m.sha = addressKey(i.SHA256), ""
		return m
	}
	if i.URL != "" {
		m.urls = []string{i.URL}
	}
	return m
}

// media are what a program needs, each once, in the order in which they are needed: for interruptions, for what is due now,
// for when nothing is, for everything else. It needs mu.
func (c *Cache) media(p program.Program) []medium {
	first := map[int64]int{}
	if now := program.Resolve(p, c.cfg.Now()).Playlist; now != nil {
		first[now.ID] = 2
	}
	if first[p.Base] == 0 {
		first[p.Base] = 1
	}
	for _, i := range p.Interrupts {
		first[i.Playlist] = 3
	}
	lists := slices.Clone(p.Playlists)
	slices.SortStableFunc(lists, func(a, b program.Playlist) int { return first[b.ID] - first[a.ID] })
	var all []medium
	at := map[string]int{}
	for _, l := range lists {
		for _, i := range l.Items {
			if !isFile(i) {
				continue
			}
			m := mediumOf(i)
			if n, ok := at[m.key]; !ok {
				at[m.key] = len(all)
				all = append(all, m)
			} else if i.URL != "" && !slices.Contains(all[n].urls, i.URL) {
				all[n].urls = append(all[n].urls, i.URL)
			}
		}
	}
	return all
}

// content is the SHA-256 of a medium as far as it is known, else empty. It needs mu.
func (c *Cache) content(m medium) string {
	if m.sha != "" || len(m.urls) == 0 {
		return m.sha
	}
	return c.disk.origins[m.urls[0]].SHA256
}

// here reports whether a medium can be played. It needs mu.
func (c *Cache) here(m medium) bool {
	return c.disk.files[c.content(m)].good
}

// fresh is here, and known to be what the server has. It needs mu.
func (c *Cache) fresh(m medium) bool {
	return c.here(m) && (m.sha != "" || c.checked[m.urls[0]])
}

// fill returns a copy of a program in which hashes and sizes are those of the files here. It needs mu.
func (c *Cache) fill(p program.Program) program.Program {
	p = clone(p)
	for _, l := range p.Playlists {
		for n := range l.Items {
			i := &l.Items[n]
			if !isFile(*i) {
				continue
			}
			if sha := c.content(mediumOf(*i)); c.disk.files[sha].good {
				i.SHA256, i.SizeBytes = sha, c.disk.files[sha].size
			}
		}
	}
	return p
}

// playable is fill without the items whose files are not here. It needs mu.
func (c *Cache) playable(p program.Program) program.Program {
	p = c.fill(p)
	for n := range p.Playlists {
		p.Playlists[n].Items = slices.DeleteFunc(p.Playlists[n].Items, func(i program.Item) bool {
			return isFile(i) && !c.disk.files[i.SHA256].good
		})
	}
	return p
}

// onScreen is playable, of the program that plays. It needs mu.
func (c *Cache) onScreen(p program.Program) program.Program {
	p = c.playable(p)
	if c.starving == fed {
		return p
	}
	for n := range p.Playlists {
		p.Playlists[n].Items = slices.DeleteFunc(p.Playlists[n].Items, func(i program.Item) bool { return isFile(i) && i.SHA256 != c.ration })
	}
	return p
}

// shows reports whether a program has anything that can be shown now or later.
func shows(p program.Program) bool {
	return slices.ContainsFunc(p.Playlists, func(l program.Playlist) bool { return len(l.Items) > 0 })
}

// needed has the keys and contents of what must not be removed. It needs mu.
func (c *Cache) needed() map[string]bool {
	all := map[string]bool{}
	for _, p := range []*program.Program{c.playing, c.coming, c.stored} {
		switch {
		case p == nil:
			continue
		case c.starving != fed && p != c.coming:
			all[c.ration] = true
			continue
		}
		for _, l := range p.Playlists {
			for _, i := range l.Items {
				if isFile(i) {
					m := mediumOf(i)
					all[m.key], all[c.content(m)] = true, true
				}
			}
		}
	}
	return all
}

// bridge is the program that plays while another is being fetched: the old one, with what cannot wait of the new one. It
// needs mu.
func (c *Cache) bridge(old, coming program.Program) program.Program {
	b := clone(old)
	b.Time, b.IdentifyUntil, b.Screenshot = coming.Time, coming.IdentifyUntil, coming.Screenshot
	b.Interrupts = nil
	for _, i := range coming.Interrupts {
		if i.Playlist != 0 && !c.lend(&b, coming, i.Playlist) {
			continue
		}
		b.Interrupts = append(b.Interrupts, i)
	}
	return b
}

// lend puts a playlist of the coming program into b, if all of it is here. It needs mu.
func (c *Cache) lend(b *program.Program, coming program.Program, id int64) bool {
	at := slices.IndexFunc(coming.Playlists, func(l program.Playlist) bool { return l.ID == id })
	if at < 0 || slices.ContainsFunc(coming.Playlists[at].Items, func(i program.Item) bool { return isFile(i) && !c.here(mediumOf(i)) }) {
		return false
	}
	list := coming.Playlists[at]
	list.Items = slices.Clone(list.Items)
	if own := slices.IndexFunc(b.Playlists, func(l program.Playlist) bool { return l.ID == id }); own >= 0 {
		b.Playlists[own] = list
	} else {
		b.Playlists = append(b.Playlists, list)
	}
	return true
}

// clone copies whatever is changed here.
func clone(p program.Program) program.Program {
	p.Playlists = slices.Clone(p.Playlists)
	p.Rules, p.Interrupts = slices.Clone(p.Rules), slices.Clone(p.Interrupts)
	for n := range p.Playlists {
		items := slices.Clone(p.Playlists[n].Items)
		for i := range items {
			items[i].SHA256 = strings.ToLower(items[i].SHA256)
		}
		p.Playlists[n].Items = items
	}
	return p
}

// isHash reports whether s is a SHA-256 in hex, in small letters.
func isHash(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for n := range len(s) {
		if c := s[n]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
