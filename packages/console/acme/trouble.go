package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// step is what failed.
type step int

const (
	readDirectory step = iota
	register
	makeOrder
	noWay
	setRecord
	proveName
	finalize
	publish
	ownLimit
)

// errNeedsEAB means that a server wants its customers' accounts only.
var errNeedsEAB = errors.New("the server asks for an external account binding")

// stepError is a failure on the way to a certificate.
type stepError struct {
	step step
	// name is the name it is about and way the challenge, where it is about one.
	name, way string
	err       error
	// until is when the server wants to be asked again; zero where it said nothing.
	until time.Time
}

func (e *stepError) Error() string {
	if e.name != "" {
		return fmt.Sprintf("%s by %s: %v", e.name, e.way, e.err)
	}
	return e.err.Error()
}

func (e *stepError) Unwrap() error { return e.err }

// about reports whether the proof of a name failed: that is what servers count.
func (e *stepError) about() bool {
	return e.step == proveName || e.step == setRecord || e.step == noWay
}

// passing reports whether it costs nothing to try again soon: nobody answered, or a process of ours did not.
func (e *stepError) passing() bool {
	_, refused := asProblem(e.err)
	return !refused && (e.step == readDirectory || e.step == register && !errors.Is(e.err, errNeedsEAB) || e.step == publish)
}

// asProblem finds what a server said (RFC 8555 section 6.7) in err.
func asProblem(err error) (acme.Problem, bool) {
	if said := (acme.Problem{}); errors.As(err, &said) {
		return said, true
	}
	if said := (*acme.Problem)(nil); errors.As(err, &said) && said != nil {
		return *said, true
	}
	return acme.Problem{}, false
}

// serverText is what people call the server.
func serverText(directory string, o Options) string {
	switch directory {
	case o.Production:
		return "Let’s Encrypt"
	case o.Staging:
		return "Let’s Encrypt’s test server"
	}
	return hostOf(directory)
}

func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// explain says what is wrong and what to do.
func (m *Manager) explain(ctx context.Context, s Settings, e *stepError) string {
	server := serverText(m.directory(s), m.o)
	said, problem := asProblem(e.err)
	if problem && len(said.Subproblems) > 0 {
		said.Type, said.Detail = said.Subproblems[0].Type, said.Subproblems[0].Identifier.Value+": "+said.Subproblems[0].Detail
	}
	detail := clean(said.Detail)
	switch {
	case e.step == ownLimit:
		return server + " allows only so many tries in a time. To stay below that, the next one waits."
	case e.step == publish:
		return "The certificate is here, but could not be put in service: " + clean(e.err.Error()) + ". It is tried again by itself."
	case e.step == noWay:
		return fmt.Sprintf("%s offers no way to prove %s that this device can go. Choose DNS as the proof.", server, e.name)
	case e.step == setRecord && !problem:
		return m.explainDNS(s, e)
	case errors.Is(e.err, errNeedsEAB) || said.Type == acme.ProblemTypeExternalAccountRequired:
		return server + " gives certificates only to accounts that its customers have there. Fill in the key’s id and the key that it gave you."
	case !problem:
		return explainNetwork(server, "ACME server", e.err)
	case said.Type == acme.ProblemTypeRateLimited || said.Status == 429:
		return fmt.Sprintf("%s has had enough requests for now: %s The next try waits until it allows one.", server, sentence(detail))
	case e.step == proveName:
		return m.explainProof(ctx, server, e, said)
	}
	return explainProblem(server, s, said, detail)
}

func explainProblem(server string, s Settings, said acme.Problem, detail string) string {
	switch said.Type {
	case acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		return fmt.Sprintf("%s gives no certificate for one of the names: %s Choose another name.", server, sentence(detail))
	case acme.ProblemTypeCAA:
		return explainCAA(server, strings.Join(s.Names, ", "), detail)
	case acme.ProblemTypeInvalidContact, acme.ProblemTypeUnsupportedContact:
		return fmt.Sprintf("%s does not take the e-mail address: %s Correct it or leave it empty.", server, sentence(detail))
	case acme.ProblemTypeUserActionRequired:
		return fmt.Sprintf("%s has new terms: %s Look at them, then save the settings again.", server, sentence(detail))
	case acme.ProblemTypeServerInternal:
		return fmt.Sprintf("%s has a problem of its own: %s It is tried again by itself.", server, sentence(detail))
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeMalformed:
		if s.EABKey != "" {
			return fmt.Sprintf("%s does not accept the request: %s Check the key’s id and the key.", server, sentence(detail))
		}
	}
	if said.Status == 503 {
		return fmt.Sprintf("%s is being worked on: %s It is tried again by itself.", server, sentence(detail))
	}
	return fmt.Sprintf("%s refused: %s", server, sentence(detail))
}

func explainCAA(server, name, detail string) string {
	return fmt.Sprintf("A CAA record in the DNS of %s does not allow %s to give out certificates: %s Add one that does (for Let’s Encrypt: 0 issue \"letsencrypt.org\"), or remove it.", name, server, sentence(detail))
}

// explainProof says why a name could not be proven.
func (m *Manager) explainProof(ctx context.Context, server string, e *stepError, said acme.Problem) string {
	detail := sentence(clean(said.Detail))
	port := "443"
	if e.way == acme.ChallengeTypeHTTP01 {
		port = "80"
	}
	if e.way == acme.ChallengeTypeDNS01 {
		record := "_acme-challenge." + strings.TrimPrefix(e.name, "*.")
		switch said.Type {
		case acme.ProblemTypeCAA:
			return explainCAA(server, e.name, clean(said.Detail))
		case acme.ProblemTypeDNS, acme.ProblemTypeUnauthorized:
			return fmt.Sprintf("%s did not find the right TXT record at %s: %s It was set, so either the provider takes longer to show it everywhere, or the name’s DNS is somewhere else.", server, record, detail)
		}
		return fmt.Sprintf("%s did not accept %s: %s", server, e.name, detail)
	}
	where := m.whereText(ctx, e.name)
	switch said.Type {
	case acme.ProblemTypeConnection:
		how := "could not connect to"
		switch low := strings.ToLower(said.Detail); {
		case strings.Contains(low, "refused"):
			how = "was refused at"
		case strings.Contains(low, "timeout") || strings.Contains(low, "timed out") || strings.Contains(low, "deadline"):
			how = "got no answer from"
		}
		return fmt.Sprintf("%s %s %s on port %s. %s Have your router pass port %s from outside on to this device.", server, how, e.name, port, where, port)
	case acme.ProblemTypeDNS:
		return fmt.Sprintf("%s finds no address for %s: %s Set an A record (or AAAA) to your public address.", server, e.name, detail)
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse, acme.ProblemTypeTLS:
		return fmt.Sprintf("Something else than this device answers at %s on port %s: %s %s Have your router pass port %s on to this device, without a reverse proxy that ends TLS between.", e.name, port, detail, where, port)
	case acme.ProblemTypeCAA:
		return explainCAA(server, e.name, clean(said.Detail))
	}
	return fmt.Sprintf("%s did not accept %s: %s", server, e.name, detail)
}

// whereText says which addresses a name has, as seen from here.
func (m *Manager) whereText(ctx context.Context, name string) string {
	if isAddress(name) {
		return "Is that still your public address?"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := m.o.Lookup(ctx, name)
	if err != nil || len(list) == 0 {
		return "Seen from here the name has no address at all: set an A record to your public address."
	}
	texts := make([]string, 0, len(list))
	for _, a := range list {
		texts = append(texts, netip.Addr.Unmap(a).String())
	}
	return fmt.Sprintf("In DNS the name has the address %s: that has to be your public one.", strings.Join(texts, " and "))
}

// explainDNS says why a record could not be set.
func (m *Manager) explainDNS(s Settings, e *stepError) string {
	p, _ := ProviderByID(s.Provider)
	text := e.err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	name := strings.TrimPrefix(e.name, "*.")
	switch {
	case errors.Is(e.err, errRefused) || has("HTTP 401", "HTTP 403", " 401", " 403", "NOTAUTH", "BADKEY", "BADSIG", "BADTIME", "REFUSED", "tsig", "bad signature", "bad authentication", "bad time"):
		return fmt.Sprintf("%s refused to change the DNS of %s. Check the key or token, and that it may change this zone.", p.Name, name)
	case has("could not determine zone", "could not find the start of authority", "NOTZONE", "expected 1 zone"):
		return fmt.Sprintf("No zone that holds %s is found in DNS. Check the name, and that this device has a working name server.", name)
	case has("timed out waiting for record"):
		return fmt.Sprintf("%s took the record _acme-challenge.%s, but it cannot be seen in DNS even after minutes. Is the name’s DNS really there, and for acme-dns, is the CNAME set?", p.Name, name)
	}
	return explainNetwork(p.Name, "DNS provider", e.err)
}

// explainNetwork says why somebody could not be spoken with.
func explainNetwork(who, what string, err error) string {
	var dnsErr *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &unknown):
		return who + " shows a certificate that nobody vouches for whom this device knows. If it is your own " + what + ", paste its root certificate into the form."
	case errors.As(err, &host):
		return who + " shows a certificate for another name. Check the address in the form."
	case errors.As(err, &invalid):
		return who + " shows a certificate that is not valid now. If this device’s clock is right, tell whoever runs it."
	case errors.As(err, &dnsErr):
		return "The address of " + who + " is not found in DNS. Check that this device reaches the internet and has a name server, and check the address in the form."
	case errors.Is(err, syscall.ECONNREFUSED):
		return who + " refuses connections. Check the address in the form; it may also be restarting."
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return "There is no way to " + who + " from this device. Is it connected to the internet?"
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		return "This device connects only to ports 443, 53, 80, 8443, 9000 and 14000 for certificates. Use an address with one of them for " + who + "."
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return who + " does not answer. Is this device connected to the internet?"
	}
	return who + " answers, but not as an " + what + " does. Check the address in the form; console’s log says more."
}

// maxDetail bounds what is repeated of a server's words, in bytes.
const maxDetail = 300

// clean makes a server's words safe to show.
func clean(text string) string {
	text = strings.ToValidUTF8(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, text), "")
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "…"
	}
	return strings.Join(strings.Fields(text), " ")
}

// sentence quotes a server's words.
func sentence(text string) string {
	if text == "" {
		return "it does not say why."
	}
	return "“" + strings.TrimRight(text, ".") + "”."
}
