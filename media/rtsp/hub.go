package rtsp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
)

const (
	// clipQueue is how many packets may wait for a slow reader of a clip. A power of two.
	clipQueue = 2048
	// answerQueue is the same where readers are served by reader.go and gortsplib only answers.
	answerQueue = 1
	// otherConns is how many connections there may be that are not (yet) readers'.
	otherConns = 100
)

// Config is what a Hub needs.
type Config struct {
	Log *slog.Logger
	// Linger is how long a camera stays connected after its last reader; zero means 10 s.
	Linger time.Duration
	// AnswerTimeout is how long a reader waits for a camera that is not live; zero means 10 s.
	AnswerTimeout time.Duration
	// StallTimeout is after how long a camera that sends no packet is connected anew; zero means 5 s.
	StallTimeout time.Duration
	// ReaderTimeout is after how long a reader that takes nothing is lost; zero means 10 s.
	ReaderTimeout time.Duration
	// MaxReaders bounds the readers of all cameras together; zero means 1000.
	MaxReaders int
	// UDP are the sockets that RTP for readers ViaTest is sent from; nil offers TCP only.
	UDP *UDP
	// AuthFailed is told of every wrong user or password, Refused of every connection that is closed without a hearing.
	// Both may be nil and are called from many goroutines.
	AuthFailed func(peer netip.Addr)
	Refused    func(peer netip.Addr, why Refusal)

	// rtspLog is the Hub's own.
	rtspLog *rtspLog
}

// Refusal is why a connection is closed.
type Refusal string

// The reasons.
const (
	// TooManyLogins: too many wrong passwords came from that address.
	TooManyLogins Refusal = "logins"
	// Malformed: what came is no RTSP.
	Malformed Refusal = "malformed"
)

// Hub pulls cameras and serves them to readers.
type Hub struct {
	cfg    Config
	gate   *gate
	access access
	server *gortsplib.Server
	conns  chan net.Conn
	tasks  chan func(context.Context)
	// changed holds a message when there may be cameras to start without readers.
	changed chan struct{}
	// probeStays is the constant, except in tests.
	probeStays time.Duration
	// ended is closed when Run is over.
	ended chan struct{}
	// writers are the goroutines that write to readers.
	writers sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	cameras map[string]*camera
	// probes are the cameras that Probe tries, and those it left for a while; trying counts the former.
	probes   map[string]*camera
	trying   int
	sessions map[*gortsplib.ServerSession]*reader
	// past are sessions that have ended, the last one at the end.
	past []SessionStatus
	open int
}

// NewHub returns a Hub without cameras and accounts.
func NewHub(cfg Config) *Hub {
	cfg.Linger = cmp.Or(cfg.Linger, 10*time.Second)
	cfg.AnswerTimeout = cmp.Or(cfg.AnswerTimeout, 10*time.Second)
	cfg.StallTimeout = cmp.Or(cfg.StallTimeout, 5*time.Second)
	cfg.ReaderTimeout = cmp.Or(cfg.ReaderTimeout, 10*time.Second)
	cfg.MaxReaders = cmp.Or(cfg.MaxReaders, 1000)
	cfg.rtspLog = &rtspLog{}
	h := &Hub{
		cfg: cfg, gate: newGate(),
		conns: make(chan net.Conn), tasks: make(chan func(context.Context)), ended: make(chan struct{}),
		changed: make(chan struct{}, 1), probeStays: probeStays,
		cameras: map[string]*camera{}, probes: map[string]*camera{}, sessions: map[*gortsplib.ServerSession]*reader{},
	}
	f := front{gate: h.gate, access: &h.access, log: cfg.rtspLog, failed: cfg.AuthFailed, refused: cfg.Refused}
	h.server = newServer(&hubServer{front: f, hub: h}, &queue{conns: h.conns, ended: h.ended})
	h.server.WriteTimeout = cfg.ReaderTimeout
	h.server.WriteQueueSize = answerQueue
	h.server.DisableRTCPSenderReports = true // reader.go sends them
	if cfg.UDP != nil {
		cfg.UDP.serve(h.server)
	}
	return h
}

// newServer returns a gortsplib server that is not started. It has no TLSConfig even where the connections come out of
// TLS: with one it would offer SRTP, which readers do not expect there.
func newServer(handler gortsplib.ServerHandler, l net.Listener) *gortsplib.Server {
	return &gortsplib.Server{
		Handler:        handler,
		RTSPAddress:    "127.0.0.1:554", // not used: Listen returns l
		Listen:         func(string, string) (net.Listener, error) { return l, nil },
		WriteQueueSize: clipQueue,
		MaxPacketSize:  maxPacket,
	}
}

// Run serves until ctx ends, then closes every connection and waits. It may be called once.
func (h *Hub) Run(ctx context.Context) error {
	if err := h.server.Start(); err != nil {
		close(h.ended)
		return fmt.Errorf("start RTSP server: %w", err)
	}
	var pulls sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for ctx.Err() == nil {
		select {
		case task := <-h.tasks:
			pulls.Go(func() { task(ctx) })
		case <-h.changed:
			for _, cam := range h.toStart() {
				pulls.Go(func() { cam.run(ctx) })
			}
		case <-ctx.Done():
		}
	}
	close(h.ended)
	h.server.Close()
	pulls.Wait()
	h.writers.Wait()
	return nil
}

// toStart counts the cameras that are always on and do not run yet as running and returns them.
func (h *Hub) toStart() []*camera {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*camera
	for _, cam := range h.cameras {
		if cam.begin() {
			list = append(list, cam)
		}
	}
	return list
}

// spawn runs a task until it returns; its context ends with the Hub's.
func (h *Hub) spawn(task func(context.Context)) bool {
	select {
	case h.tasks <- task:
		return true
	case <-h.ended:
		return false
	}
}

// SetSources replaces the set of cameras. One whose address, credentials, transport or sound changed is pulled anew for
// the readers it has; other options are for readers to come. A removed one ends its readers. It may be called at any
// time.
func (h *Hub) SetSources(list []Source) {
	h.access.set(list)
	h.mu.Lock()
	defer h.mu.Unlock()
	keep := make(map[string]bool, len(list))
	for _, src := range list {
		keep[src.ID] = true
		if cam := h.cameras[src.ID]; cam != nil {
			cam.setSource(src)
			continue
		}
		h.cameras[src.ID] = newCamera(h.cfg, src, h.server, h.spawn, h.ended)
	}
	for id, cam := range h.cameras {
		if !keep[id] {
			delete(h.cameras, id)
			cam.remove()
		}
	}
	signal(h.changed)
}

// SetAccounts replaces the accounts that connections without trust may use. Those that play go on playing.
func (h *Hub) SetAccounts(list []Account) { h.gate.setAccounts(list) }

// SetOpen replaces the networks from which streams with NoAuth are read without an account.
func (h *Hub) SetOpen(networks []netip.Prefix) { h.gate.setNetworks(networks) }

// Log returns the last 2,500 requests and answers of readers and cameras that came after the given number, the newest
// first; with a stream only its own.
func (h *Hub) Log(after uint64, stream string) []LogLine { return h.cfg.rtspLog.lines(after, stream) }

// ClearLog empties the log.
func (h *Hub) ClearLog() { h.cfg.rtspLog.clear() }

// Handle takes over an accepted connection, which carries RTSP as plain text: TLS has been taken off, or there is none.
// Who comes ViaSocket is asked for no password. It waits for Run, and closes the connection if that is over or
// too many are open.
func (h *Hub) Handle(c net.Conn, via Via) {
	h.mu.Lock()
	full := h.open >= h.cfg.MaxReaders+otherConns
	if !full {
		h.open++
	}
	h.mu.Unlock()
	if full {
		c.Close()
		return
	}
	wrapped := &conn{Conn: c, via: via, closed: func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.open--
	}}
	wrapped.malformed = func() { h.noteMalformed(wrapped.peer()) }
	select {
	case h.conns <- wrapped:
	case <-h.ended:
		wrapped.Close()
	}
}

// noteMalformed counts and logs a connection that ends because what came is no RTSP.
func (h *Hub) noteMalformed(from netip.Addr) {
	if h.cfg.Refused != nil {
		h.cfg.Refused(from, Malformed)
	}
	p := peer{from: from}
	h.cfg.rtspLog.add(sideReader, p.address(), "", fromUs, "RTSP/1.0 400 Bad Request (what came cannot be read; the connection ends)")
}

// Status describes every camera, ordered by id.
func (h *Hub) Status() []CameraStatus {
	h.mu.Lock()
	cams := make([]*camera, 0, len(h.cameras))
	for _, cam := range h.cameras {
		cams = append(cams, cam)
	}
	h.mu.Unlock()
	list := make([]CameraStatus, 0, len(cams))
	for _, cam := range cams {
		list = append(list, cam.status())
	}
	slices.SortFunc(list, func(a, b CameraStatus) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// probe is a camera that was tried lately, or is now.
func (h *Hub) probe(id string) *camera {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.probes[id]
}

func (h *Hub) camera(id string) *camera {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cameras[id]
}

// queue is a listener whose connections come out of a channel.
type queue struct {
	conns <-chan net.Conn
	ended <-chan struct{}
}

// Accept returns the next connection, or net.ErrClosed when the Hub has ended.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.ended:
		return nil, net.ErrClosed
	}
}

// Close does nothing: the Hub ends the queue.
func (q *queue) Close() error { return nil }

// Addr is for show.
func (q *queue) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
