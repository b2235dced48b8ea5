package link

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"porthole/packages/internal/retry"
	"porthole/packages/internal/settings"
)

// What holds where the settings say nothing (settings.PlayerSettings), and the bounds of what they say.
const (
	defaultTimeout  = 10 * time.Second
	defaultAttempts = 3
	defaultDelay    = 5 * time.Second
	maxTimeout      = 300 * time.Second
	maxAttempts     = 100
	maxDelay        = time.Hour
	// slowest is how far apart attempts are in the end, unless the settings' delay is longer.
	slowest = time.Minute
	// maxRetryAfter bounds what a server may ask for.
	maxRetryAfter = time.Hour
)

// setup is what the settings say of the server.
type setup struct {
	// server is its origin, as "https://signage.example.com"; empty for this device's own. host is HOST:PORT.
	server, host   string
	hostname, code string
	// named is the hostname of the settings, empty where it is the device's.
	named          string
	timeout, delay time.Duration
	attempts       int
	// trust and pin are only here to tell setups apart.
	trust settings.Trust
	pin   string
}

func newSetup(s settings.PlayerSettings, hostname string) setup {
	n := setup{
		server: strings.TrimSuffix(strings.TrimSpace(s.Server), "/"), hostname: cmp.Or(strings.TrimSpace(s.Hostname), hostname),
		named: strings.TrimSpace(s.Hostname), code: strings.TrimSpace(s.QuickConnectCode), trust: s.Trust, pin: s.Pin,
		timeout: within(s.Timeout, defaultTimeout, maxTimeout), delay: within(s.RetryDelay, defaultDelay, maxDelay),
		attempts: min(cmp.Or(max(s.RetryAttempts, 0), defaultAttempts), maxAttempts),
	}
	if u, err := url.Parse(n.server); err == nil && n.server != "" {
		n.host = hostPort(u)
	}
	return n
}

// within is a setting in seconds as a duration, from one second to most.
func within(seconds int, otherwise, most time.Duration) time.Duration {
	if seconds <= 0 {
		return otherwise
	}
	return time.Duration(min(int64(seconds), int64(most/time.Second))) * time.Second
}

// hostPort is HOST:PORT of an address, in lower case.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

// pause is how long to wait after so many failures in a row, the last one with err: as long as the server says; the
// settings' delay, as often as they say; then longer and longer, up to a minute.
func (s setup) pause(failures int, err error) time.Duration {
	var st *statusError
	if errors.As(err, &st) && st.retryAfter > 0 {
		return st.retryAfter + rand.N(time.Second)
	}
	if failures <= s.attempts {
		// A house full of screens does not ask all at once when the server is back.
		return s.delay + rand.N(s.delay/5+1)
	}
	return max(s.delay, retry.Backoff(failures-s.attempts+1, s.delay, max(slowest, s.delay)))
}

// hostOf is the name or address in HOST:PORT.
func hostOf(hostPort string) string {
	if host, _, err := net.SplitHostPort(hostPort); err == nil {
		return host
	}
	return hostPort
}
