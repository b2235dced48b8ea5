package spool

import "bytes"

// Flush writes what is pending now. It must not be called beside Run.
func (s *Spool) Flush() bool { return s.flush() }

// Parse is what a journal with these bytes says.
func Parse(b []byte) (reports []Report, lost, damaged int) {
	c, damaged := parse(bytes.NewReader(b))
	return c.reports, c.lost, damaged
}
