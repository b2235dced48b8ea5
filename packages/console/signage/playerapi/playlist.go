package playerapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/internal/program"
)

// defaultSeconds is for how long an item is shown that names no time.
const defaultSeconds = 10

// item is an item of a playlist as the contract has it.
type item struct {
	ID int64 `json:"id"`
	// FileName is made of the medium's name and its content: a player may keep files by this name for ever.
	FileName    string `json:"file_name"`
	Filename    string `json:"filename"`
	Type        string `json:"type"`
	Duration    int64  `json:"duration"`
	Position    int    `json:"position"`
	URL         string `json:"url"`
	Description string `json:"description"`
	SHA256      string `json:"sha256"`
	Size        int64  `json:"size"`
}

// leftOut is an item that players of the contract cannot show.
type leftOut struct {
	ID     int64  `json:"id"`
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

type playlistAnswer struct {
	PlayerID   int64     `json:"player_id"`
	PlayerName string    `json:"player_name"`
	Version    int64     `json:"playlist_version"`
	Playlist   []item    `json:"playlist"`
	Count      int       `json:"count"`
	LeftOut    []leftOut `json:"left_out,omitempty"`
}

// shown is what a player shows now. Its list has ID 0 where there is none: nothing, or an interruption by a text.
type shown struct {
	list program.Playlist
	text string
}

// showing returns what a player shows at now. The list must not be changed.
func (a *API) showing(ctx context.Context, id int64, now time.Time) (shown, error) {
	at, err := a.c.Store.Playing(ctx, id, now)
	if err != nil {
		return shown{}, err
	}
	s := shown{text: at.Text}
	if at.Playlist != nil {
		s.list = *at.Playlist
	}
	return s, nil
}

// playlistByID is GET /api/playlists/{id}.
func (a *API) playlistByID(w http.ResponseWriter, r *http.Request) error {
	c, err := a.self(r, fetches)
	if err != nil {
		return err
	}
	return a.answerPlaylist(w, r, c.player)
}

// playlistByName is GET and POST /api/playlists: players in the field send hostname and code in the query or in a form.
func (a *API) playlistByName(w http.ResponseWriter, r *http.Request) error {
	f, err := read(w, r)
	if r.Method == http.MethodGet {
		// A Content-Type without a body is what Kivy sends.
		f, err = fields{}, nil
	}
	if err != nil {
		return err
	}
	query := fieldsOf(r.URL.Query())
	if f.Hostname == "" {
		f.Hostname = query.Hostname
	}
	if f.Code == "" {
		f.Code = query.Code
	}
	if f.Password == "" {
		f.Password = query.Password
	}
	c, err := a.authenticate(r, fields{Hostname: f.Hostname, Code: f.Code, Password: f.Password}, fetches)
	if err != nil {
		return err
	}
	return a.answerPlaylist(w, r, c.player)
}

func (a *API) answerPlaylist(w http.ResponseWriter, r *http.Request, p *player) error {
	answer, err := a.playlist(r, p)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// playlist returns what p shows now, as the contract has it.
func (a *API) playlist(r *http.Request, p *player) (playlistAnswer, error) {
	now := time.Now()
	s, err := a.showing(r.Context(), p.ID, now)
	if err != nil {
		return playlistAnswer{}, err
	}
	answer := playlistAnswer{PlayerID: p.ID, PlayerName: p.Name, Playlist: []item{}}
	items := s.list.Items
	if s.text != "" {
		items = []program.Item{{Kind: "text", Text: s.text}}
	}
	for _, i := range items {
		it, why, err := a.item(r, p.ID, i, p.Orientation, now)
		switch {
		case err != nil:
			return answer, err
		case why != "":
			answer.LeftOut = append(answer.LeftOut, leftOut{i.ID, i.Kind, why})
		default:
			it.Position = len(answer.Playlist) + 1
			answer.Playlist = append(answer.Playlist, it)
		}
	}
	answer.Count = len(answer.Playlist)
	answer.Version = a.presence.show(p.ID, digest(answer), s.list.Version, now)
	return answer, nil
}

// item returns an item as players of the contract take it, or why they cannot.
func (a *API) item(r *http.Request, player int64, i program.Item, orientation string, now time.Time) (it item, leftOut string, err error) {
	it = item{ID: i.ID, Duration: seconds(i), Description: i.Description}
	switch i.Kind {
	case string(signage.Image), string(signage.Video):
		it.Type, it.SHA256, it.Size = i.Kind, i.SHA256, i.SizeBytes
		it.FileName = fileName(i.FileName, i.SHA256)
		it.URL = a.mediaURL(r, capability{player: player, media: i.MediaID}, it.FileName, now)
	case string(signage.ItemText):
		picture, err := a.texts.facts(i.Text, orientation)
		if err != nil {
			return it, "", err
		}
		it.Type, it.SHA256, it.Size = string(signage.Image), picture.sha256, picture.size
		it.FileName = fileName("text.png", picture.sha256)
		it.URL = a.mediaURL(r, capability{player: player, text: picture.id}, it.FileName, now)
		if it.Description == "" {
			it.Description = i.Text
		}
	default:
		return it, "players of this interface show files only", nil
	}
	it.Filename = it.FileName
	return it, "", nil
}

// seconds is for how long an item is shown; a video's own length, rounded up, where that is what it says.
func seconds(i program.Item) int64 {
	ms := i.DurationMS
	if ms <= 0 {
		ms = i.LengthMS
	}
	if ms <= 0 {
		return defaultSeconds
	}
	return (ms + 999) / 1000
}

// maxStem bounds a file's name without what makes it unique, in bytes: some file systems take 143.
const maxStem = 100

// fileName is a name that is safe on every file system and another one for other content.
func fileName(name, sha256 string) string {
	ext := strings.ToLower(path.Ext(name))
	stem := strings.TrimSuffix(name, path.Ext(name))
	stem = strings.Map(func(r rune) rune {
		switch {
		case r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0xa0 && r != utf8.RuneError:
			return r
		}
		return '_'
	}, strings.TrimLeft(stem, ". "))
	for len(stem) > maxStem {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	if len(ext) > 10 || strings.ContainsFunc(ext, func(r rune) bool { return r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }) {
		ext = ""
	}
	if stem == "" {
		stem = "file"
	}
	return stem + "-" + sha256[:min(8, len(sha256))] + ext
}

// digest tells contents apart. Addresses are left out: they change by themselves.
func digest(p playlistAnswer) string {
	h := sha256.New()
	for _, i := range p.Playlist {
		fmt.Fprintf(h, "%d %q %s %d %q %s\n", i.ID, i.FileName, i.Type, i.Duration, i.Description, i.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// restartStep is how far the version jumps after a restart when the content is another one: what was told in the last minute of
// the run before may not have been kept, and the clock may have been set back.
const restartStep = 120

// show notes what a player was told and returns that content's version. A player may take a playlist only if its version
// is greater than that of the one it has, so it grows whenever the content is another: also when the schedule goes back
// to a playlist that was shown before. It is about the time of the change.
func (p *presence) show(id int64, hash string, playing int64, now time.Time) (version int64) {
	p.on(id, func(l *live) {
		if l.shown.Hash != hash {
			l.shown = db.Shown{Version: max(l.shown.Version+max(l.step, 1), now.Unix()), Hash: hash}
			l.step, l.dirty = 0, true
		}
		if l.PlayingVersion != playing {
			l.PlayingVersion, l.dirty = playing, true
		}
		version = l.shown.Version
	})
	return version
}

// base is the scheme, host and port that r asked for.
func base(r *http.Request) string {
	scheme := "https://"
	if isPlain(r) {
		scheme = "http://"
	}
	return scheme + r.Host
}

func joinPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" || port == "443" {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// isGone reports whether err says that something does not exist.
func isGone(err error) bool {
	return errors.Is(err, signage.ErrNotFound) || errors.Is(err, fs.ErrNotExist)
}
