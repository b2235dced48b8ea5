package unixsock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/retry"
)

// passTimeout is how long Pass waits for a process that does not take what it is given.
const passTimeout = time.Second

// ErrNotTaken means that the other process is not there, or takes nothing.
var ErrNotTaken = errors.New("the other process does not take the connection")

// Passer gives sockets to the process that serves a unix socket with ReceiveSockets (SCM_RIGHTS, unix(7)). What waits to
// be taken is bounded by the kernel's buffer for the unix socket.
type Passer struct {
	path string
	// turn is taken by sending into it.
	turn chan struct{}
	conn *net.UnixConn // guarded by turn
}

// NewPasser returns a Passer to the socket at path. It connects when there is something to pass.
func NewPasser(path string) *Passer { return &Passer{path: path, turn: make(chan struct{}, 1)} }

// Pass gives the other process the socket behind c, with all that nobody has read from it. c stays open and the caller's
// to close. The error wraps ErrNotTaken unless c is closed.
func (p *Passer) Pass(c syscall.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach the socket to pass: %w", err)
	}
	deadline := time.Now().Add(passTimeout)
	t := time.NewTimer(passTimeout)
	defer t.Stop()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-t.C:
		return fmt.Errorf("%w: too many wait for %s", ErrNotTaken, p.path)
	}
	// A process that has started anew is noticed by its predecessor's socket.
	fresh := p.conn == nil
	err = p.send(raw, deadline)
	if errors.Is(err, ErrNotTaken) && !fresh && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = p.send(raw, deadline)
	}
	return err
}

// send connects if need be. The turn is the caller's.
func (p *Passer) send(raw syscall.RawConn, deadline time.Time) error {
	if p.conn == nil {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		c, err := Dial(ctx, p.path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotTaken, err)
		}
		p.conn = c.(*net.UnixConn) //nolint:forcetypeassert // what dialing "unix" gives
	}
	var sent error
	if err := raw.Control(func(fd uintptr) {
		if sent = p.conn.SetWriteDeadline(deadline); sent == nil {
			_, _, sent = p.conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(fd)), nil)
		}
	}); err != nil {
		return fmt.Errorf("reach the socket to pass: %w", err)
	}
	if sent != nil {
		p.conn.Close()
		p.conn = nil
		return fmt.Errorf("%w: pass a socket to %s: %w", ErrNotTaken, p.path, sent)
	}
	return nil
}

// Close ends the connection to the other process, which keeps what it has been given.
func (p *Passer) Close() {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// ReceiveSockets gives take the TCP connections that Passers send to l until ctx ends, and closes l. They are take's to
// close; other kinds of sockets are closed. take may be called by several at once. The error names a listener that works
// no more.
func ReceiveSockets(ctx context.Context, l net.Listener, take func(*net.TCPConn)) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	for failures := 0; ; {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if c != nil {
				c.Close()
			}
			return nil
		case err == nil:
			failures = 0
			wg.Go(func() { receive(ctx, c, take) })
			continue
		case errors.Is(err, net.ErrClosed), failures == maxAcceptFailures:
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		failures++
		retry.Pause(ctx, time.Second)
	}
}

// maxAcceptFailures in a row, one per second, end ReceiveSockets: a lack of descriptors or memory passes.
const maxAcceptFailures = 60

// receive takes what comes on one connection until it or ctx ends.
func receive(ctx context.Context, c net.Conn, take func(*net.TCPConn)) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	from, ok := c.(*net.UnixConn)
	if wrapped, is := c.(*Conn); is {
		from, ok = wrapped.UnixConn, true
	}
	if !ok {
		return
	}
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	for {
		// The runtime asks for close-on-exec (MSG_CMSG_CLOEXEC); what does not fit into oob is closed by the kernel.
		n, oobn, _, _, err := from.ReadMsgUnix(buf, oob)
		if err != nil || n == 0 {
			return
		}
		for _, fd := range descriptors(oob[:oobn]) {
			if tcp := asTCP(fd); tcp != nil {
				take(tcp)
			}
		}
	}
}

// descriptors lists those in a control message.
func descriptors(oob []byte) []int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var all []int
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

// asTCP makes a connection of a descriptor, or closes it and returns nil.
func asTCP(fd int) *net.TCPConn {
	f := os.NewFile(uintptr(fd), "passed socket")
	if f == nil {
		return nil
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok || tcp.RemoteAddr() == nil {
		c.Close()
		return nil
	}
	return tcp
}
