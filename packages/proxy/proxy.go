package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/media/rtsp"
	"porthole/packages/internal/certstore"
	"porthole/packages/internal/daemon"
	"porthole/packages/internal/identity"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/unixsock"
	"porthole/packages/proxy/allow"
	"porthole/packages/proxy/door"
	"porthole/packages/proxy/route"
)

// Config is what Run needs.
type Config struct {
	Env daemon.Env
	// HTTPS, HTTP and ICE (the live view over TCP, beside HTTPS) are TCP listeners; nil switches one off. Run closes them.
	HTTPS, HTTP, ICE net.Listener
	// Test is where plain RTSP is served while the settings want it, TestUDP where RTP for it comes from; empty: nowhere.
	Test, TestUDP string
	// Access finds out what the allow list means; the zero value asks the system. Log is filled in.
	Access allow.Config
	// Limits of the TLS port; nil for door.DefaultLimits.
	Limits *door.Limits
}

// Run is the process: it serves until ctx ends or a part of it fails for good.
func Run(ctx context.Context, cfg Config) error {
	cfg.Access.Log = cfg.Env.Log
	if cfg.Limits == nil {
		limits := door.DefaultLimits()
		cfg.Limits = &limits
	}
	p := &proxy{
		Config:  cfg,
		allow:   allow.New(cfg.Access),
		console: unixsock.NewClient(cfg.Env.Socket("console-internal")), signaling: unixsock.NewClient(cfg.Env.Socket("signaling-status")),
	}
	p.trusted.Store(&[]netip.Prefix{})
	defer p.console.Close()
	defer p.signaling.Close()
	p.hub = rtsp.NewHub(rtsp.Config{Log: cfg.Env.Log, UDP: p.testUDP(ctx), Refused: p.refusedReader})
	toConsole, toSignaling := backendTransport(cfg.Env.Socket("console")), backendTransport(cfg.Env.Socket("signaling"))
	defer toConsole.CloseIdleConnections()
	defer toSignaling.CloseIdleConnections()
	p.routes = route.Config{
		Log: cfg.Env.Log, Console: toConsole, Signaling: toSignaling, Asker: identity.NewAsker(p.console), Metrics: p.metrics(),
		Near: p.allow.Local, Trusted: func() []netip.Prefix { return *p.trusted.Load() }, Stall: cfg.Limits.Stall,
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		p.allow.Run(ctx)
		return nil
	})
	g.Go(func() error { return p.serveReaders(ctx) })
	if cfg.HTTPS != nil {
		ice := unixsock.NewPasser(cfg.Env.Socket("ice"))
		defer ice.Close()
		p.openDoor(ctx, g, ice)
	}
	p.openSwitched(ctx, g)
	g.Go(func() error { return p.hub.Run(ctx) })
	g.Go(func() error {
		return settings.Follow(ctx, cfg.Env.Log, p.console, "proxy", cfg.Env.SettingsFile(), p.apply)
	})
	g.Go(func() error { return p.serveAPI(ctx) })
	return g.Wait()
}

type proxy struct {
	Config
	hub     *rtsp.Hub
	allow   *allow.List
	console *unixsock.Client
	// signaling says who watches, for metrics.
	signaling *unixsock.Client
	routes    route.Config
	// trusted are the reverse proxies in front of us.
	trusted atomic.Pointer[[]netip.Prefix]
	// certs are what is served; nil until the device has its own.
	certs atomic.Pointer[certstore.Store]
	// door is nil while the TLS port is switched off.
	door *door.Door
	// http and test are the ports that settings open and close; nil while a flag switches them off.
	http, test *outlet
}

// openDoor starts what serves the TLS port.
func (p *proxy) openDoor(ctx context.Context, g *errgroup.Group, ice *unixsock.Passer) {
	web, plain := door.NewFeed(p.HTTPS.Addr()), door.NewFeed(p.HTTPS.Addr())
	p.door = door.New(door.Config{
		Log: p.Env.Log, Limits: *p.Limits, Allow: p.allow.Allowed, Near: p.allow.Local,
		HTTP: web.Give, Plain: plain.Give,
		RTSP: func(c net.Conn) { p.hub.Handle(c, rtsp.ViaTLS) },
		ICE:  ice.Pass,
		ACME: func(ctx context.Context) (*net.UnixConn, error) { return dialUnix(ctx, p.Env.Socket("acme")) },
	})
	if p.ICE != nil {
		g.Go(func() error { return p.door.ServeICE(ctx, p.ICE) })
	}
	g.Go(func() error { return serveWeb(ctx, p.Env.Log, web, route.Public(p.routes)) })
	g.Go(func() error { return serveWeb(ctx, p.Env.Log, plain, route.WrongPort()) })
	g.Go(func() error {
		certs, err := waitCertificate(ctx, p.Env.Log, p.Env.TLSDir(""))
		if err != nil {
			p.HTTPS.Close()
			return err
		}
		p.certs.Store(certs)
		g.Go(func() error { return certs.Watch(ctx) })
		return p.door.Serve(ctx, p.HTTPS, certs.Config("h2", "http/1.1"))
	})
}

// certificateNag is when a missing certificate is first mentioned, certificateNagAgain how often after that.
const (
	certificateNag      = 15 * time.Second
	certificateNagAgain = 5 * time.Minute
)

// dialUnix connects to a socket whose ways can be ended one by one.
func dialUnix(ctx context.Context, path string) (*net.UnixConn, error) {
	c, err := unixsock.Dial(ctx, path)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%s is no unix socket", path)
	}
	return u, nil
}

// waitCertificate opens the store as soon as system has published the device's pair and meanwhile says what to check.
func waitCertificate(ctx context.Context, log *slog.Logger, dir string) (*certstore.Store, error) {
	nag := time.NewTimer(certificateNag)
	defer nag.Stop()
	type opened struct {
		store *certstore.Store
		err   error
	}
	done := make(chan opened)
	go func() {
		s, err := certstore.Open(ctx, log, dir)
		done <- opened{s, err}
	}()
	for {
		select {
		case o := <-done:
			return o.store, o.err
		case <-nag.C:
			log.Warn("still no TLS certificate, so HTTPS and cameras wait: check that the process system runs and what its log says, "+
				"and that device/fullchain.pem and device/privkey.pem in the folder are readable by proxy", "folder", dir)
			nag.Reset(certificateNagAgain)
		}
	}
}

// serveReaders hands the hub what signaling and player connect to rtsp.sock.
func (p *proxy) serveReaders(ctx context.Context) error {
	l, err := unixsock.Listen(p.Env.Socket("rtsp"), unixsock.Allow(p.Env.SingleUser, "signaling", "player"))
	if err != nil {
		return err
	}
	return door.Accept(ctx, p.Env.Log, l, func(c net.Conn) { p.hub.Handle(c, rtsp.ViaSocket) })
}

// backendTransport forwards to a socket and changes nothing on the way.
func backendTransport(path string) *http.Transport {
	t := unixsock.Transport(path)
	t.DisableCompression = true
	return t
}

// tcpPort is the port of a listener, 0 without one.
func tcpPort(l net.Listener) int {
	if l == nil {
		return 0
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
