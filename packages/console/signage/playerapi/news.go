package playerapi

import (
	"context"
	"sync"
)

// news wakes who waits for something to change.
type news struct {
	mu  sync.Mutex
	now chan struct{} // closed and replaced with every news; guarded by mu
}

func newNews() *news { return &news{now: make(chan struct{})} }

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.now)
	n.now = make(chan struct{})
}

// next is closed with the next news.
func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// wait returns with the next news, true, or when ctx ends.
func wait(ctx context.Context, next <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-next:
		return true
	}
}
