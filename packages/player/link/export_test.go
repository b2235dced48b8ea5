package link

import "time"

// Hasten makes a Link ask, tell and give up sooner.
func (l *Link) Hasten(poll, beat, stall time.Duration) { l.poll, l.beat, l.stall = poll, beat, stall }
