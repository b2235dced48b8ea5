package unixsock

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds what a call reads of an answer.
const maxAnswer = 8 << 20

// Client makes JSON calls over one socket.
type Client struct {
	http *http.Client
	path string
}

// NewClient returns a client of the socket at path. It connects when called.
func NewClient(path string) *Client {
	return &Client{http: &http.Client{Transport: Transport(path)}, path: path}
}

// StatusError is an answer outside 2xx.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("answered %d: %s", e.Status, e.Body) }

// Call sends in (nil for no body) as JSON and decodes the answer into out (nil to drop it). It returns the status;
// an answer outside 2xx is a *StatusError.
func (c *Client) Call(ctx context.Context, method, target string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, fmt.Errorf("encode request for %s: %w", target, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://porthole"+target, body)
	if err != nil {
		return 0, fmt.Errorf("make request for %s: %w", target, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("call %s%s: %w", c.path, target, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return res.StatusCode, fmt.Errorf("read answer of %s%s: %w", c.path, target, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return res.StatusCode, fmt.Errorf("call %s%s: %w", c.path, target, &StatusError{res.StatusCode, string(bytes.TrimSpace(b))})
	}
	if out != nil && len(b) > 0 {
		if err := json.Unmarshal(b, out); err != nil {
			return res.StatusCode, fmt.Errorf("decode answer of %s%s: %w", c.path, target, err)
		}
	}
	return res.StatusCode, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
