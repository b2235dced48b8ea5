package update

import (
	"context"
	"sync"
)

// session is the time in which parts of one update may be written.
type session struct {
	mu      sync.Mutex // guards what follows
	closed  bool
	cancels map[int]context.CancelFunc
	next    int
	workers sync.WaitGroup
}

func newSession() *session { return &session{cancels: map[int]context.CancelFunc{}} }

// begin is called by whoever writes: ctx ends when the session does. ok is false when it has ended. end must be called.
func (s *session) begin(parent context.Context) (ctx context.Context, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(parent)
	id := s.next
	s.next++
	s.cancels[id] = cancel
	s.workers.Add(1)
	return ctx, func() {
		cancel()
		s.mu.Lock()
		delete(s.cancels, id)
		s.mu.Unlock()
		s.workers.Done()
	}, true
}

// close ends the session and waits for those who write.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.cancels {
		cancel()
	}
	s.mu.Unlock()
	s.workers.Wait()
}
