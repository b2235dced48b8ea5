package link

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/program"
	"porthole/packages/internal/retry"
)

const (
	// waitFor is how long a Porthole may wait for news until it answers.
	waitFor = 55 * time.Second
	// apart is the least time between two questions for news.
	apart = time.Second
)

// own is the signage server of this device.
type own struct {
	l    *Link
	call *caller
	etag string
}

func newOwn(l *Link) *own {
	return &own{l: l, call: &caller{
		http: newHTTP(l.cfg.Console), base: "http://porthole", agent: l.cfg.Agent, timeout: defaultTimeout, now: l.cfg.Clock.Now,
	}}
}

func (o *own) kind() Kind { return Own }

func (o *own) close() { o.call.http.CloseIdleConnections() }

func (o *own) connect(ctx context.Context) error {
	o.etag = ""
	return o.follow(ctx)
}

// follow asks for the next program; the first time without waiting.
func (o *own) follow(ctx context.Context) error {
	p, a, err := followProgram(ctx, o.call.ask, question{path: "/signage/program", etag: o.etag})
	if err != nil || p == nil {
		return err
	}
	o.etag = a.header.Get("ETag")
	// The console looks at the screen by itself, and says whom to show through the settings.
	p.Screenshot, p.IdentifyUntil = 0, time.Time{}
	o.l.deliver(*p, nil)
	return nil
}

func (o *own) tell(ctx context.Context, r report) error {
	_, err := o.call.ask(ctx, question{method: http.MethodPost, path: "/signage/feedback", body: r})
	return err
}

func (o *own) get(ctx context.Context, m medium) (*http.Response, error) {
	if !strings.HasPrefix(m.url, "/signage/media/") {
		return nil, fmt.Errorf("%q is no medium of this device", m.url)
	}
	return m.fetch(ctx, o.call.http, o.call.base+m.url, o.call.agent, "")
}

// followProgram asks a Porthole for the next program: what there is now without a tag, else the one that comes. It
// returns nil where there was none, and keeps questions apart.
func followProgram(ctx context.Context, ask func(context.Context, question) (*answer, error), q question) (*program.Program, *answer, error) {
	start := time.Now()
	q.method, q.most = http.MethodGet, maxProgram
	if q.etag != "" {
		q.waits = waitFor
		q.path += "?wait=" + strconv.Itoa(int(waitFor.Seconds()))
	}
	a, err := ask(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	if q.etag != "" {
		retry.Pause(ctx, apart-time.Since(start))
	}
	if a.status == http.StatusNotModified {
		return nil, a, nil
	}
	p, err := program.Parse(a.body)
	if err != nil {
		return nil, nil, &problemError{explanation{
			CauseServer, "The server’s program cannot be understood: " + oneLine(err.Error()) + ".", "Update this device, or the server, so that both are of about the same age.",
		}}
	}
	return &p, a, nil
}
