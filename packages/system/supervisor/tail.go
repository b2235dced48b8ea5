package supervisor

import (
	"cmp"
	"context"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/packages/internal/retry"
)

const (
	// keptEntries bounds what a Tail holds.
	keptEntries = 500
	// unasked is how long a Tail goes on reading when nobody asks any more.
	unasked = time.Minute
	// listEvery is how often it looks for processes that are new.
	listEvery = 5 * time.Second
	// batchMost bounds how long lines wait for others of the same moment, to be put in order.
	batchMost = time.Second
)

// Entry is a line of the merged log.
type Entry struct {
	// Seq grows from line to line, from 1 on.
	Seq int64 `json:"seq"`
	// Time is the line's own, else when it was read.
	Time    time.Time `json:"time"`
	Process string    `json:"process"`
	// Stream is "stdout" or "stderr".
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

// Tail is the log of all processes in one, as long as somebody asks for it.
type Tail struct {
	client *Client

	mu sync.Mutex // guards what follows
	// kept are the last lines; fresh those that are not in order yet, which began and went on at these times.
	kept, fresh  []Entry
	began, going time.Time
	seq          int64
	asked        time.Time
	demand, news chan struct{} // closed and made anew when somebody asks, and when there are lines
}

// NewTail returns one that reads nothing until it is asked.
func NewTail(c *Client) *Tail {
	return &Tail{client: c, demand: make(chan struct{}), news: make(chan struct{})}
}

// Run reads while somebody asks, until ctx ends.
func (t *Tail) Run(ctx context.Context) error {
	for {
		t.mu.Lock()
		demand := t.demand
		wanted := t.wanted()
		t.mu.Unlock()
		if wanted {
			t.follow(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-demand:
		}
	}
}

// wanted reports whether somebody asks. The caller holds t.mu.
func (t *Tail) wanted() bool { return !t.asked.IsZero() && time.Since(t.asked) < unasked }

// follow reads the logs of all processes until nobody asks any more. What was read is then forgotten: the supervisor has
// it.
func (t *Tail) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer func() {
		cancel()
		readers.Wait()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.kept, t.fresh = nil, nil
	}()
	known := map[string]bool{}
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	var listed time.Time
	for {
		if time.Since(listed) >= listEvery {
			listed = time.Now()
			call, done := context.WithTimeout(ctx, listEvery)
			services, err := t.client.services(call)
			done()
			if err == nil {
				for _, s := range services {
					if !known[s.Path] {
						known[s.Path] = true
						readers.Go(func() { t.read(ctx, s.Path) })
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !t.settle() {
			return
		}
	}
}

// read reads the log of one process for as long as ctx lets it. After a connection that broke, what it repeats is passed
// over.
func (t *Tail) read(ctx context.Context, service string) {
	var last []Line // the newest lines, as many as the supervisor keeps
	for failures := 1; ; failures++ {
		had, n := slices.Clone(last), 0
		res, err := t.client.get(ctx, "/log?stream=both&path="+url.QueryEscape(service), "text/event-stream")
		if err == nil {
			_ = parseEvents(res.Body, func(l Line) bool { // it ends with the supervisor, or with ctx
				if n++; n <= maxLines && slices.Contains(had, l) {
					return true
				}
				last = append(last[max(0, len(last)+1-maxLines):], l)
				t.add(path.Base(service), l)
				return true
			})
			res.Body.Close()
		}
		if !retry.Pause(ctx, retry.Backoff(failures, time.Second, 10*time.Second)) {
			return
		}
	}
}

func (t *Tail) add(process string, l Line) {
	now := time.Now()
	e := Entry{Time: now, Process: process, Stream: l.Stream, Text: l.Text}
	if said, ok := timeOf(l.Text); ok {
		e.Time = said
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.fresh) == 0 {
		t.began = now
	}
	t.fresh, t.going = append(t.fresh, e), now
}

// timeOf reads the time that our processes write at the beginning of their lines (log/slog's TextHandler).
func timeOf(text string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(text, "time=")
	if !ok {
		return time.Time{}, false
	}
	word, _, _ := strings.Cut(rest, " ")
	at, err := time.Parse(time.RFC3339Nano, word)
	return at, err == nil
}

// settle puts lines in order that nothing will be put between any more. It is false when nobody asks.
func (t *Tail) settle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if len(t.fresh) > 0 && (now.Sub(t.going) >= quiet || now.Sub(t.began) >= batchMost) {
		slices.SortStableFunc(t.fresh, func(a, b Entry) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
		for _, e := range t.fresh {
			t.seq++
			e.Seq = t.seq
			t.kept = append(t.kept, e)
		}
		t.fresh = nil
		if over := len(t.kept) - keptEntries; over > 0 {
			t.kept = slices.Clone(t.kept[over:])
		}
		close(t.news)
		t.news = make(chan struct{})
	}
	return t.wanted()
}

// After returns the lines after the one with that number, oldest first, at most 500. When there are none it waits for one
// until ctx ends. A number that is not given out yet is one of another system: then it returns all.
func (t *Tail) After(ctx context.Context, after int64) []Entry {
	for {
		t.mu.Lock()
		t.asked = time.Now()
		close(t.demand)
		t.demand = make(chan struct{})
		if after > t.seq {
			after = 0
		}
		i, _ := slices.BinarySearchFunc(t.kept, after+1, func(e Entry, seq int64) int { return cmp.Compare(e.Seq, seq) })
		list, news := slices.Clone(t.kept[i:]), t.news
		t.mu.Unlock()
		if len(list) > 0 {
			return list
		}
		select {
		case <-ctx.Done():
			return nil
		case <-news:
		}
	}
}
