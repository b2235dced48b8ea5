// Package clock says what time it is on a device without a battery: the system's time where it can be right, else the
// server's, else the last one known, counted on.
package clock

import "time"

// Source is where the time comes from.
type Source string

// The sources, best first.
const (
	System    Source = "system"
	Server    Source = "server"
	LastKnown Source = "last known"
)

// State is what the clock can say, for player.sock.
type State struct {
	Now    time.Time `json:"now"`
	Source Source    `json:"source"`
}
