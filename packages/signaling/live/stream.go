package live

import (
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// streamQueue is how many bytes of picture and sound wait for a viewer's TCP connection: a tenth of a second at 5 Mbit/s.
	// What else is sent, which is little and must not wait, may take streamExtra more.
	streamQueue = 64 << 10
	streamExtra = 16 << 10
	// streamKeep is how much memory an idle connection keeps.
	streamKeep = 4 << 10
	// streamUnsent is how much the kernel takes that is not on its way yet: more would only be late.
	streamUnsent = 64 << 10
	// streamChunk is how much is written at once: there is room for more after each.
	streamChunk = 8 << 10
	// streamPatience is how long a packet waits while nothing at all is taken before it is lost, and with it whatever comes
	// until there is room.
	streamPatience = 8 * time.Second
	// streamStall is how long a viewer may take nothing at all.
	streamStall = 10 * time.Second
)

// stream is a viewer's TCP connection. Packets of picture and sound wait for room, so that a viewer who is too slow
// holds up the goroutine that sends to it, whose queue then leaves out frames; others never wait, as the ICE agent sends
// them.
type stream struct {
	*net.TCPConn
	local net.Addr
	leave func()
	once  sync.Once
	// wake says that there is something to write; done is closed at the end.
	wake, done chan struct{}
	// hurry is closed when nothing is to wait for room any more, as the viewer leaves.
	hurry <-chan struct{}

	mu sync.Mutex // guards what follows
	// waiting is framed packets that are not written yet; writing is how many bytes run has taken and not written.
	waiting []byte
	writing int
	// room is closed when something has been written; nil while nobody wants to know.
	room chan struct{}
	// stalled: somebody has waited in vain, and there has been no room since.
	stalled bool
	lost    int
}

// newStream makes c a stream that seems to have come to local. leave is called when it is closed.
func newStream(c *net.TCPConn, local net.Addr, hurry <-chan struct{}, leave func()) *stream {
	if raw, err := c.SyscallConn(); err == nil {
		// Without it more waits in the kernel.
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, streamUnsent)
		})
	}
	return &stream{TCPConn: c, local: local, leave: leave, hurry: hurry, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// LocalAddr returns where the ICE agent believes to be.
func (s *stream) LocalAddr() net.Addr { return s.local }

// Close implements net.Conn.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		err = s.TCPConn.Close()
		s.leave()
	})
	return err
}

// SetWriteDeadline does nothing: run sets deadlines of its own.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets the read deadline only.
func (s *stream) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// isMedia tells RTP and RTCP from STUN and DTLS by a framed packet's first byte (RFC 7983).
func isMedia(framed []byte) bool { return len(framed) > 2 && framed[2] >= 128 && framed[2] <= 191 }

// Write queues one framed packet. One for which there is no room is lost, which is no error, as with UDP.
func (s *stream) Write(framed []byte) (int, error) {
	limit := streamQueue
	media := isMedia(framed)
	if !media {
		limit += streamExtra
	}
	var timer *time.Timer
	for {
		s.mu.Lock()
		switch {
		case s.writing+len(s.waiting)+len(framed) <= limit:
			s.waiting = append(s.waiting, framed...)
			s.mu.Unlock()
			select {
			case s.wake <- struct{}{}:
			default:
			}
			return len(framed), s.ended()
		case !media || s.stalled:
			s.lost++
			s.mu.Unlock()
			return len(framed), s.ended()
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(streamPatience)
			defer timer.Stop()
		}
		select {
		case <-room:
			timer.Reset(streamPatience)
		case <-s.done:
			return 0, net.ErrClosed
		case <-s.hurry:
			return len(framed), nil
		case <-timer.C:
			s.mu.Lock()
			s.stalled = s.room == room
			s.mu.Unlock()
			timer.Reset(streamPatience)
		}
	}
}

func (s *stream) ended() error {
	select {
	case <-s.done:
		return net.ErrClosed
	default:
		return nil
	}
}

// run writes what waits until the connection is closed or its viewer takes nothing.
func (s *stream) run() {
	defer s.Close()
	var spare []byte
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		}
		s.mu.Lock()
		now := s.waiting
		s.waiting, s.writing = spare[:0], len(now)
		s.mu.Unlock()
		for rest := now; len(rest) > 0; {
			chunk := rest[:min(len(rest), streamChunk)]
			rest = rest[len(chunk):]
			if err := s.TCPConn.SetWriteDeadline(time.Now().Add(streamStall)); err != nil {
				return
			}
			if _, err := s.TCPConn.Write(chunk); err != nil {
				return
			}
			s.wrote(len(chunk))
		}
		if spare = now; cap(spare) > streamKeep {
			spare = nil
		}
	}
}

// wrote makes room.
func (s *stream) wrote(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing -= n
	s.stalled = false
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}
