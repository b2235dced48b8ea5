package door

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"porthole/packages/internal/certstore"
)

// conn is an accepted connection. Closing it gives its place back.
type conn struct {
	*net.TCPConn
	source netip.Prefix
	places *places
	// undecided is this connection's element in places.undecided, nil once decided; places.mu guards it.
	undecided *list.Element
	left      sync.Once
	// stall bounds each write that has no deadline of its own; zero does not.
	stall atomic.Int64
	// watched keeps what was read last in tail, while TLS is negotiated.
	watched bool
	tail    [alertRecord]byte
	// timed means that the user of the connection has set a write deadline.
	timed atomic.Bool
	// vouched means that the client asked for a name and got a certificate for it that anybody trusts.
	vouched atomic.Bool
}

// Serves is told by certstore which certificate the client gets.
func (c *conn) Serves(cert certstore.Certificate, name string) {
	c.vouched.Store(name != "" && cert.Public && cert.Trusted && cert.Leaf.VerifyHostname(name) == nil)
}

// Vouched reports whether the client of a connection that the Door handed over asked for a name (SNI) and got a certificate for
// that name that chains to a root which everybody trusts.
func Vouched(c net.Conn) bool {
	t, ok := c.(interface{ NetConn() net.Conn })
	if !ok {
		return false
	}
	under, ok := t.NetConn().(*conn)
	return ok && under.vouched.Load()
}

func (c *conn) Close() error {
	c.left.Do(func() { c.places.leave(c) })
	return c.TCPConn.Close()
}

// boundWrites makes a peer that takes nothing for d lose the connection, however long the whole answer takes.
func (c *conn) boundWrites(d time.Duration) { c.stall.Store(int64(d)) }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if c.watched {
		if n < len(c.tail) {
			copy(c.tail[:], c.tail[n:])
		}
		copy(c.tail[max(0, len(c.tail)-n):], p[max(0, n-len(c.tail)):n])
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if d := time.Duration(c.stall.Load()); d > 0 && !c.timed.Load() {
		if err := c.TCPConn.SetWriteDeadline(time.Now().Add(d)); err != nil {
			return 0, err
		}
	}
	return c.TCPConn.Write(p)
}

func (c *conn) SetDeadline(t time.Time) error {
	c.timed.Store(!t.IsZero())
	return c.TCPConn.SetDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.timed.Store(!t.IsZero())
	return c.TCPConn.SetWriteDeadline(t)
}

// replay is a TLS connection whose first decrypted bytes were read already. It is not a *tls.Conn to net/http, which
// would otherwise read past them.
type replay struct {
	*tls.Conn
	head []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.head) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.head)
	r.head = r.head[n:]
	return n, nil
}
