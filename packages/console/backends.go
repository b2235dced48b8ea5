package main

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"porthole/packages/internal/daemon"
	"porthole/packages/internal/unixsock"
)

const (
	// answerWithin bounds how long a page waits for other processes; it asks them all at once.
	answerWithin = 700 * time.Millisecond
	// answerKept is how long an answer serves everybody who looks: many open pages cost one call.
	answerKept = time.Second
	// restartWithin bounds a restart: gokrazy stops the old process before it answers.
	restartWithin = 15 * time.Second
)

// The shapes of docs/architecture.md, as far as the pages show them.
type (
	processStatus struct {
		Name     string    `json:"name"`
		State    string    `json:"state"`
		Started  time.Time `json:"started,omitzero"`
		RSSBytes int64     `json:"rss_bytes"`
		Restarts int       `json:"restarts"`
		Exit     any       `json:"exit"`
	}
	certificateStatus struct {
		CAPEM     string    `json:"ca_pem"`
		ChainPEM  string    `json:"chain_pem"`
		Names     []string  `json:"names"`
		NotBefore time.Time `json:"not_before"`
		NotAfter  time.Time `json:"not_after"`
		// Certificates are all pairs in service, the device's own first.
		Certificates []servedPair `json:"certificates"`
	}
	logLine struct {
		Stream string `json:"stream"`
		Text   string `json:"text"`
	}
	problemList struct {
		Problems []struct {
			Area string `json:"area"`
			Text string `json:"text"`
		} `json:"problems"`
	}
)

// backends are the processes console asks.
type backends struct {
	system, proxy, player, signaling *unixsock.Client
	// screens fetches pictures of the screen from player.
	screens *http.Client

	processes   recent[[]processStatus]
	certificate recent[certificateStatus]
	events      recent[certificateEvents]
	problems    recent[problemList]
	cameras     recent[proxyStatus]
	sessions    recent[sessionList]
	screen      recent[playerStatus]
	hardware    recent[hardwareStatus]
	viewers     recent[viewerList]
}

func newBackends(env daemon.Env) *backends {
	b := &backends{
		system: unixsock.NewClient(env.Socket("system")), proxy: unixsock.NewClient(env.Socket("proxy")),
		player: unixsock.NewClient(env.Socket("player")), signaling: unixsock.NewClient(env.Socket("signaling-status")),
		screens: &http.Client{Transport: unixsock.Transport(env.Socket("player"))},
	}
	b.processes.ask = fetch[[]processStatus](b.system, "/processes")
	b.certificate.ask = fetch[certificateStatus](b.system, "/certificate")
	b.events.ask = fetch[certificateEvents](b.system, "/certificates/events")
	b.problems.ask = fetch[problemList](b.system, "/problems")
	b.cameras.ask = fetch[proxyStatus](b.proxy, "/status")
	b.sessions.ask = fetch[sessionList](b.proxy, "/sessions")
	b.viewers.ask = fetch[viewerList](b.signaling, "/viewers")
	b.screen.ask = fetch[playerStatus](b.player, "/status")
	b.hardware.ask = fetch[hardwareStatus](b.system, "/hardware")
	return b
}

func (b *backends) close() {
	b.system.Close()
	b.proxy.Close()
	b.player.Close()
	b.signaling.Close()
	b.screens.CloseIdleConnections()
}

// log returns the last lines of a process, oldest first.
func (b *backends) log(ctx context.Context, process string) (lines []logLine, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var answer struct {
		Lines []logLine `json:"lines"`
	}
	status, err = b.system.Call(ctx, http.MethodGet, "/processes/"+url.PathEscape(process)+"/log", nil, &answer)
	return answer.Lines, status, err
}

// restart restarts a process.
func (b *backends) restart(ctx context.Context, process string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	defer b.processes.forget()
	return b.system.Call(ctx, http.MethodPost, "/processes/"+url.PathEscape(process)+"/restart", nil, nil)
}

func fetch[T any](c *unixsock.Client, target string) func(context.Context) (T, error) {
	return func(ctx context.Context) (T, error) {
		var v T
		_, err := c.Call(ctx, http.MethodGet, target, nil, &v)
		return v, err
	}
}

// recent asks at most once per answerKept, whoever wants to know and however often.
type recent[T any] struct {
	ask func(context.Context) (T, error)

	mu    sync.Mutex
	at    time.Time // guarded by mu, as are the answer's parts
	value T
	err   error
}

// answer returns the last answer, or a new one. It waits at most answerWithin for the process asked, and as long again
// behind somebody who is asking already.
func (r *recent[T]) answer(ctx context.Context) (T, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || time.Since(r.at) >= answerKept {
		// Others wait for this answer too: it does not end with the request that asked first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
		defer cancel()
		r.value, r.err = r.ask(ctx)
		r.at = time.Now()
	}
	return r.value, r.err
}

// forget makes the next answer a new one.
func (r *recent[T]) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = time.Time{}
}
