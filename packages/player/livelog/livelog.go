// Package livelog follows the log of all processes for the screen: somebody who stands in front of it sees what goes wrong,
// without a network.
package livelog

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/media/render"
	"porthole/packages/internal/program"
	"porthole/packages/internal/retry"
)

const (
	// kept bounds the lines: more fit no screen.
	kept = 250
	// showEvery bounds how often the screen is drawn for them.
	showEvery = 250 * time.Millisecond
	// answerWithin bounds one question; system answers after 20 s, also when there is nothing new.
	answerWithin = 40 * time.Second
	// maxText bounds a line, in bytes.
	maxText = 2000
)

// Caller asks system (unixsock.Client).
type Caller interface {
	Call(ctx context.Context, method, target string, in, out any) (int, error)
}

// entry is a line as system has it (docs/architecture.md, GET /log).
type entry struct {
	Seq     int64     `json:"seq"`
	Time    time.Time `json:"time"`
	Process string    `json:"process"`
	Text    string    `json:"text"`
}

// Follow shows the log, with times in an IANA zone, until ctx ends; then it shows nil. Show gets the newest line last, and
// may keep what it gets.
func Follow(ctx context.Context, system Caller, zone string, show func([]render.Line)) {
	location, _ := program.Zone(zone)
	defer show(nil)
	lines := []render.Line{}
	show(lines)
	var after int64
	for failures := 0; ctx.Err() == nil; {
		news, err := ask(ctx, system, after)
		if ctx.Err() != nil {
			return
		}
		wait := showEvery
		if err != nil {
			// A system that was started anew counts from the beginning.
			if failures++; failures == 1 {
				after = 0
				lines = append(lines, render.Line{Time: time.Now().In(location), Source: "player", Text: "The log cannot be read; trying again."})
				show(slices.Clone(lines))
			}
			wait = retry.Backoff(failures, showEvery, 5*time.Second)
		} else if len(news) > 0 {
			if after == 0 {
				lines = lines[:0] // what it answers now holds what was here
			}
			failures = 0
			after = news[len(news)-1].Seq
			for _, e := range news {
				lines = append(lines, line(e, location))
			}
			lines = slices.Clone(lines[max(0, len(lines)-kept):])
			show(slices.Clone(lines))
		}
		if !retry.Pause(ctx, wait) {
			return
		}
	}
}

func ask(ctx context.Context, system Caller, after int64) ([]entry, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer struct{ Lines []entry }
	code, err := system.Call(ctx, http.MethodGet, "/log?after="+strconv.FormatInt(after, 10), nil, &answer)
	if err != nil {
		return nil, fmt.Errorf("ask for the log: %w", err)
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("ask for the log: status %d", code)
	}
	slices.SortFunc(answer.Lines, func(a, b entry) int { return cmp.Compare(a.Seq, b.Seq) })
	return answer.Lines, nil
}

// line makes a line for the screen.
func line(e entry, location *time.Location) render.Line {
	text := strings.ToValidUTF8(e.Text[:min(len(e.Text), maxText)], "·")
	l := render.Line{Source: e.Process, Text: text}
	if !e.Time.IsZero() {
		l.Time = e.Time.In(location)
	}
	return structured(l)
}

// structured takes what slog's text handler writes apart: the time stands before the line already, and the level is its
// colour. Anything else stays as it is.
func structured(l render.Line) render.Line {
	rest, ok := strings.CutPrefix(l.Text, "time=")
	if !ok {
		return l
	}
	_, rest, ok = strings.Cut(rest, " level=")
	if !ok {
		return l
	}
	level, rest, ok := strings.Cut(rest, " msg=")
	if !ok || l.Level.UnmarshalText([]byte(level)) != nil {
		return l
	}
	l.Text = rest
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		if message, err := strconv.Unquote(quoted); err == nil {
			l.Text = message + rest[len(quoted):]
		}
	}
	return l
}
