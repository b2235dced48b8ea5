package door

import (
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"

	"porthole/packages/proxy/sniff"
)

// peek waits until the first bytes tell what a connection speaks and leaves them in the socket (MSG_PEEK, recv(2)). The
// connection's read deadline bounds it.
func peek(c *net.TCPConn) (sniff.Kind, sniff.Hello, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return sniff.Garbage, sniff.Hello{}, fmt.Errorf("reach the socket of a connection: %w", err)
	}
	p := peeker{buf: make([]byte, 4<<10)}
	if err := raw.Read(p.look); err != nil {
		return sniff.Garbage, sniff.Hello{}, fmt.Errorf("wait for a first word: %w", err)
	}
	return p.kind, p.hello, p.err
}

type peeker struct {
	buf   []byte
	seen  int
	kind  sniff.Kind
	hello sniff.Hello
	err   error
}

// look is called whenever something may have arrived; false waits for the next arrival. The runtime's poller is
// edge-triggered: bytes that were left in the socket do not wake it again, new ones do.
func (p *peeker) look(fd uintptr) bool {
	for {
		n, _, err := unix.Recvfrom(int(fd), p.buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			p.err = fmt.Errorf("peek: %w", err)
			return true
		}
		if n > p.seen {
			p.seen = n
			p.kind, p.hello = sniff.Classify(p.buf[:n])
		}
		switch {
		case p.seen > 0 && p.kind != sniff.More:
			return true
		case n == len(p.buf):
			p.buf = make([]byte, sniff.MaxBytes)
		case n == 0 || hungUp(int(fd)):
			p.err = io.EOF
			return true
		default:
			return false
		}
	}
}

// hungUp reports whether the peer will send no more. The bytes left in the socket hide its end from recv.
func hungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
