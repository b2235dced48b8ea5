package credential

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Buckets counts events by key: some in a row, then one in a while. It may be used by many goroutines.
type Buckets[K comparable] struct {
	every       time.Duration
	burst, most int

	mu sync.Mutex
	of map[K]*bucket // guarded by mu
}

type bucket struct {
	tokens *rate.Limiter
	last   time.Time
}

// NewBuckets returns Buckets that let burst events of a key pass in a row and one more in every. They remember the most
// keys that were seen last.
func NewBuckets[K comparable](every time.Duration, burst, most int) *Buckets[K] {
	return &Buckets[K]{every: every, burst: burst, most: most, of: map[K]*bucket{}}
}

// Take counts an event of k. It returns how long to wait when that is one too many; then it is not counted.
func (b *Buckets[K]) Take(k K) time.Duration { return b.reserve(k, true) }

// Wait is what Take would return; nothing is counted.
func (b *Buckets[K]) Wait(k K) time.Duration { return b.reserve(k, false) }

func (b *Buckets[K]) reserve(k K, keep bool) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	e := b.of[k]
	if e == nil {
		if !keep {
			return 0
		}
		b.makeRoom()
		e = &bucket{tokens: rate.NewLimiter(rate.Every(b.every), b.burst)}
		b.of[k] = e
	}
	if keep {
		e.last = now
	}
	r := e.tokens.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if !keep || wait > 0 {
		r.CancelAt(now)
	}
	return wait
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
