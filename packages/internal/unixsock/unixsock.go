// Package unixsock serves and dials the unix sockets between Porthole's processes. A socket's file can be
// opened by anybody; who may talk is decided by the kernel's word on the peer's user id (SO_PEERCRED, unix(7)).
package unixsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/serve"
)

// The user ids of Porthole's processes on a device. Root is always allowed everywhere.
const (
	UIDSystem    = 0
	UIDProxy     = 2001
	UIDSignaling = 2002
	UIDPlayer    = 2003
	UIDConsole   = 2004
	UIDNetwork   = 2005
)

// The groups beside each process's own, whose number is that of its user.
const (
	// GIDCerts may read private keys.
	GIDCerts = 2100
	// GIDVideo may use the screen, CEC and sound.
	GIDVideo = 2101
)

var uids = map[string]int{
	"system":    UIDSystem,
	"proxy":     UIDProxy,
	"signaling": UIDSignaling,
	"player":    UIDPlayer,
	"console":   UIDConsole,
	"network":   UIDNetwork,
}

// UID returns the user id of a process; false if there is no such process.
func UID(process string) (int, bool) {
	uid, ok := uids[process]
	return uid, ok
}

// owners are the processes that serve sockets which do not have their name.
var owners = map[string]string{"console-internal": "console", "acme": "console", "rtsp": "proxy", "ice": "signaling", "signaling-status": "signaling"}

// Owner returns the process that serves a socket.
func Owner(socket string) string {
	if o, ok := owners[socket]; ok {
		return o
	}
	return socket
}

// Path returns where a socket lies: in a folder that belongs to the process that serves it, below runDir, so that no
// other process can put its own in that place.
func Path(runDir, socket string) string { return filepath.Join(runDir, Owner(socket), socket+".sock") }

// Policy says which processes may use a socket.
type Policy struct {
	singleUser bool
	names      map[int]string
}

// Allow returns a policy that lets in root and the named processes. With singleUser (hostrun) every process runs as
// the same user, so that user is let in instead. An unknown name panics: it is a bug.
func Allow(singleUser bool, names ...string) Policy {
	p := Policy{singleUser: singleUser, names: map[int]string{UIDSystem: "system"}}
	for _, n := range names {
		uid, ok := uids[n]
		if !ok {
			panic("unixsock: no process named " + n) //nolint:forbidigo // a bug: names are constants
		}
		p.names[uid] = n
	}
	if singleUser {
		p.names[os.Getuid()] = ""
	}
	return p
}

// Peer is who stands at the other end of a unix socket.
type Peer struct {
	// Name is the process the peer's user id belongs to; empty with a single user.
	Name string
	UID  int
	PID  int
}

type peerKey struct{}

// PeerOf returns the peer of a request that came through Serve.
func PeerOf(ctx context.Context) (Peer, bool) {
	p, ok := ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// Is reports whether the peer may act as the named process. With a single user every process may.
func (p Peer) Is(name string) bool { return p.Name == "" || p.Name == name || p.UID == UIDSystem }

// Listen makes a socket at path, replacing what a former run left there. Connections of peers the policy does not
// name are closed at accept.
func Listen(path string, policy Policy) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make folder for socket %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket %s: %w", path, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// A successor may already have put its own socket here when this one closes: leave the file.
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, fmt.Errorf("open socket %s to other users: %w", path, err)
	}
	return &listener{UnixListener: l, policy: policy}, nil
}

type listener struct {
	*net.UnixListener
	policy Policy
}

// Conn is an accepted connection with its peer.
type Conn struct {
	*net.UnixConn
	Peer Peer
}

// Accept returns the next connection, a *Conn, of a peer the policy allows.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		peer, err := peerOf(c)
		if err != nil {
			c.Close()
			continue
		}
		name, ok := l.policy.names[peer.UID]
		if !ok {
			c.Close()
			continue
		}
		peer.Name = name
		return &Conn{UnixConn: c, Peer: peer}, nil
	}
}

func peerOf(c *net.UnixConn) (Peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("reach the socket of a connection: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return Peer{}, fmt.Errorf("reach the socket of a connection: %w", err)
	}
	if credErr != nil {
		return Peer{}, fmt.Errorf("read peer credentials: %w", credErr)
	}
	return Peer{UID: int(cred.Uid), PID: int(cred.Pid)}, nil
}

// Serve answers HTTP on l until ctx ends, then gives running requests two seconds. The peer of each request is in
// its context.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if uc, ok := c.(*Conn); ok {
				return context.WithValue(ctx, peerKey{}, uc.Peer)
			}
			return ctx
		},
	}
	return serve.HTTP(ctx, srv, l)
}

// Dial connects to the socket at path.
func Dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Transport returns an HTTP transport whose every connection goes to the socket at path, whatever the URL's host.
func Transport(path string) *http.Transport {
	return &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, path) },
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     30 * time.Second,
	}
}
