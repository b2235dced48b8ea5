package program

import (
	"time"
	_ "time/tzdata" // the image has no zones of its own
)

// Zone returns the zone of an IANA name; UTC and false when there is no such zone.
func Zone(name string) (*time.Location, bool) {
	if name == "" || name == "Local" {
		// time's own words for what depends on the machine.
		return time.UTC, false
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, false
	}
	return l, true
}
