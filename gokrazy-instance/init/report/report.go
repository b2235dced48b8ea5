// Package report tells on the console which processes run, for whoever has a serial cable at hand and no other way in.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What Reporter does unless told otherwise.
const (
	DefaultInterval = 2 * time.Second
	DefaultSettle   = 5 * time.Second
)

// Reporter watches gokrazy's processes.
type Reporter struct {
	// Socket is gokrazy's own socket, Proc where procfs is mounted.
	Socket, Proc string
	// Interval is how often the supervisor is asked; Settle is how long a process must have run to count as running: one
	// that crashes at once never does.
	Interval, Settle time.Duration
	// Out gets a line whenever another set of processes runs.
	Out io.Writer
}

// service is what gokrazy says of a process.
type service struct {
	Stopped bool
	Pid     int
	Path    string
}

// seen is a process as it was at the last look.
type seen struct {
	pid       int
	since     time.Time
	restarted bool
}

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.Socket)
	}}}
	defer client.CloseIdleConnections()
	known := map[string]seen{}
	var last string
	t := time.NewTicker(r.Interval)
	defer t.Stop()
	for {
		if list, err := ask(ctx, client); err == nil {
			if line := r.line(list, known, time.Now()); line != "" && line != last {
				fmt.Fprintln(r.Out, line)
				last = line
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// askTimeout bounds one question to the supervisor.
const askTimeout = 10 * time.Second

func ask(ctx context.Context, client *http.Client) ([]service, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gokrazy/", nil)
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor: %w", err)
	}
	defer res.Body.Close()
	var status struct{ Services []service }
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		return nil, fmt.Errorf("read the supervisor's answer: %w", err)
	}
	return status.Services, nil
}

// line says which processes run and which should but do not; empty while any of them has
// only just been started for the first time.
func (r *Reporter) line(list []service, known map[string]seen, now time.Time) string {
	var running, down []string
	settling := false
	for _, s := range list {
		if s.Stopped {
			continue
		}
		name := filepath.Base(s.Path)
		k, ok := known[s.Path]
		if !ok || k.pid != s.Pid {
			k = seen{pid: s.Pid, since: now, restarted: ok && k.pid > 0}
			known[s.Path] = k
		}
		_, err := os.Stat(filepath.Join(r.Proc, strconv.Itoa(s.Pid)))
		young := now.Sub(k.since) < r.Settle
		switch {
		case young && !k.restarted:
			settling = true
		case young || s.Pid <= 0 || err != nil:
			down = append(down, name)
		default:
			running = append(running, name)
		}
	}
	if settling || len(running)+len(down) == 0 {
		return ""
	}
	slices.Sort(running)
	slices.Sort(down)
	line := "processes: running: " + strings.Join(running, " ")
	if len(down) > 0 {
		line += "; not running: " + strings.Join(down, " ")
	}
	return line
}
