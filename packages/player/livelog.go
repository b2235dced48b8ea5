package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"porthole/media/render"
	"porthole/packages/internal/retry"
	"porthole/packages/internal/unixsock"
)

const (
	// logLines is how many lines are kept for the screen: more than any shows.
	logLines = 300
	// logWithin bounds one question for more of the log: system waits up to 20 s for a line.
	logWithin = 30 * time.Second
)

// logLine is a line of system's GET /log.
type logLine struct {
	Seq     int64
	Time    time.Time
	Process string
	Text    string
}

// followLog hands the last lines of all processes to show, whenever there are more, until ctx ends.
func followLog(ctx context.Context, system *unixsock.Client, show func([]render.Line)) {
	defer show(nil)
	lines := []render.Line{}
	show(lines)
	after := int64(0)
	for failures := 0; ; {
		var more struct{ Lines []logLine }
		call, cancel := context.WithTimeout(ctx, logWithin)
		_, err := system.Call(call, http.MethodGet, fmt.Sprintf("/log?after=%d", after), nil, &more)
		cancel()
		if err != nil {
			// system numbers its lines anew after a restart.
			after = 0
			failures++
			if !retry.Pause(ctx, retry.Backoff(failures, 200*time.Millisecond, 5*time.Second)) {
				return
			}
			continue
		}
		failures = 0
		if len(more.Lines) == 0 {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		if after == 0 {
			lines = nil
		}
		for _, l := range more.Lines {
			lines = append(lines, render.Line{Time: l.Time, Source: l.Process, Level: levelOf(l.Text), Text: l.Text})
			after = max(after, l.Seq)
		}
		// Who shows the lines keeps them: never the same memory twice.
		lines = append([]render.Line(nil), lines[max(0, len(lines)-logLines):]...)
		show(lines)
	}
}

// levelOf reads a line's level as our processes write it (log/slog's text).
func levelOf(text string) slog.Level {
	_, rest, found := strings.Cut(text, "level=")
	if !found {
		return slog.LevelInfo
	}
	name, _, _ := strings.Cut(rest, " ")
	var l slog.Level
	if l.UnmarshalText([]byte(name)) != nil {
		return slog.LevelInfo
	}
	return l
}
