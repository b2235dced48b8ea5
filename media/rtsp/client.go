package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// handshakeTimeout is shorter than any wait for an answer, so that the reason is known.
const handshakeTimeout = 5 * time.Second

// dialTimeout is for addresses, which need no name server: a camera that is being switched on hears the first or second
// of TCP's requests of an attempt, while the third would come two seconds later (RFC 6298 section 2: 0, 1, 3 s).
const dialTimeout = 2 * time.Second

var (
	errRemoved  = errors.New("the camera was removed")
	errEnded    = errors.New("the camera server is stopping")
	errNoAnswer = errors.New("the camera does not answer")
	errSilent   = errors.New("the camera sends no packets")
	errDenied   = errors.New("the camera refuses the user name or the password")
	errTLS      = errors.New("the camera does not speak TLS there")
	errWantsTLS = errors.New("the camera speaks TLS there: take rtsps:// instead of rtsp://")
	errRefused  = errors.New("the camera refuses")
	errBadURL   = fmt.Errorf("%w: its address is not an rtsp:// or rtsps:// URL", errRefused)
	errRedirect = errors.New("the camera points to another host, which Porthole does not follow")
)

// transportError is a failure that another way of carrying RTP may mend.
type transportError struct{ err error }

func (e *transportError) Error() string { return e.err.Error() }
func (e *transportError) Unwrap() error { return e.err }

// transports chooses how RTP travels: as the source says, else TCP, which loses nothing on the Wi-Fi that most cameras
// hang on, and UDP where TCP does not work.
type transports struct {
	fixed, udp, proven bool
}

func (t *transports) use(src Source) gortsplib.Protocol {
	switch src.Transport {
	case "tcp":
		*t = transports{fixed: true}
	case "udp":
		*t = transports{fixed: true, udp: true}
	default:
		t.fixed = false
	}
	if t.udp {
		return gortsplib.ProtocolUDP
	}
	return gortsplib.ProtocolTCP
}

// works notes that packets come.
func (t *transports) works() { t.proven = true }

// next reports whether the other transport should be tried at once after err.
func (t *transports) next(err error) bool {
	var te *transportError
	if t.fixed || !errors.As(err, &te) || statusOf(err) == base.StatusUnauthorized || statusOf(err) == base.StatusForbidden {
		return false
	}
	if t.proven {
		// It worked before: first see whether it does again.
		t.proven = false
		return false
	}
	t.udp = !t.udp
	return t.udp
}

// newClient returns a client that is not started and the URL to describe. Any certificate is taken of a camera with
// rtsps: nearly all are self-signed and name nothing that could be checked. That hides the stream from those who listen
// but not from those who pose as the camera.
func newClient(src Source, via gortsplib.Protocol, ans *answers) (*gortsplib.Client, *base.URL, error) {
	u, err := base.ParseURL(src.URL)
	if err != nil {
		// The error repeats the URL, which may hold credentials.
		return nil, nil, errBadURL
	}
	host := u.Hostname()
	if src.User != "" {
		u.User = url.UserPassword(src.User, src.Password)
	}
	var dialer net.Dialer
	if _, err := netip.ParseAddr(host); err == nil {
		dialer.Timeout = dialTimeout
	}
	quiet := func(error) {}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		// A redirect takes the credentials along.
		if h, _, err := net.SplitHostPort(address); err != nil || h != host {
			return nil, errRedirect
		}
		return dialer.DialContext(ctx, network, address)
	}
	ans.base = u
	return &gortsplib.Client{
		Scheme:    u.Scheme,
		Host:      u.Host,
		Protocol:  &via,
		UserAgent: "Porthole",
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newCameraConn(c, ans.note), nil
		},
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
			defer cancel()
			if err := t.HandshakeContext(ctx); err != nil {
				c.Close()
				return nil, fmt.Errorf("%w: %w", errTLS, err)
			}
			return newCameraConn(t, ans.note), nil
		},
		OnRequest:  ans.request,
		OnResponse: ans.response,
		// Otherwise gortsplib writes to the standard logger, for every packet.
		OnTransportSwitch: quiet,
		OnPacketsLost:     func(uint64) {},
		OnDecodeError:     quiet,
	}, u, nil
}

func statusOf(err error) base.StatusCode {
	var bad liberrors.ErrClientBadStatusCode
	if errors.As(err, &bad) {
		return bad.Code
	}
	return 0
}

// explain turns an error into words for the camera's owner, without credentials.
func explain(err error, src Source) error {
	var dns *net.DNSError
	var op *net.OpError
	switch status := statusOf(err); {
	case errors.Is(err, errNoAnswer), errors.Is(err, errSilent), errors.Is(err, errRedirect), errors.Is(err, errNoMedia),
		errors.Is(err, errRefused), errors.Is(err, errGarbage), errors.Is(err, errWantsTLS):
		return err
	case status == base.StatusUnauthorized, status == base.StatusForbidden:
		if src.User == "" {
			return fmt.Errorf("%w: it wants some, and none is set", errDenied)
		}
		return errDenied
	case status == base.StatusNotFound:
		return fmt.Errorf("%w: it has no stream at the path of its address (404)", errRefused)
	case status != 0 && status < 500:
		return fmt.Errorf("%w with status %d", errRefused, status)
	case status != 0:
		return fmt.Errorf("the camera fails with status %d", status)
	case errors.Is(err, errTLS):
		return fmt.Errorf("%w: take rtsp:// instead of rtsps://, or another port", errTLS)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("nothing answers at the camera's address and port (connection refused)")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("the camera cannot be reached from this network")
	case errors.As(err, &dns):
		return fmt.Errorf("the camera's name %q is not known in this network", dns.Name)
	case errors.As(err, new(liberrors.ErrClientRequestTimedOut)), errors.As(err, &op) && op.Timeout():
		return errNoAnswer
	case errors.As(err, new(liberrors.ErrClientTCPTimeout)), errors.As(err, new(liberrors.ErrClientUDPTimeout)):
		return errSilent
	}
	return errors.New("the connection to the camera ended: " + scrub(err.Error(), src))
}

// scrub bounds a foreign text and takes credentials and control characters out.
func scrub(s string, src Source) string {
	if src.Password != "" {
		for _, secret := range []string{src.Password, url.QueryEscape(src.Password), url.PathEscape(src.Password)} {
			s = strings.ReplaceAll(s, secret, "…")
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}
