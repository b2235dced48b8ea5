// Package playback plays a program: it decides what is due, has the next item ready before it is, and hands both to the
// stage without a gap. What cannot be played is passed over with a reason, and the next item comes on time.
package playback

import (
	"os"
	"time"
)

// Files finds media that were downloaded and verified (cache.Cache).
type Files interface {
	// Open opens a medium by its SHA-256 in hex, for reading; fs.ErrNotExist while it is not here. It counts as played.
	Open(sha256 string) (*os.File, error)
}

// Event is something that the server is to hear.
type Event struct {
	// Status is "playing", "error" or "restarting".
	Status  string
	Message string
	// Item and Version are those of the program; 0 where none is meant.
	Item, Version int64
	Time          time.Time
}

// State is what playback can say, for player.sock.
type State struct {
	// Playing says that an item of a program is on the screen.
	Playing bool `json:"playing"`
	// Playlist, Version, Rule and Interrupt are of what is due now; Until is when that ends, zero for never.
	Playlist     int64     `json:"playlist,omitempty"`
	PlaylistName string    `json:"playlist_name,omitempty"`
	Version      int64     `json:"version,omitempty"`
	Rule         int64     `json:"rule,omitempty"`
	Interrupt    int64     `json:"interrupt,omitempty"`
	Until        time.Time `json:"until,omitzero"`
	// Item is what is on the screen, Next what comes then.
	Item *ItemState `json:"item,omitempty"`
	Next *ItemState `json:"next,omitempty"`
	// Problem says in a sentence what viewers should know of what they see: that a camera's picture stands still. Empty if all is well.
	Problem string `json:"problem,omitempty"`
	// Skipped are items that could not be played, the last first, at most 20.
	Skipped []Skipped `json:"skipped,omitempty"`
	// Gaps are the gaps between items so far, in refreshes of the screen: 0 means that the next item's first frame came at the
	// very refresh after the last one's time was over.
	Gaps Gaps `json:"gaps"`
	// Restarts counts how often the watchdog began anew; LastRestart says why.
	Restarts    int    `json:"restarts"`
	LastRestart string `json:"last_restart,omitempty"`
}

// ItemState is an item.
type ItemState struct {
	ID    int64     `json:"id"`
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	Since time.Time `json:"since,omitzero"`
	// Presented counts its frames that were shown, Dropped those that a later one had overtaken.
	Presented uint64 `json:"presented"`
	Dropped   uint64 `json:"dropped"`
}

// Skipped is an item that could not be played.
type Skipped struct {
	Item   int64     `json:"item"`
	Name   string    `json:"name"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Gaps counts changes from one item to the next, and videos' own seams, by how many refreshes they took beyond the first
// possible one.
type Gaps struct {
	Changes uint64 `json:"changes"`
	Late    uint64 `json:"late"`
	Max     uint64 `json:"max"`
}
