// Package signage is the signage server's own words: media, playlists, players, groups, schedules, and what is valid in
// them. Its subpackages keep them (db), store files (library) and speak with players (playerapi).
package signage

import (
	"errors"
	"time"
)

// ErrNotFound is what is said of an id that does not exist (any more).
var ErrNotFound = errors.New("there is no such thing (any more)")

// ErrTaken is what is said of a name that something else of the same kind has.
var ErrTaken = errors.New("this name is taken")

// MediaKind is what a file is to a player.
type MediaKind string

// The kinds of media.
const (
	Image MediaKind = "image"
	Video MediaKind = "video"
)

// Media is a file that can be shown. Several may have the same content, which is stored once.
type Media struct {
	ID        int64
	SHA256    string // hex
	SizeBytes int64
	Name      string // a file name, unique
	Kind      MediaKind
	MIME      string
	Width     int // pixels, upright
	Height    int
	Duration  time.Duration // 0 for a still picture
	Probe     Probe
	Parent    int64 // the medium that this is an edited version of, or 0
	Version   int   // counts from 1
	Created   time.Time
	By        string // account or player
}

// Probe is what is known of a file's inside.
type Probe struct {
	Container string  `json:"container,omitempty"` // "mp4", "matroska", "mpegts", "jpeg", …
	Codec     string  `json:"codec,omitempty"`     // "h264", "hevc", "vp9", "mpeg4", "jpeg", …
	Profile   string  `json:"profile,omitempty"`
	Level     string  `json:"level,omitempty"`
	FPS       float64 `json:"fps,omitempty"`
	BitDepth  int     `json:"bit_depth,omitempty"`
	Rotation  int     `json:"rotation,omitempty"` // degrees, already taken into Width and Height
	Audio     string  `json:"audio,omitempty"`
	Animated  bool    `json:"animated,omitempty"`
	Alpha     bool    `json:"alpha,omitempty"`
}

// ItemKind is what an item shows.
type ItemKind string

// The kinds of items.
const (
	ItemMedia  ItemKind = "media"
	ItemCamera ItemKind = "camera" // one of this device's cameras, by id
	ItemStream ItemKind = "stream" // any RTSP address
	ItemText   ItemKind = "text"
)

// Item stands in a playlist.
type Item struct {
	ID          int64
	Position    int // counts from 1
	Kind        ItemKind
	MediaID     int64
	Camera      string
	URL         string
	Text        string
	Duration    time.Duration // 0 means a video's own length
	Fit         string        // "fit", "fill" or "stretch"
	Description string
	// Media is filled in when items are read; nil for other kinds.
	Media *Media
}

// Stage tells what people edit from what players get.
type Stage string

// The stages of a playlist.
const (
	Draft Stage = "draft"
	Live  Stage = "live"
)

// Playlist is a list of items. Version grows with every publication; 0 means it was never published.
type Playlist struct {
	ID         int64
	Name       string
	Version    int64
	Changed    bool   // the draft differs from what is live
	Transition string // "cut" or "crossfade"
	Created    time.Time
	// Items and Total are the draft's.
	Items int
	Total time.Duration
}

// Group is a set of players that get the same.
type Group struct {
	ID       int64
	Name     string
	Playlist int64 // 0 for none
	Players  int   // how many; filled in when read
}

// Player is a screen.
type Player struct {
	ID          int64
	Name        string
	Hostname    string // unique; what the player calls itself
	Own         bool   // this device's own screen
	Group       int64  // 0 for none
	Playlist    int64  // 0 for the group's
	Orientation string
	PlainHTTP   bool
	MayEdit     bool
	Enabled     bool
	HasCode     bool // it has a quick-connect code
	HasPassword bool
	Created     time.Time
	LastSeen    time.Time
	Address     string
	Agent       string
	Status      string
	Message     string
	Item        string
	// PlayingVersion is the version of the playlist that it fetched last.
	PlayingVersion int64
	Screenshot     time.Time
}

// Target says whom a rule or an interruption concerns; the zero Target is everybody.
type Target struct {
	Group  int64
	Player int64
}

// Rule lets a playlist play at certain times; see program.Rule for the meaning of its fields.
type Rule struct {
	ID         int64
	Name       string
	Playlist   int64
	Target     Target
	FromDate   string
	ToDate     string
	FromMinute int
	ToMinute   int
	Weekdays   uint8
	Priority   int
	Enabled    bool
}

// Interrupt goes before everything else until it ends.
type Interrupt struct {
	ID       int64
	Playlist int64
	Text     string
	Target   Target
	Begins   time.Time
	Ends     time.Time
	By       string
}

// Feedback is what a player reported.
type Feedback struct {
	ID        int64
	Player    int64
	MessageID string // the player's own; empty: none
	At        time.Time
	Received  time.Time
	Status    string
	Message   string
	Item      string
}
