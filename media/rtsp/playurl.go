package rtsp

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
)

// urlTimeout bounds the wait of PlayURL for a connection, an answer or a packet.
const urlTimeout = 10 * time.Second

// StreamError says why a stream cannot be read, in words for whoever entered its address, without credentials.
type StreamError struct {
	text string
	err  error
}

// Error implements error.
func (e *StreamError) Error() string { return e.text }

// Unwrap returns the cause, which may contain the address.
func (e *StreamError) Unwrap() error { return e.err }

// PlayURL reads the pictures of any RTSP server, rtsp:// or rtsps:// with the credentials in the address, over TCP, until
// ctx ends (its error) or the connection does (a *StreamError). With rtsps any certificate is taken, as of cameras.
func PlayURL(ctx context.Context, address string, sink Sink) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "rtsp" && u.Scheme != "rtsps" {
		return &StreamError{text: "its address is not an rtsp:// or rtsps:// URL", err: errBadURL}
	}
	src := Source{Transport: "tcp", User: u.User.Username()}
	src.Password, _ = u.User.Password()
	u.User = nil
	src.URL = u.String()
	ans := &answers{note: func(string) {}}
	client, at, err := newClient(src, gortsplib.ProtocolTCP, ans)
	if err != nil {
		return &StreamError{text: explain(err, src).Error(), err: err}
	}
	client.ReadTimeout, client.WriteTimeout = urlTimeout, urlTimeout
	if err := client.Start(); err != nil {
		return &StreamError{text: explain(err, src).Error(), err: err}
	}
	disarm := closeOn(ctx, client)
	defer func() {
		client.Close()
		disarm()
	}()
	err = play(client, at, sink, func(desc *description.Session) ([]*description.Media, error) {
		return usable(desc, true, ans.note)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrPassword):
		return &StreamError{text: "it refuses the user name or the password", err: err}
	case errors.Is(err, ErrNoCamera):
		return &StreamError{text: "its server has no stream at the path of its address (404)", err: err}
	}
	return &StreamError{text: explain(err, src).Error(), err: err}
}
