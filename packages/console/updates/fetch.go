package updates

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// FetchOptions say from where updates may be fetched.
type FetchOptions struct {
	// Ports are those that the process may connect to; nil: any.
	Ports []uint16
	// Inside allows addresses of this machine itself: for development.
	Inside bool
	// Agent is what servers are told.
	Agent string
	// Stall is how long a server may send nothing; 0 means 30 s.
	Stall time.Duration
}

// Fetch is how an update comes in from an address.
type Fetch struct {
	URL string `json:"url"`
	// Running is true until its end.
	Running bool `json:"running"`
	// Bytes have come over the network so far; Size is that of the file, 0 if the server does not say.
	Bytes int64 `json:"bytes"`
	Size  int64 `json:"size,omitempty"`
	// Error says why it ended, in a sentence; empty if it came in.
	Error string `json:"error,omitempty"`
}

// job is an update to fetch.
type job struct {
	url string
	by  Person
	w   Wish
}

const (
	// maxURL is the longest address, in bytes.
	maxURL = 2000
	// maxRedirects are followed.
	maxRedirects = 5
	// connectWithin bounds a connection's beginning, answerWithin a server's first words.
	connectWithin = 15 * time.Second
	answerWithin  = 30 * time.Second
	usualStall    = 30 * time.Second
)

// CheckURL reads an address that somebody typed.
func (o FetchOptions) CheckURL(typed string) (*url.URL, error) {
	typed = strings.TrimSpace(typed)
	u, err := url.Parse(typed)
	switch {
	case typed == "":
		return nil, bad("Type the address of an update file, beginning with https:// or http://.")
	case len(typed) > maxURL:
		return nil, bad("The address is longer than %d characters.", maxURL)
	case err != nil || u.Hostname() == "" || u.Opaque != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, bad("This is not an address that can be fetched: write it with https:// or http:// in front, as https://example.org/porthole.update.")
	case u.User != nil:
		return nil, bad("Leave user name and password out of the address: everybody who administrates this device would see them. Fetch the file with your browser and choose it here instead.")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := o.checkAddress(a, nil); err != nil {
			return nil, err
		}
	}
	if err := o.checkPort(u); err != nil {
		return nil, err
	}
	u.Fragment = ""
	return u, nil
}

func (o FetchOptions) checkPort(u *url.URL) error {
	port := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	if p := u.Port(); p != "" {
		port = p
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return bad("%s is no port.", port)
	}
	if o.Ports == nil || slices.Contains(o.Ports, uint16(n)) {
		return nil
	}
	var list []string
	for _, p := range o.Ports {
		list = append(list, strconv.Itoa(int(p)))
	}
	return bad("This device fetches updates from the ports %s only, not from %s. Fetch the file with your browser and choose it here instead.", strings.Join(list, ", "), port)
}

// checkAddress refuses what no update comes from, and where asking would be asking for somebody: this device itself, its
// link (where clouds tell machines their secrets), and no address at all. own are the device's.
func (o FetchOptions) checkAddress(a netip.Addr, own []netip.Addr) error {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast():
		return bad("No update can be fetched from %s.", a)
	case o.Inside:
		return nil
	case a.IsLoopback(), slices.Contains(own, a):
		return bad("%s is this device itself. Give the address of a server that has the update.", a)
	}
	return nil
}

// ownAddresses are those of the device.
func ownAddresses() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap().WithZone(""))
		}
	}
	return own
}

// client makes requests. Addresses are checked when they are connected to, so no name leads around that.
func (o FetchOptions) client() *http.Client {
	own := ownAddresses()
	dialer := &net.Dialer{Timeout: connectWithin, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("read address %q: %w", address, err)
		}
		return o.checkAddress(a.Addr(), own)
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: connectWithin, ResponseHeaderTimeout: answerWithin,
			DisableCompression: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return bad("The address leads from one to the next, more than %d times. Use the last one.", maxRedirects)
			}
			if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return bad("The address with https leads to one without (%s).", req.URL.Host)
			}
			_, err := o.CheckURL(req.URL.String())
			return err
		},
	}
}

// Fetch begins to fetch an update. How it goes on is told by View.
func (s *Service) Fetch(by Person, typed string, w Wish) error {
	u, err := s.fetch.CheckURL(typed)
	if err != nil {
		return err
	}
	if err := s.begin(by.Name + " has one fetched from " + u.Host); err != nil {
		return err
	}
	s.mu.Lock()
	s.last = &Fetch{URL: u.String(), Running: true}
	s.mu.Unlock()
	s.jobs <- job{u.String(), by, w} // there is room: nobody else is at it
	return nil
}

// work does a job.
func (s *Service) work(ctx context.Context, j job) {
	defer s.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	client := s.fetch.client()
	defer client.CloseIdleConnections()
	r := s.fetch.open(ctx, client, j.url, s.progress)
	defer r.Close()
	err := refused(s.take(ctx, j.by, r, j.w))
	s.mu.Lock()
	s.stop = nil
	if s.last != nil {
		s.last.Running = false
		s.last.Error = fetchWords(err)
	}
	s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.log.Warn("an update could not be fetched", "err", scrub(err, j.url), "account", j.by.Name)
	default:
		s.log.Info("an update was fetched", "account", j.by.Name)
	}
}

// progress tells how much has come.
func (s *Service) progress(bytes, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil {
		s.last.Bytes, s.last.Size = bytes, max(size, 0)
	}
}

// fetchWords says why a job ended.
func fetchWords(err error) string {
	var p *Problem
	switch {
	case err == nil:
		return ""
	case errors.As(err, &p):
		return p.Text
	}
	return "It could not be fetched; console's log says why."
}

// scrub keeps addresses, which may hold secrets of their owner, out of the log.
func scrub(err error, address string) string {
	return strings.ReplaceAll(err.Error(), address, "the address")
}
