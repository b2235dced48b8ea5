package update

import (
	"context"
	"sync"
)

// session is the time in which parts of one update may be written.
type session struct {
	mu      sync.Mutex      // guards that nobody begins while it ends
	ctx     context.Context // ends with it
	end     context.CancelFunc
	workers sync.WaitGroup
}

func newSession() *session {
	ctx, end := context.WithCancel(context.Background())
	return &session{ctx: ctx, end: end}
}

// begin is called by whoever writes: ctx ends when the session does. ok is false when it has ended. end must be called.
func (s *session) begin(parent context.Context) (ctx context.Context, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, nil, false
	}
	s.workers.Add(1)
	ctx, cancel := context.WithCancel(parent)
	forget := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		forget()
		cancel()
		s.workers.Done()
	}, true
}

// close ends the session and waits for those who write.
func (s *session) close() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.workers.Wait()
}
