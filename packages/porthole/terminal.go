package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// terminal talks with whoever called.
type terminal struct {
	in       *os.File
	lines    *bufio.Reader
	out, err io.Writer
	// asks says that somebody can be asked, draws that a bar can be drawn over and over in one place.
	asks, draws bool
	bar         *progressbar.ProgressBar
}

func newTerminal(in, out, err *os.File) *terminal {
	return &terminal{
		in: in, lines: bufio.NewReader(in), out: out, err: err,
		asks: term.IsTerminal(int(in.Fd())), draws: term.IsTerminal(int(err.Fd())),
	}
}

// say writes a line of what goes on.
func (t *terminal) say(format string, args ...any) {
	t.endBar()
	fmt.Fprintf(t.err, format+"\n", args...)
}

// errNobody means that there is nobody to ask.
var errNobody = errors.New("nobody can be asked here: this is not a terminal")

// ask asks for a line.
func (t *terminal) ask(question string) (string, error) {
	if !t.asks {
		return "", errNobody
	}
	t.endBar()
	fmt.Fprint(t.err, question)
	line, err := t.lines.ReadString('\n')
	if err != nil {
		fmt.Fprintln(t.err)
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// secret asks for a line that the screen does not show.
func (t *terminal) secret(question string) (string, error) {
	if !t.asks {
		return "", errNobody
	}
	fmt.Fprint(t.err, question)
	b, err := term.ReadPassword(int(t.in.Fd()))
	fmt.Fprintln(t.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(b), nil
}

// begin begins a bar of that many bytes, or says what it would be about.
func (t *terminal) begin(what string, total int64) {
	t.endBar()
	if !t.draws {
		t.say("%s, %s", what, bytesText(total))
		return
	}
	t.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(t.err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionSetWidth(24), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100e6))
}

// set says how much is done.
func (t *terminal) set(done int64) {
	if t.bar != nil {
		_ = t.bar.Set64(done) // a bar that cannot be drawn is none
	}
}

func (t *terminal) endBar() {
	if t.bar != nil {
		_ = t.bar.Finish() // as above
		_ = t.bar.Clear()
		t.bar = nil
	}
}

// bytesText says a number of bytes in decimal units.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f kB", float64(n)/1e3)
}
