package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"porthole/packages/internal/update"
)

const updateUsage = `usage: porthole update -to HOST [-downgrade] [-no-restart] FILE|URL
       porthole update -to HOST -status

update sends an update file to a device, or has the device fetch it from an address, restarts the device into it, and waits
until the device keeps the new version or has gone back. It logs in with the token in PORTHOLE_TOKEN (for updates; made on
your account's page), or asks for user name and password. It ends with 0 if the new version is kept, 1 if not, 2 if it was
called wrongly.
`

// updateOptions are those of porthole update.
type updateOptions struct {
	to, fingerprint, ca          string
	downgrade, noRestart, status bool
	what                         string // a file or an address
}

// runUpdate is porthole update.
func runUpdate(args []string, stdin, stdout, stderr *os.File) int {
	var o updateOptions
	fs := flag.NewFlagSet("porthole update", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, updateUsage); fs.PrintDefaults() }
	fs.StringVar(&o.to, "to", "", "the device: a name or an address, with `HOST[:PORT]`")
	fs.BoolVar(&o.downgrade, "downgrade", false, "also if it is older than what runs")
	fs.BoolVar(&o.noRestart, "no-restart", false, "only bring it there; somebody restarts the device later, on its page")
	fs.BoolVar(&o.status, "status", false, "only say what runs, and how far an update is")
	fs.StringVar(&o.fingerprint, "fingerprint", "", "the `SHA-256` of the device's authority, instead of being asked at the first contact")
	fs.StringVar(&o.ca, "ca", "", "`file` with the device's authority (its ca.pem)")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if o.to == "" || o.status != (fs.NArg() == 0) || fs.NArg() > 1 {
		fs.Usage()
		return 2
	}
	o.what = fs.Arg(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := newTerminal(stdin, stdout, stderr)
	err := doUpdate(ctx, o, t)
	t.endBar()
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNobody):
		fmt.Fprintln(stderr, "porthole update: put a token for updates into PORTHOLE_TOKEN, or call this in a terminal")
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "porthole update: interrupted; what has arrived is kept, and the same call goes on with it")
		return 1
	}
	fmt.Fprintf(stderr, "porthole update: %v\n", err)
	return 1
}

// doUpdate does what was asked for. nil: the new version is kept, or brought, or the status was said.
func doUpdate(ctx context.Context, o updateOptions, t *terminal) error {
	address, err := deviceAddress(o.to)
	if err != nil {
		return err
	}
	var b *update.Bundle
	if !o.status && !isURL(o.what) {
		f, bundle, err := openUpdate(o.what)
		if err != nil {
			return err
		}
		defer f.Close()
		b = bundle
	}
	d, err := reach(ctx, address, o, t)
	if err != nil {
		return err
	}
	defer d.http.CloseIdleConnections()
	defer d.logOut(ctx)
	s, err := d.status(ctx)
	switch {
	case err != nil:
		return err
	case o.status:
		return tellStatus(t, s)
	case !s.Supported:
		return errors.New(s.Why)
	}
	u := &updating{device: d, t: t, o: o, from: s.Version, last: s}
	if b != nil {
		err = u.send(ctx, b)
	} else {
		err = u.fetch(ctx)
	}
	if err == nil {
		err = u.untilReady(ctx)
	}
	if err != nil {
		return err
	}
	if o.noRestart {
		t.say("%s is ready beside %s. Restart into it on the page of the device, under Settings, Updates.", u.last.Target, u.from)
		return nil
	}
	return u.install(ctx)
}

// deviceAddress reads HOST, HOST:PORT or https://HOST.
func deviceAddress(to string) (string, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(to, "https://"), "/")
	if strings.HasPrefix(host, "http://") || host == "" || strings.ContainsAny(host, "/?#@ ") {
		return "", fmt.Errorf("%q is no device: name it as porthole.local, 192.168.1.5 or porthole.example.org:8443", to)
	}
	if h, p, err := net.SplitHostPort(host); err == nil {
		return net.JoinHostPort(h, p), nil
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "443"), nil
}

// isURL reports whether it is something that the device fetches.
func isURL(what string) bool {
	return strings.HasPrefix(what, "https://") || strings.HasPrefix(what, "http://")
}

// openUpdate opens an update file.
func openUpdate(name string) (*os.File, *update.Bundle, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("read the update: %w", err)
	}
	st, err := f.Stat()
	var b *update.Bundle
	if err == nil {
		b, err = update.OpenBundle(f, st.Size())
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, b, nil
}

// reach connects to the device and logs in.
func reach(ctx context.Context, address string, o updateOptions, t *terminal) (*device, error) {
	token := os.Getenv("PORTHOLE_TOKEN")
	if token == "" && !t.asks {
		return nil, errNobody
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return nil, fmt.Errorf("find the folder of your settings: %w", err)
	}
	to := trustOptions{fingerprint: o.fingerprint, file: o.ca, folder: filepath.Join(config, "porthole", "devices")}
	if t.asks {
		to.ask = func(fingerprint string) (bool, error) {
			t.say("This device is not known here yet. The authority of its certificate has the SHA-256 fingerprint\n  %s\nThe device's own screen shows the beginning of it; its page has the whole, under Certificate.", fingerprint)
			answer, err := t.ask("Is it the same? [y/N] ")
			return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes"), err
		}
	}
	tr, err := meet(ctx, address, to)
	if err != nil {
		return nil, err
	}
	d, err := newDevice(address, tr)
	if err != nil {
		return nil, err
	}
	if d.token = token; token != "" {
		return d, nil
	}
	user, err := t.ask("User name: ")
	if err != nil {
		return nil, err
	}
	password, err := t.secret("Password: ")
	if err != nil {
		return nil, err
	}
	return d, d.logIn(ctx, user, password)
}

// tellStatus says what runs, and how far an update is.
func tellStatus(t *terminal, s deviceStatus) error {
	fmt.Fprintf(t.out, "version: %s\n", s.Version)
	for _, l := range []struct{ name, value string }{{"board", s.Board}, {"slot", s.Slot}, {"former version", s.Other}, {"security updates until", s.SupportEnds}, {"updates", s.Why}} {
		if l.value != "" {
			fmt.Fprintf(t.out, "%s: %s\n", l.name, clean(l.value))
		}
	}
	if s.Phase != "" && s.Phase != update.Idle {
		fmt.Fprintf(t.out, "update: %s %s\n", clean(s.Target), phaseText(s))
		if s.Reason != "" {
			fmt.Fprintf(t.out, "reason: %s\n", clean(s.Reason))
		}
	}
	for i, e := range s.History {
		if i == maxHistory {
			break
		}
		fmt.Fprintf(t.out, "%s: %s to %s: %s", e.At.UTC().Format("2006-01-02 15:04"), clean(e.From), clean(e.To), e.What)
		if e.Reason != "" {
			fmt.Fprintf(t.out, ": %s", clean(e.Reason))
		}
		fmt.Fprintln(t.out)
	}
	return nil
}

// maxHistory is how many former updates are told.
const maxHistory = 5

// hostOfURL is an address without what may be secret in it.
func hostOfURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "its address"
	}
	return u.Host
}

// clean keeps what a device says from steering the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
