package credential

import (
	"sync"
	"time"
)

// Buckets counts events by key: some in a row, then one in a while. It may be used by many goroutines.
type Buckets[K comparable] struct {
	every time.Duration
	burst time.Duration // as time: the events in a row, each worth every
	most  int

	mu sync.Mutex
	of map[K]*bucket // guarded by mu
}

// bucket is a meter of the generic cell rate algorithm (ITU-T I.371, annex A).
type bucket struct {
	// empty is when the events counted so far are forgotten.
	empty time.Time
	last  time.Time
}

// NewBuckets returns Buckets that let burst events of a key pass in a row and one more in every. They remember the most
// keys that were seen last.
func NewBuckets[K comparable](every time.Duration, burst, most int) *Buckets[K] {
	return &Buckets[K]{every: every, burst: time.Duration(burst) * every, most: most, of: map[K]*bucket{}}
}

// Take counts an event of k. It returns how long to wait when that is one too many; then it is not counted.
func (b *Buckets[K]) Take(k K) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	e := b.of[k]
	if e == nil {
		b.makeRoom()
		e = &bucket{}
		b.of[k] = e
	}
	e.last = now
	wait := b.wait(e, now)
	if wait == 0 {
		e.empty = later(e.empty, now).Add(b.every)
	}
	return wait
}

// Wait is what Take would return; nothing is counted.
func (b *Buckets[K]) Wait(k K) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.of[k]
	if e == nil {
		return 0
	}
	return b.wait(e, time.Now())
}

func (b *Buckets[K]) wait(e *bucket, now time.Time) time.Duration {
	return max(0, later(e.empty, now).Add(b.every-b.burst).Sub(now))
}

// Return takes one event of k back.
func (b *Buckets[K]) Return(k K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of[k]; e != nil {
		e.empty = e.empty.Add(-b.every)
	}
}

// Forget forgets the events of k.
func (b *Buckets[K]) Forget(k K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, k)
}

// Len is how many keys are remembered.
func (b *Buckets[K]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.of)
}

// makeRoom drops the key that was quiet for longest when there are too many.
func (b *Buckets[K]) makeRoom() {
	if len(b.of) < b.most {
		return
	}
	var oldest K
	var at time.Time
	for k, e := range b.of {
		if at.IsZero() || e.last.Before(at) {
			oldest, at = k, e.last
		}
	}
	delete(b.of, oldest)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
