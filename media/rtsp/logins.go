package rtsp

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// maxWrongLogins wrong passwords for an account from one source within loginWindow make it wait for loginPause.
	maxWrongLogins = 10
	loginWindow    = 5 * time.Minute
	loginPause     = time.Minute
	// maxLoginSources bounds what is remembered. Whoever has that many sources is not kept out by a count per source.
	maxLoginSources = 4096
)

// logins counts wrong passwords per account and source, so that a reader that is set up wrongly keeps out nobody else behind
// its address: an IPv4 address, or an IPv6 /64, which is what one customer has at least (RFC 6177).
type logins struct {
	mu sync.Mutex // guards sources
	// sources is made when the first one is needed.
	sources map[loginSource]*wrongLogins
}

// loginSource is from where somebody tries to be whom.
type loginSource struct {
	from netip.Prefix
	user string
}

type wrongLogins struct {
	count int
	// since is when the window began, until the end of the pause; zero if there is none.
	since, until time.Time
}

// over reports whether nothing needs to be remembered any more.
func (w *wrongLogins) over(now time.Time) bool {
	return now.Sub(w.since) > loginWindow && !now.Before(w.until)
}

// failed notes a wrong password.
func (l *logins) failed(now time.Time, from netip.Addr, user string) {
	key, ok := sourceOf(from, user)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.sources[key]
	if w == nil || w.over(now) {
		l.makeRoom(now)
		w = &wrongLogins{since: now}
		if l.sources == nil {
			l.sources = map[loginSource]*wrongLogins{}
		}
		l.sources[key] = w
	}
	if w.count++; w.count >= maxWrongLogins {
		*w = wrongLogins{since: now, until: now.Add(loginPause)}
	}
}

// paused reports whether no password of that account from there is looked at.
func (l *logins) paused(now time.Time, from netip.Addr, user string) bool {
	key, ok := sourceOf(from, user)
	if !ok {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.sources[key]
	return w != nil && now.Before(w.until)
}

// makeRoom forgets what is over, or anybody, when there are too many; the caller holds mu.
func (l *logins) makeRoom(now time.Time) {
	if len(l.sources) < maxLoginSources {
		return
	}
	for key, w := range l.sources {
		if w.over(now) {
			delete(l.sources, key)
		}
	}
	for key := range l.sources {
		if len(l.sources) < maxLoginSources {
			return
		}
		delete(l.sources, key)
	}
}

// maxLoginUser bounds the names that are told apart, in bytes.
const maxLoginUser = 64

func sourceOf(a netip.Addr, user string) (loginSource, bool) {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	// All of a house has one /64, and there every address is a device of its own.
	if a.Is6() && !a.IsPrivate() && !a.IsLinkLocalUnicast() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	return loginSource{p, user[:min(len(user), maxLoginUser)]}, err == nil && a.IsValid()
}
