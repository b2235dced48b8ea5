//go:build linux

package main

import (
	"sync"
	"time"
)

// A process that ends this often within this time will not mend itself.
const (
	dyingTimes  = 5
	dyingWithin = 20 * time.Second
)

// deaths notices processes that keep dying.
type deaths struct {
	mu   sync.Mutex
	ends map[string][]time.Time // guarded by mu; the last few ends of each process
	told map[string]bool        // guarded by mu
}

func newDeaths() *deaths {
	return &deaths{ends: map[string][]time.Time{}, told: map[string]bool{}}
}

// ended notes an end and reports whether it is time to say, once, that the process keeps dying.
func (d *deaths) ended(process string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	ends := append(d.ends[process], now)
	ends = ends[max(0, len(ends)-dyingTimes):]
	d.ends[process] = ends
	if d.told[process] || len(ends) < dyingTimes || now.Sub(ends[0]) > dyingWithin {
		return false
	}
	d.told[process] = true
	return true
}
