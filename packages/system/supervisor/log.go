package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

const (
	// maxLines bounds what is read of a log: the supervisor keeps 100 of each stream.
	maxLines = 200
	// maxLine bounds a line in bytes; longer ones are cut.
	maxLine = 4096
	// quiet is how long nothing must come before the kept lines are taken to be all.
	quiet = 150 * time.Millisecond
)

// Line is one line a process said.
type Line struct {
	// Stream is "stdout" or "stderr".
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

// Log returns the last lines of a process, the newest last within each stream.
func (c *Client) Log(ctx context.Context, name string) ([]Line, error) {
	p, err := c.find(ctx, name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	res, err := c.get(ctx, "/log?stream=both&path="+url.QueryEscape(p), "text/event-stream")
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", name, err)
	}
	defer res.Body.Close()

	// The supervisor sends what it has kept and then goes on for ever: reading ends when it falls quiet.
	calm := time.AfterFunc(quiet, cancel)
	defer calm.Stop()
	var lines []Line
	err = parseEvents(res.Body, func(l Line) bool {
		calm.Reset(quiet)
		lines = append(lines, l)
		return len(lines) < maxLines
	})
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("read the log of %s: %w", name, err)
	}
	return lines, nil
}

// parseEvents reads server-sent events (WHATWG HTML section 9.2.6) as gokrazy writes them: an event field that names
// the stream, one data field, an empty line. It ends when take returns false.
func parseEvents(r io.Reader, take func(Line) bool) error {
	br := bufio.NewReaderSize(r, maxLine)
	event, data, has := "", "", false
	for {
		raw, long, err := br.ReadLine()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		text := string(raw)
		for long {
			if _, long, err = br.ReadLine(); err != nil {
				return err
			}
		}
		switch field, value, _ := strings.Cut(text, ":"); {
		case text == "":
			if has && !take(Line{Stream: event, Text: strings.ToValidUTF8(data, "\uFFFD")}) {
				return nil
			}
			event, data, has = "", "", false
		case field == "event":
			event = strings.TrimPrefix(value, " ")
		case field == "data":
			data, has = strings.TrimPrefix(value, " "), true
		}
	}
}
