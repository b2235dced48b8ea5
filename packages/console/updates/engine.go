// Package updates brings updates from people to system, which checks and writes them: whole files, parts, and files at an
// address, taken apart and decompressed here, where there is no root (docs/updates.md).
package updates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"porthole/packages/internal/unixsock"
	"porthole/packages/internal/update"
)

const (
	// askWithin bounds questions to system, offerWithin what it answers when it has read the card: which parts are there, whether
	// they still are.
	askWithin   = 5 * time.Second
	offerWithin = 10 * time.Minute
	// stallWithin is how long system may take none of a part: a worn card pauses for seconds.
	stallWithin = 2 * time.Minute
	// readBackWithin is how long it may take to read a part back, from the last byte sent.
	readBackWithin = 15 * time.Minute
	// maxSays bounds what is read of a refusal, in bytes.
	maxSays = 64 << 10
)

// Problem is why something is not done, in a sentence or two for a person.
type Problem struct {
	// Status is the HTTP status that says it.
	Status int
	Text   string
	// Code tells programs what may be done about it: CodeOlder, or empty.
	Code string
}

// CodeOlder means that the update is older than what runs, and was not asked for as such.
const CodeOlder = "older"

func (p *Problem) Error() string { return p.Text }

func problem(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Text: fmt.Sprintf(format, args...)}
}

// bad is a Problem with what was sent.
func bad(format string, args ...any) *Problem {
	return problem(http.StatusUnprocessableEntity, format, args...)
}

// engine is the root process's side of updates, on system.sock.
type engine struct {
	calls *unixsock.Client
	parts *http.Client
}

func newEngine(socket string) *engine {
	return &engine{calls: unixsock.NewClient(socket), parts: &http.Client{Transport: unixsock.Transport(socket)}}
}

func (e *engine) close() {
	e.calls.Close()
	e.parts.CloseIdleConnections()
}

// status is what system says of the update.
func (e *engine) status(ctx context.Context) (update.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	var s update.Status
	_, err := e.calls.Call(ctx, http.MethodGet, "/update", nil, &s)
	return s, refusal(err)
}

// offer has system check a manifest, and begin.
func (e *engine) offer(ctx context.Context, manifest, signature []byte, downgrade bool, who string) (update.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, offerWithin)
	defer cancel()
	in := struct {
		Manifest  []byte `json:"manifest"`
		Signature string `json:"signature"`
		Downgrade bool   `json:"downgrade"`
		Who       string `json:"who"`
	}{manifest, string(signature), downgrade, who}
	var s update.Status
	_, err := e.calls.Call(ctx, http.MethodPost, "/update", in, &s)
	return s, refusal(err)
}

// order sends an order that has no answer.
func (e *engine) order(ctx context.Context, method, path, who string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), offerWithin)
	defer cancel()
	_, err := e.calls.Call(ctx, method, path, map[string]string{"who": who}, nil)
	return refusal(err)
}

// send sends r, which has size bytes, as a part and waits until system has read it back.
func (e *engine) send(ctx context.Context, name string, size int64, r io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallWithin, func() {
		cancel(problem(http.StatusBadGateway, "The device takes no more of the update: its card or its system process hangs."))
	})
	defer stall.Stop()
	body := &moving{r: r, left: size, timer: stall}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://system/update/parts/"+url.PathEscape(name), body)
	if err != nil {
		return fmt.Errorf("make request for part %s: %w", name, err)
	}
	req.ContentLength = size
	res, err := e.parts.Do(req)
	if err == nil {
		defer res.Body.Close()
		if res.StatusCode < 300 {
			return nil
		}
		says, _ := io.ReadAll(io.LimitReader(res.Body, maxSays)) // what came of it says enough
		return refusal(&unixsock.StatusError{Status: res.StatusCode, Body: string(says)})
	}
	switch cause := context.Cause(ctx); {
	case body.failed() != nil:
		return body.failed()
	case cause != nil:
		return cause
	}
	return refusal(fmt.Errorf("send part %s: %w", name, err))
}

// refusal turns what system refuses into a Problem with its words, and its silence into one with ours.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	var answered *unixsock.StatusError
	if !errors.As(err, &answered) {
		return errors.Join(problem(http.StatusBadGateway, "The process system does not answer. It may be restarting: try again in a moment."), err)
	}
	var says struct{ Error string }
	if json.Unmarshal([]byte(answered.Body), &says) != nil || says.Error == "" {
		return errors.Join(problem(http.StatusBadGateway, "The process system answered %d. Its log says why.", answered.Status), err)
	}
	status := answered.Status
	if status != http.StatusUnprocessableEntity && status != http.StatusConflict {
		status = http.StatusBadGateway
	}
	return &Problem{Status: status, Text: sentence(says.Error)}
}
