//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// terminal is where hostrun shows what everybody says, a line at a time, with the speaker's name in front.
type terminal struct {
	width  int
	colour map[string]string // escape sequence by name; nil without colours

	mu sync.Mutex
	w  io.Writer // guarded by mu
}

// newTerminal shows names in colour when f is a terminal and NO_COLOR (no-color.org) is not set.
func newTerminal(f *os.File, names []string) *terminal {
	t := &terminal{w: f}
	for _, n := range names {
		t.width = max(t.width, len(n))
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return t
	}
	t.colour = map[string]string{}
	for i, n := range names {
		t.colour[n] = fmt.Sprintf("\x1b[%dm", 32+i%5) // green, yellow, blue, magenta, cyan
	}
	return t
}

// line shows one line.
func (t *terminal) line(name, text string) {
	prefix := fmt.Sprintf("%-*s | ", t.width, name)
	if t.colour != nil {
		prefix = t.colour[name] + prefix + "\x1b[0m"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	io.WriteString(t.w, prefix+text+"\n")
}

// speaker returns a writer of whole lines in somebody's name, for a slog handler.
func (t *terminal) speaker(name string) io.Writer { return speaker{t, name} }

type speaker struct {
	t    *terminal
	name string
}

// Write takes one or more whole lines.
func (s speaker) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		s.t.line(s.name, strings.TrimSuffix(line, "\n"))
	}
	return len(b), nil
}
