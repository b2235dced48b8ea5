package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"porthole/packages/player/trust"
)

// Cause tells problems apart.
type Cause string

// The causes.
const (
	CauseRefused Cause = "refused" // nobody listens there
	CauseNetwork Cause = "network" // no way there, or no answer
	CauseDNS     Cause = "dns"     // its name leads nowhere
	CauseTLS     Cause = "tls"     // no TLS there, or none that works
	CauseTrust   Cause = "trust"   // its certificate is not the one that is known
	CauseAuth    Cause = "auth"    // it does not know this screen, or waits for a person
	CauseEmpty   Cause = "empty"   // it has nothing to play
	CauseServer  Cause = "server"  // it answers with errors, or is no signage server
	CauseBusy    Cause = "busy"    // it asks to come again later
)

// explanation is a problem for a person.
type explanation struct {
	Cause         Cause
	Problem, Step string
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	// text is what the server says, a short line.
	text       string
	retryAfter time.Duration
	// elsewhere is where the server sends us: of a redirect, or of 426.
	elsewhere string
}

func (e *statusError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("answered %d %s", e.status, http.StatusText(e.status))
	}
	return fmt.Sprintf("answered %d: %s", e.status, e.text)
}

// formatError is an answer that a signage server would not give.
type formatError struct{ what string }

func (e *formatError) Error() string { return e.what }

// problemError is a problem that was found here.
type problemError struct{ explanation }

func (e *problemError) Error() string { return e.Problem }

// errAgain means that it is to be tried again at once: the server is known better now.
var errAgain = errors.New("the server is to be asked again")

// unwrapURL takes the address away from an error of net/http: it may hold a code.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// explain puts an error in words.
func explain(s setup, err error) explanation {
	if s.server == "" {
		return explainOwn(err)
	}
	var (
		refused *trust.RefusedError
		problem *problemError
		status  *statusError
		format  *formatError
	)
	switch {
	case errors.As(err, &problem):
		return problem.explanation
	case errors.As(err, &refused):
		return explanation{CauseTrust, refused.Reason, refused.Step}
	case errors.As(err, &status):
		return explainStatus(s, status)
	case errors.As(err, &format):
		return explanation{
			CauseServer, "What answers at " + s.host + " is no signage server: " + format.what + ".",
			"Check the server’s address and port. In a hotspot’s network, somebody has to log in there first.",
		}
	}
	return explainNetwork(s, err)
}

func explainOwn(err error) explanation {
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusForbidden {
		return explanation{CauseAuth, "This device’s own screen is switched off in its signage server.", "Switch it on at Screens in the console."}
	}
	return explanation{
		CauseServer, "This device’s signage server does not answer.",
		"It is started again by itself. If this stays, look at the console’s System page, and restart the device.",
	}
}

// explainStatus is for answers of a server with which we could talk.
func explainStatus(s setup, e *statusError) explanation {
	says := ""
	if e.text != "" {
		says = " It says: " + e.text
	}
	switch {
	case e.status == http.StatusUnauthorized:
		x := explanation{CauseAuth, "The server does not let this screen in." + says, ""}
		if s.code != "" {
			x.Step = fmt.Sprintf("Compare hostname (%s) and quick-connect code in the settings with those on the server.", s.hostname)
		} else {
			x.Step = "Enter the hostname and the quick-connect code that the server has for this screen."
		}
		return x
	case e.status == http.StatusForbidden:
		return explanation{CauseAuth, "The server has switched this screen off." + says, "Switch it on at the server."}
	case e.status == http.StatusTooManyRequests || (e.status == http.StatusServiceUnavailable && e.retryAfter > 0):
		return explanation{CauseBusy, "The server has too much to do." + says, "Nothing needs to be done: this screen comes again when the server wants it to."}
	case e.status >= 500:
		return explanation{CauseServer, fmt.Sprintf("The server has a problem of its own (%d %s).", e.status, http.StatusText(e.status)) + says, "Look at the server’s log."}
	case e.status >= 300 && e.status < 400:
		return explanation{CauseServer, "The server sends this screen on to " + withoutQuery(e.elsewhere) + ".", "Set that as the server’s address, if it is right."}
	case e.status == http.StatusNotFound:
		return explanation{CauseServer, "What answers at " + s.host + " does not know the call of a signage server." + says, "Check the server’s address and port, and whether the server is up to date."}
	}
	return explanation{CauseServer, fmt.Sprintf("The server answers with %d %s.", e.status, http.StatusText(e.status)) + says, "Look at the server’s log."}
}

// withoutQuery is an address to show: its query may hold a code.
func withoutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "another address"
	}
	return oneLine((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// explainNetwork is for servers with which we could not talk.
func explainNetwork(s setup, err error) explanation {
	var (
		dns     *net.DNSError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		timeout interface{ Timeout() bool }
	)
	host := hostOf(s.host)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		step := "Check how the server’s name is written."
		if strings.HasSuffix(host, ".local") {
			step = "Names that end in .local are not known to every network: use the server’s IP address."
		}
		return explanation{CauseDNS, "No address is known for the server’s name " + host + ".", step}
	case errors.As(err, &dns):
		return explanation{CauseDNS, "The name server does not answer, so nobody knows the address of " + host + ".", "Check the network cable or Wi-Fi, the router and its internet connection; or use the server’s IP address."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return explanation{CauseRefused, "Nobody answers at " + s.host + ": the connection is refused.", "Check that the server runs, that the port is right and that no firewall is in between."}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EADDRNOTAVAIL):
		return explanation{CauseNetwork, "There is no way to " + s.host + " in the network.", "Check the network cable or Wi-Fi, and that the server’s address is right."}
	case errors.As(err, &record), strings.HasPrefix(s.server, "https:") && isPlainAnswer(err):
		return explanation{CauseTLS, "What answers at " + s.host + " speaks no TLS.", "Check the port; an address that begins with https:// needs the server’s TLS port."}
	case errors.As(err, &alert), isHandshake(err):
		return explanation{CauseTLS, "TLS with " + s.host + " does not come about: " + tlsWords(err) + ".", "Check the TLS settings of the server: it must offer TLS 1.2 or 1.3."}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return explanation{CauseNetwork, fmt.Sprintf("The server at %s does not answer within %d seconds.", s.host, int(s.timeout.Seconds())), "Check that the server is on and in the same network or reachable from here; if it is only slow, set a longer time."}
	}
	return explanation{CauseNetwork, "The connection to " + s.host + " broke.", "Nothing needs to be done if this passes; else check the network and the server."}
}

func isPlainAnswer(err error) bool {
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

func isHandshake(err error) bool { return strings.Contains(err.Error(), "tls: ") }

func tlsWords(err error) string {
	_, what, ok := strings.Cut(err.Error(), "tls: ")
	if !ok {
		return "the handshake fails"
	}
	return what
}

// emptyProgram is what is said of a server that has nothing to play.
func emptyProgram(s setup) explanation {
	x := explanation{CauseEmpty, "The server has nothing for this screen to play.", "Give this screen a playlist at the server, put something into it and publish it."}
	if s.server == "" {
		x.Problem, x.Step = "There is nothing for this screen to play yet.", "Open the console, upload pictures or videos, and publish a playlist for this screen."
	}
	return x
}
