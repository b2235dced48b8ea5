package live

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"golang.org/x/sys/unix"

	"porthole/packages/internal/source"
)

// Limits on ICE over TCP. Only viewers that have been answered have connections; Chromium opens one for each address it
// is told and each of its own.
const (
	maxStreams          = 1000
	maxStreamsPerSource = 500
	maxStreamsPerViewer = 8
	// maxFirst bounds a first STUN message, in bytes; pion takes no longer one.
	maxFirst = 512
	// tcpReport is how often refusals are logged.
	tcpReport = time.Minute
)

// tcpMux gives TCP connections to the viewers whose ICE agents they are for. It lets in only those it knows.
type tcpMux struct {
	*ice.TCPMuxDefault
	log *slog.Logger
	// in brings connections to TCPMuxDefault.
	in *handover
	// writers are the goroutines of streams.
	writers sync.WaitGroup

	refused  atomic.Uint64
	reported struct { // only report uses it
		refused uint64
		at      time.Time
	}

	mu      sync.Mutex // guards what follows
	closed  bool
	viewers map[string]*tcpViewer
	open    int
	sources map[netip.Prefix]int
}

// tcpViewer is a viewer with a place for TCP.
type tcpViewer struct {
	// v4 and v6 are the local addresses under which its ICE agent waits.
	v4, v6 net.IP
	open   int
	// hurry is closed when nothing is to wait for the viewer any more.
	hurry   chan struct{}
	hurried bool
}

func newTCPMux(log *slog.Logger, port uint16) *tcpMux {
	in := &handover{addr: &net.TCPAddr{Port: int(port)}, conns: make(chan net.Conn), closed: make(chan struct{})}
	return &tcpMux{
		// The first message is there already. Our streams have buffers of their own.
		TCPMuxDefault: ice.NewTCPMuxDefault(ice.TCPMuxParams{
			Listener: in, Logger: pionLog{log, "ice"}, ReadBufferSize: 8,
			FirstStunBindTimeout: 5 * time.Second, AliveDurationForConnFromStun: 5 * time.Second,
		}),
		log: log, in: in, viewers: map[string]*tcpViewer{}, sources: map[netip.Prefix]int{},
	}
}

// GetConnByUfrag implements ice.TCPMux: an ICE agent begins to wait.
func (m *tcpMux) GetConnByUfrag(ufrag string, isIPv6 bool, local net.IP) (net.PacketConn, error) {
	m.mu.Lock()
	v := m.viewers[ufrag]
	if v == nil {
		v = &tcpViewer{hurry: make(chan struct{})}
		m.viewers[ufrag] = v
	}
	if isIPv6 {
		v.v6 = local
	} else {
		v.v4 = local
	}
	m.mu.Unlock()
	return m.TCPMuxDefault.GetConnByUfrag(ufrag, isIPv6, local)
}

// RemoveConnByUfrag implements ice.TCPMux: an ICE agent has ended.
func (m *tcpMux) RemoveConnByUfrag(ufrag string) {
	m.mu.Lock()
	delete(m.viewers, ufrag)
	m.mu.Unlock()
	m.TCPMuxDefault.RemoveConnByUfrag(ufrag)
}

// hurryUp makes whoever sends to the viewer not wait for it any more.
func (m *tcpMux) hurryUp(ufrag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.viewers[ufrag]; v != nil && !v.hurried {
		v.hurried = true
		close(v.hurry)
	}
}

// take gives a connection to its viewer, or closes it.
func (m *tcpMux) take(c *net.TCPConn) {
	ufrag, err := firstUfrag(c)
	if err != nil {
		m.log.Debug("connection for live view refused", "err", err)
		m.refused.Add(1)
		c.Close()
		return
	}
	s, ok := m.enter(c, ufrag)
	if !ok {
		m.refused.Add(1)
		c.Close()
		return
	}
	m.in.give(s)
}

// enter takes a place for a connection of a viewer.
func (m *tcpMux) enter(c *net.TCPConn, ufrag string) (*stream, bool) {
	remote, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return nil, false
	}
	from := source.Of(remote.AddrPort().Addr())
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.viewers[ufrag]
	if m.closed || v == nil || v.open >= maxStreamsPerViewer || m.open >= maxStreams || m.sources[from] >= maxStreamsPerSource {
		return nil, false
	}
	local := v.v6
	if remote.IP.To4() != nil {
		local = v.v4
	}
	if local == nil {
		return nil, false
	}
	v.open++
	m.open++
	m.sources[from]++
	s := newStream(c, &net.TCPAddr{IP: local, Port: m.in.addr.Port}, v.hurry, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		v.open--
		m.open--
		if m.sources[from]--; m.sources[from] == 0 {
			delete(m.sources, from)
		}
	})
	m.writers.Go(s.run)
	return s, true
}

// report tells the log now and then what was refused.
func (m *tcpMux) report() {
	now := m.refused.Load()
	if now == m.reported.refused || time.Since(m.reported.at) < tcpReport {
		return
	}
	m.log.Info("connections for live view refused since the last report: no such viewer, or too many", "count", now-m.reported.refused)
	m.reported.refused, m.reported.at = now, time.Now()
}

// close ends all connections and waits.
func (m *tcpMux) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	if err := m.Close(); err != nil {
		m.log.Debug("closing TCP for live view failed", "err", err)
	}
	m.writers.Wait()
}

// firstUfrag looks at the first message, which has come, without reading it.
func firstUfrag(c *net.TCPConn) (string, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return "", fmt.Errorf("reach the socket of a connection: %w", err)
	}
	buf := make([]byte, 2+maxFirst)
	var n int
	var peeked error
	if err := raw.Control(func(fd uintptr) {
		for {
			if n, _, peeked = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT); !errors.Is(peeked, unix.EINTR) {
				return
			}
		}
	}); err != nil {
		return "", fmt.Errorf("reach the socket of a connection: %w", err)
	}
	if peeked != nil {
		return "", fmt.Errorf("peek: %w", peeked)
	}
	return parseFirst(buf[:n])
}

// parseFirst reads our part of the user name (RFC 8445 section 7.2.2) in a framed (RFC 4571) STUN binding request.
func parseFirst(b []byte) (string, error) {
	if len(b) < 2 {
		return "", errors.New("it sent nothing")
	}
	length := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; length > len(b) {
		return "", fmt.Errorf("its first message of %d bytes is not there, or too long", length)
	}
	m := &stun.Message{Raw: b[:length:length]}
	if err := m.Decode(); err != nil {
		return "", fmt.Errorf("its first message is not STUN: %w", err)
	}
	if m.Type != stun.BindingRequest {
		return "", fmt.Errorf("its first message is %s", m.Type)
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return "", fmt.Errorf("its first message names nobody: %w", err)
	}
	ufrag, _, ok := strings.Cut(string(name), ":")
	if !ok || ufrag == "" {
		return "", errors.New("its first message names nobody")
	}
	return ufrag, nil
}

// handover is a listener whose connections come from somewhere else.
type handover struct {
	addr   *net.TCPAddr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		c.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }
