//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gokrazy/gokrazy/ifaddr"
	"github.com/google/renameio/v2"
)

// claimPatience is how long console may take to store the password from porthole.toml before the banner shows the
// claim code all the same.
const claimPatience = 15 * time.Second

// readyInfo is what -ready-file holds.
type readyInfo struct {
	PID       int    `json:"pid"`
	HTTPS     int    `json:"https_port"`
	HTTP      int    `json:"http_port"`
	WSS       int    `json:"wss_port"`
	ICE       int    `json:"ice_udp_port"`
	Claimed   bool   `json:"claimed"`
	ClaimCode string `json:"claim_code"`
	Console   string `json:"console_url"`
	Viewer    string `json:"viewer_url"`
	Signaling string `json:"signaling_url"`
	State     string `json:"state_dir"`
	Logs      string `json:"log_dir"`
	Control   string `json:"control_socket"`
}

// claim is console's answer to GET /claim.
type claim struct {
	Claimed bool   `json:"claimed"`
	Code    string `json:"code"`
}

// waiter follows the start.
type waiter struct {
	o options
	// slow is called once, when it takes long.
	slow func(waitingFor error)
	// impatient means that nobody waits any more for console to store the password from porthole.toml.
	impatient bool
}

// await returns when console and proxy answer. It ends early only with ctx.
func (w *waiter) await(ctx context.Context) (readyInfo, error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(claimPatience)
	defer patience.Stop()
	tooLong := time.NewTimer(10 * time.Second)
	defer tooLong.Stop()
	for {
		c, err := w.try(ctx)
		if err == nil {
			return w.o.ready(c), nil
		}
		select {
		case <-ctx.Done():
			return readyInfo{}, ctx.Err()
		case <-patience.C:
			w.impatient = true
		case <-tooLong.C:
			w.slow(err)
		case <-tick.C:
		}
	}
}

func (w *waiter) try(ctx context.Context) (claim, error) {
	// Asked first: once console has taken the file over, the claim is final.
	password, err := passwordPending(ctx)
	if err != nil {
		return claim{}, err
	}
	var c claim
	status, err := ask(ctx, "run/console/console-internal.sock", "/claim", &c)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("it answers %d", status)
	}
	if err != nil {
		return claim{}, fmt.Errorf("console: %w", err)
	}
	if err := askHealth(ctx, w.o); err != nil {
		return claim{}, fmt.Errorf("proxy, %s: %w", w.o.url("https", w.o.HTTPS, "/api/health"), err)
	}
	if !c.Claimed && password && !w.impatient {
		return claim{}, errors.New("console: it has not stored the password from porthole.toml")
	}
	return c, nil
}

// askHealth opens /api/health the way a browser that trusts the device's authority would.
func askHealth(ctx context.Context, o options) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	pem, err := os.ReadFile("perm/tls/device/fullchain.pem")
	if err != nil {
		return fmt.Errorf("read the device's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	dialTo := net.JoinHostPort(o.host(), strconv.Itoa(o.HTTPS))
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: "localhost"},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, dialTo)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/api/health", nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}

func (o options) url(scheme string, port int, path string) string {
	host := o.host()
	if port != 443 || scheme == "wss" {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return scheme + "://" + host + path
}

func (o options) ready(c claim) readyInfo {
	r := readyInfo{
		PID: os.Getpid(), HTTPS: o.HTTPS, HTTP: o.HTTP, WSS: o.WSS, ICE: o.ICE,
		Claimed: c.Claimed, ClaimCode: c.Code,
		Console: o.url("https", o.HTTPS, "/"),
		Viewer:  o.url("https", o.HTTPS, "/livestream/viewer?camera=demo"),
		State:   o.State, Logs: filepath.Join(o.State, "log"), Control: filepath.Join(o.State, controlSocket),
	}
	if o.WSS != 0 {
		r.Signaling = o.url("wss", o.WSS, "/")
	}
	return r
}

// writeReadyFile appears whole or not at all.
func writeReadyFile(path string, r readyInfo) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode ready file: %w", err)
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return nil
}

// banner tells a person where to go.
func banner(w io.Writer, o options, r readyInfo) {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "  %-12s %s\n", name, value) }
	fmt.Fprintf(&b, "\n  Porthole is running\n\n")
	row("console", r.Console)
	if at := lanAddress(); at != "" && o.Bind == "" {
		row("", "https://"+net.JoinHostPort(at, strconv.Itoa(o.HTTPS))+"/ from other devices")
	}
	switch {
	case r.ClaimCode != "" && !r.Claimed:
		row("claim code", r.ClaimCode+"  (the console asks for it; it makes you the owner)")
	case o.Provision != "":
		row("log in", `as "admin" with the password from `+filepath.Base(o.Provision)+", or with your account")
	default:
		row("log in", "with your account: this Porthole is already claimed")
	}
	row("demo camera", r.Viewer)
	if r.Signaling != "" {
		row("signaling", r.Signaling)
	}
	row("logs", r.Logs)
	row("state", r.State+"  (remove the folder to start anew)")
	fmt.Fprintf(&b, "\n  Your browser warns about the certificate until it trusts this device's own authority; the console says how.\n  Ctrl-C stops everything.\n\n")
	io.WriteString(w, b.String())
}

// lanAddress is an IPv4 address under which other devices may find this one; empty when there is none.
func lanAddress() string {
	addrs, err := ifaddr.PrivateInterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		ip, err := netip.ParseAddr(a)
		if err == nil && ip.Is4() && ip.IsPrivate() {
			return a
		}
	}
	return ""
}
