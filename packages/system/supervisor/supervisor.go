// Package supervisor asks gokrazy, or hostrun in its place, what runs, what it said, and to start it anew.
package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

// pollEvery is how often processes are looked at to count their restarts, which gokrazy does not.
const pollEvery = time.Second

// ErrUnknown means that there is no process of that name.
var ErrUnknown = errors.New("no such process")

// Process is one supervised process.
type Process struct {
	Name string `json:"name"`
	// State is "running", "stopped" (it asked not to be started again) or "restarting".
	State   string    `json:"state"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	// RSSBytes is its memory, zero when it does not run.
	RSSBytes int `json:"rss_bytes"`
	// Restarts counts starts after the first one seen.
	Restarts int `json:"restarts"`
	// Exit is how its last run ended, for example "exit status 1"; empty when that is not known.
	Exit string `json:"exit"`
}

// Client talks to the supervisor's socket.
type Client struct {
	http *http.Client

	mu sync.Mutex
	// Guarded by mu.
	seen map[string]*history
}

type history struct {
	started  time.Time
	restarts int
	exit     string
	exitOf   time.Time // the start whose end exit describes
}

// New returns a client over a transport that reaches the supervisor.
func New(t http.RoundTripper) *Client {
	return &Client{http: &http.Client{Transport: t}, seen: map[string]*history{}}
}

// service is gokrazy's JSON (status.go, service.MarshalJSON).
type service struct {
	Stopped   bool
	StartTime time.Time
	Pid       int
	Path      string
}

// Watch counts restarts until ctx ends.
func (c *Client) Watch(ctx context.Context) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			// A supervisor that does not answer is told of by whoever asks for Processes.
			call, cancel := context.WithTimeout(ctx, 5*time.Second)
			if services, err := c.services(call); err == nil {
				c.note(services)
				c.noteExits(call, services)
			}
			cancel()
		}
	}
}

func (c *Client) note(services []service) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range services {
		h := c.seen[s.Path]
		switch {
		case h == nil:
			c.seen[s.Path] = &history{started: s.StartTime}
		case !s.StartTime.Equal(h.started): // also earlier: the clock may have been set back
			// Before its first start a process has no time.
			if !h.started.IsZero() {
				h.restarts++
			}
			h.started = s.StartTime
		}
	}
}

// Processes lists what is supervised, in the supervisor's order.
func (c *Client) Processes(ctx context.Context) ([]Process, error) {
	services, err := c.services(ctx)
	if err != nil {
		return nil, err
	}
	c.note(services)
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Process, 0, len(services))
	for _, s := range services {
		p := Process{Name: path.Base(s.Path), PID: s.Pid, Started: s.StartTime, State: "restarting", Restarts: c.seen[s.Path].restarts, Exit: c.seen[s.Path].exit}
		if rss, ok := memory(s.Pid); ok {
			p.State = "running"
			p.RSSBytes = rss
		} else {
			p.PID = 0
			if s.Stopped {
				p.State = "stopped"
			}
		}
		list = append(list, p)
	}
	return list, nil
}

// memory returns a live process's resident memory in bytes.
func memory(pid int) (int, bool) {
	if pid <= 0 {
		return 0, false
	}
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return 0, false
	}
	st, err := proc.Stat()
	// gokrazy tells the last pid of a process that has gone: somebody else may have it by now. Each service leads a group.
	if err != nil || st.State == "Z" || st.PGRP != pid {
		return 0, false
	}
	return st.ResidentMemory(), true
}

func (c *Client) services(ctx context.Context) ([]service, error) {
	res, err := c.get(ctx, "/", "application/json")
	if err != nil {
		return nil, fmt.Errorf("ask the supervisor what runs: %w", err)
	}
	defer res.Body.Close()
	var status struct{ Services []service }
	if err := json.NewDecoder(io.LimitReader(res.Body, 4<<20)).Decode(&status); err != nil {
		return nil, fmt.Errorf("read what the supervisor says: %w", err)
	}
	return status.Services, nil
}

func (c *Client) get(ctx context.Context, target, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gokrazy"+target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		res.Body.Close()
		return nil, fmt.Errorf("answered %s: %s", res.Status, strings.TrimSpace(string(b)))
	}
	return res, nil
}

// find returns the supervisor's path of a process.
func (c *Client) find(ctx context.Context, name string) (string, error) {
	services, err := c.services(ctx)
	if err != nil {
		return "", err
	}
	for _, s := range services {
		if path.Base(s.Path) == name {
			return s.Path, nil
		}
	}
	return "", fmt.Errorf("%w: %q", ErrUnknown, name)
}

// Restart ends a process, which the supervisor then starts anew; one that stays down is started.
func (c *Client) Restart(ctx context.Context, name string) error {
	p, err := c.find(ctx, name)
	if err != nil {
		return err
	}
	if err := c.post(ctx, "/restart", p); err != nil {
		return fmt.Errorf("restart %s: %w", name, err)
	}
	return nil
}

// post has the supervisor do something with the process at path.
func (c *Client) post(ctx context.Context, action, path string) error {
	// gokrazy wants the token of a page it handed out (xsrf.go).
	res, err := c.get(ctx, "/status?path="+url.QueryEscape(path), "application/json")
	if err != nil {
		return fmt.Errorf("ask for a token: %w", err)
	}
	res.Body.Close()
	form := url.Values{"path": {path}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gokrazy"+action, nil)
	if err != nil {
		return err
	}
	for _, cookie := range res.Cookies() {
		if cookie.Name == "gokrazy_xsrf" {
			req.AddCookie(cookie)
			form.Set("xsrftoken", cookie.Value)
		}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body := form.Encode()
	req.Body = io.NopCloser(strings.NewReader(body))
	req.ContentLength = int64(len(body))
	// The answer is a redirect to a page nobody reads.
	res, err = c.http.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return fmt.Errorf("the supervisor answered %s: %s", res.Status, strings.TrimSpace(string(b)))
	}
	return nil
}
