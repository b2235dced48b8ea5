package updates

import (
	"context"
	"io"
	"net/http"
)

// AnswerFunc stands for a server.
type AnswerFunc func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f AnswerFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ReadAddress reads all of a file at an address.
func ReadAddress(ctx context.Context, o FetchOptions, address string) ([]byte, error) {
	client := o.client()
	defer client.CloseIdleConnections()
	r := o.open(ctx, client, address, func(int64, int64) {})
	defer r.Close()
	return io.ReadAll(r)
}

// ReadAnswers reads what answers make a file, at most a megabyte, after skipping that much.
func ReadAnswers(ctx context.Context, get http.RoundTripper, skip int64) ([]byte, error) {
	r := FetchOptions{}.open(ctx, &http.Client{Transport: get}, "http://example.org/x", func(int64, int64) {})
	r.pause = func() {}
	defer r.Close()
	b := make([]byte, 3)
	if n, err := io.ReadFull(r, b); err != nil {
		return b[:n], err
	}
	if _, err := r.Seek(skip, io.SeekCurrent); err != nil && skip > 0 && r.ranges {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}
