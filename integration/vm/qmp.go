package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// qmp speaks to QEMU (https://www.qemu.org/docs/master/interop/qmp-spec.html).
type qmp struct {
	conn    net.Conn
	replies chan reply
	// call is held from a command to its reply.
	call sync.Mutex
	done chan struct{}

	mu     sync.Mutex
	events []string // guarded by mu
}

type reply struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string `json:"event"`
}

// dialQMP connects to the socket, which QEMU makes a moment after its start, until ctx ends.
func dialQMP(ctx context.Context, path string, died <-chan struct{}) (*qmp, error) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			return newQMP(ctx, conn)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("reach QEMU: %w", err)
		case <-died:
			return nil, errors.New("QEMU has ended")
		case <-t.C:
		}
	}
}

func newQMP(ctx context.Context, conn net.Conn) (*qmp, error) {
	q := &qmp{conn: conn, replies: make(chan reply), done: make(chan struct{})}
	r := bufio.NewReader(conn)
	if _, err := r.ReadBytes('\n'); err != nil {
		conn.Close()
		return nil, fmt.Errorf("read QEMU's greeting: %w", err)
	}
	go q.read(json.NewDecoder(r))
	if err := q.do(ctx, "qmp_capabilities", nil, nil); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

func (q *qmp) read(d *json.Decoder) {
	defer close(q.done)
	defer close(q.replies)
	for {
		var r reply
		if err := d.Decode(&r); err != nil {
			return
		}
		if r.Event != "" {
			q.mu.Lock()
			q.events = append(q.events, r.Event)
			q.mu.Unlock()
			continue
		}
		q.replies <- r
	}
}

// do runs a command and decodes what it returns into out (nil to drop it).
func (q *qmp) do(ctx context.Context, command string, arguments, out any) error {
	q.call.Lock()
	defer q.call.Unlock()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	b, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("ask QEMU for %s: %w", command, err)
	}
	select {
	case r, ok := <-q.replies:
		if !ok {
			return fmt.Errorf("ask QEMU for %s: it has ended", command)
		}
		if r.Error != nil {
			return fmt.Errorf("ask QEMU for %s: %s: %s", command, r.Error.Class, r.Error.Desc)
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(r.Return, out); err != nil {
			return fmt.Errorf("read QEMU's answer to %s: %w", command, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("ask QEMU for %s: %w", command, ctx.Err())
	}
}

// count returns how often an event has come.
func (q *qmp) count(event string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, e := range q.events {
		if e == event {
			n++
		}
	}
	return n
}

// close hangs up and waits for the reader. A reply that nobody waits for any more is dropped.
func (q *qmp) close() {
	q.conn.Close()
	for {
		select {
		case <-q.replies:
		case <-q.done:
			return
		}
	}
}
