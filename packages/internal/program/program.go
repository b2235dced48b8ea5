// Package program says what a signage player shows and when: the playlists, the rules and the interruptions that concern
// it. The server works with it for players that know only "the playlist now"; Porthole's own player keeps it and decides
// by itself, also when the server is gone.
package program

import "time"

// Program is everything a player needs to play for years without its server.
type Program struct {
	// Revision grows with every change that concerns players.
	Revision int64 `json:"revision"`
	// Time is the server's clock when this was asked for.
	Time time.Time `json:"time"`
	// Timezone is the IANA name of the zone that dates and minutes of the rules are in.
	Timezone    string     `json:"timezone"`
	PlayerID    int64      `json:"player_id"`
	PlayerName  string     `json:"player_name"`
	Orientation string     `json:"orientation"`
	Playlists   []Playlist `json:"playlists"`
	// Base is the id of the playlist that plays when no rule applies, 0 for none.
	Base int64 `json:"base"`
	// Rules are in no particular order.
	Rules      []Rule      `json:"rules"`
	Interrupts []Interrupt `json:"interrupts"`
	// IdentifyUntil asks the player to show its name over everything until then.
	IdentifyUntil time.Time `json:"identify_until,omitzero"`
	// Screenshot asks for a picture of the screen whenever it grows; 0 means none is wanted.
	Screenshot int64 `json:"screenshot,omitempty"`
}

// Playlist is a published playlist.
type Playlist struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Version    int64  `json:"version"`
	Transition string `json:"transition"` // "cut" or "crossfade"
	Items      []Item `json:"items"`
}

// Item is what is shown for a while.
type Item struct {
	ID   int64  `json:"id"`
	Kind string `json:"kind"` // "image", "video", "camera", "stream" or "text"
	// FileName, URL, SHA256 (hex) and SizeBytes are of images and videos. URL of a stream is its RTSP address.
	FileName  string `json:"file_name,omitempty"`
	MIME      string `json:"mime,omitempty"`
	URL       string `json:"url,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	SizeBytes int64  `json:"size,omitempty"`
	// MediaID names an image or a video for as long as its content stays; LengthMS is a video's own length in milliseconds.
	MediaID  int64 `json:"media_id,omitempty"`
	LengthMS int64 `json:"length_ms,omitempty"`
	// Camera is the id of a camera of the device that serves this program.
	Camera string `json:"camera,omitempty"`
	Text   string `json:"text,omitempty"`
	// DurationMS is how long it is shown, in milliseconds; 0 means a video's own length.
	DurationMS  int64  `json:"duration_ms"`
	Fit         string `json:"fit"` // "fit", "fill" or "stretch"
	Description string `json:"description,omitempty"`
}

// Rule lets a playlist play at certain times.
type Rule struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Playlist int64  `json:"playlist"`
	// FromDate and ToDate are YYYY-MM-DD, both inclusive; empty means open.
	FromDate string `json:"from_date,omitempty"`
	ToDate   string `json:"to_date,omitempty"`
	// FromMinute (0 to 1439) and ToMinute (1 to 1440, exclusive) are minutes of the day on the wall clock. Where ToMinute is
	// not after FromMinute the rule ends on the next day.
	FromMinute int `json:"from_minute"`
	ToMinute   int `json:"to_minute"`
	// Weekdays has bit 0 for Monday to bit 6 for Sunday: the days on which it begins.
	Weekdays uint8 `json:"weekdays"`
	// Priority is 1 to 9; the highest wins, then the more special target, then the later id.
	Priority int `json:"priority"`
	// Special is 0 for a rule for all players, 1 for a group's, 2 for a player's own.
	Special int `json:"special"`
}

// Interrupt goes before everything else for a while; of several, the one with the higher id.
type Interrupt struct {
	ID       int64     `json:"id"`
	Playlist int64     `json:"playlist,omitempty"`
	Text     string    `json:"text,omitempty"`
	Begins   time.Time `json:"begins"`
	Ends     time.Time `json:"ends"`
}
