package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"porthole/packages/internal/daemon"
	"porthole/packages/signaling/web"
)

// portRetry is the pause between tries to open the port again.
const portRetry = 5 * time.Second

// port is the signaling port, which the settings switch on and off. It is on while there are none.
type port struct {
	env  daemon.Env
	addr string
	l    net.Listener // nil while it is closed
}

func newPort(env daemon.Env, addr string) *port { return &port{env: env, addr: addr} }

// open listens; without an address there is no port at all.
func (p *port) open() error {
	if p.addr == "" || p.l != nil {
		return nil
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return taken(err, p.addr)
	}
	p.l = l
	return nil
}

func (p *port) close() {
	if p.l != nil {
		// Its server may have closed it already.
		_ = p.l.Close()
		p.l = nil
	}
}

// number is the port pages are told of; 0 while it is closed.
func (p *port) number() int {
	if p.l == nil {
		return 0
	}
	if a, ok := p.l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// run serves the port while it is wanted, until ctx ends.
func (p *port) run(ctx context.Context, wanted <-chan bool, server *web.Server) error {
	if p.addr == "" {
		p.env.Log.Info("there is no signaling port (-wss is empty); pages use /ws on the console's port")
	}
	defer p.close()
	on := true
	for {
		if !on || p.addr == "" {
			p.close()
			server.SetSignalingPort(0)
			select {
			case <-ctx.Done():
				return nil
			case on = <-wanted:
			}
			continue
		}
		if err := p.open(); err != nil {
			p.env.Log.Error("the signaling port stays closed; trying again", "err", err)
			var again bool
			if on, again = p.pause(ctx, wanted); !again {
				return nil
			}
			continue
		}
		server.SetSignalingPort(p.number())
		if err := p.serve(ctx, wanted, server); err != nil || ctx.Err() != nil {
			return err
		}
		p.close()
		p.env.Log.Info("signaling port is switched off; pages use /ws on the console's port")
		on = false
	}
}

// serve returns when the port is switched off or ctx ends.
func (p *port) serve(ctx context.Context, wanted <-chan bool, server *web.Server) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serveTLS(ctx, p.env, p.l, server.Direct()) }()
	for {
		select {
		case err := <-ended:
			return err
		case on := <-wanted:
			if !on {
				server.SetSignalingPort(0)
				stop()
				return <-ended
			}
		}
	}
}

// pause waits before the next try; false means that ctx ended.
func (p *port) pause(ctx context.Context, wanted <-chan bool) (on, again bool) {
	t := time.NewTimer(portRetry)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false, false
	case on = <-wanted:
		return on, true
	case <-t.C:
		return true, true
	}
}

func taken(err error, addr string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(addr)
		return fmt.Errorf("TCP port %s is taken by another program: stop that one, or choose another port with -wss: %w", port, err)
	}
	return fmt.Errorf("open the secure WebSocket port %s: %w", addr, err)
}
