package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/procfs"
)

const (
	// soakers is how many readers and pests there are at once.
	soakers = 60
	// restTime is how long the server may take to forget them.
	restTime = 90 * time.Second
)

// footprint is what a process holds.
type footprint struct{ rss, threads, descriptors int }

func footprintOf(pid int) (footprint, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return footprint{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	st, err := p.Stat()
	if err != nil {
		return footprint{}, fmt.Errorf("read the state of process %d: %w", pid, err)
	}
	fds, err := p.FileDescriptorsLen()
	if err != nil {
		return footprint{}, fmt.Errorf("count the descriptors of process %d: %w", pid, err)
	}
	return footprint{rss: st.ResidentMemory(), threads: st.NumThreads, descriptors: fds}, nil
}

func (f footprint) String() string {
	return fmt.Sprintf("%s, %d threads, %d descriptors", mebibytes(f.rss), f.threads, f.descriptors)
}

// habit is a way to read, or to be a nuisance. It returns by itself or when ctx ends.
type habit struct {
	name string
	do   func(context.Context, *server) error
}

var habits = []habit{
	{"reads for a while", func(ctx context.Context, srv *server) error {
		ctx, cancel := context.WithTimeout(ctx, upTo(8*time.Second))
		defer cancel()
		return unlessEnded(ctx, readLight(ctx, srv, func() {}))
	}},
	{"reads and stalls", stall},
	{"goes without a word", func(ctx context.Context, srv *server) error {
		return pester(ctx, srv, "", 0)
	}},
	{"sends half a request", func(ctx context.Context, srv *server) error {
		return pester(ctx, srv, "DESCRIBE rtsp://bench/bench RTSP/1.0\r\nCSeq: 1\r\nAccept: appl", upTo(5*time.Second))
	}},
	{"sends a byte at a time", slowly},
	{"sends garbage", func(ctx context.Context, srv *server) error {
		b := make([]byte, 4096)
		_, _ = rand.Read(b) // never fails (crypto/rand)
		return pester(ctx, srv, string(b), time.Second)
	}},
	{"sends garbage behind a request", func(ctx context.Context, srv *server) error {
		b := make([]byte, 4096)
		_, _ = rand.Read(b) // never fails (crypto/rand)
		return pester(ctx, srv, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"+string(b), time.Second)
	}},
	{"sends frames nobody asked for", func(ctx context.Context, srv *server) error {
		return pester(ctx, srv, strings.Repeat("$\x00\x00\x04abcd", 1000), time.Second)
	}},
	{"sends a header without end", func(ctx context.Context, srv *server) error {
		return pester(ctx, srv, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: "+strings.Repeat("x", 1<<20), time.Second)
	}},
	{"knows no password", func(ctx context.Context, srv *server) error {
		return pester(ctx, srv, "DESCRIBE rtsp://bench/bench RTSP/1.0\r\nCSeq: 1\r\n\r\nSETUP rtsp://bench/bench/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n\r\n", time.Second)
	}},
	{"speaks no TLS", func(ctx context.Context, srv *server) error {
		c, err := srv.dialPlain(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return nuisance(ctx, c, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", upTo(5*time.Second))
	}},
}

// upTo is a random time.
func upTo(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d)))
	if err != nil {
		return d
	}
	return time.Duration(n.Int64())
}

func pester(ctx context.Context, srv *server, what string, hold time.Duration) error {
	c, err := srv.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	return nuisance(ctx, c, what, hold)
}

// nuisance writes, and reads what comes for a while. How the server answers is not looked at: it may close at any time.
func nuisance(ctx context.Context, c net.Conn, what string, hold time.Duration) error {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.SetDeadline(time.Now().Add(hold + 100*time.Millisecond)); err != nil {
		return fmt.Errorf("bound the connection: %w", err)
	}
	if _, err := io.WriteString(c, what); err == nil {
		_, _ = io.Copy(io.Discard, c) // until the deadline, or the server's end
	}
	return nil
}

// slowly sends a request a byte at a time, and never all of it.
func slowly(ctx context.Context, srv *server) error {
	c, err := srv.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for _, b := range []byte("DESCRIBE rtsp://bench/bench RTSP/1.0\r\n")[:10+upTo(20)] {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if _, err := c.Write([]byte{b}); err != nil {
			return nil // the server had enough
		}
	}
	return nil
}

// stall plays, reads nothing for longer than a GOP, sometimes for longer than the server waits, and reads again.
func stall(ctx context.Context, srv *server) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := srv.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	l := newLight(c, srv)
	if err := l.play(); err != nil {
		return err
	}
	pause := time.NewTimer(upTo(25 * time.Second))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return nil
	}
	if err := c.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return fmt.Errorf("bound the connection: %w", err)
	}
	_, _ = io.Copy(io.Discard, l.in) // for three seconds, or until the server's end
	return nil
}

// soak has readers come, go, stall and misbehave for a while beside one that must not notice, and checks that nothing of
// them stays in proxy.
func soak(ctx context.Context, srv *server, d time.Duration) error {
	if len(srv.front) != 1 {
		return errors.New("there is no proxy to look at")
	}
	watch, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	broken := make(chan error, 1)
	there := make(chan struct{})
	go func() { broken <- readLight(watch, srv, sync.OnceFunc(func() { close(there) })) }()
	select {
	case <-there:
	case err := <-broken:
		return fmt.Errorf("the good reader: %w", err)
	}
	// Once around first: what is allocated once is not a leak.
	if err := crowd(ctx, srv, d/4, broken); err != nil {
		return err
	}
	before, err := rested(ctx, srv, footprint{})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "after warming up:", before)
	if err := crowd(ctx, srv, d-d/4, broken); err != nil {
		return err
	}
	after, err := rested(ctx, srv, before)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "after the crowd: ", after)
	stopWatching()
	<-broken //nolint:errcheck // it was told to end
	// The garbage collector keeps up to as much again as is in use, and gives memory back late.
	if after.rss > before.rss*5/4+8<<20 || after.descriptors > before.descriptors+2 || after.threads > before.threads+8 {
		return fmt.Errorf("proxy has grown: %v, then %v", before, after)
	}
	fmt.Fprintln(os.Stdout, "verdict: flat")
	return nil
}

// crowd keeps soakers busy for d. It fails if the good reader ends, or if good ones are turned away.
func crowd(ctx context.Context, srv *server, d time.Duration, broken <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	counts := make([]atomic.Int64, len(habits))
	failures := make([]atomic.Int64, len(habits))
	var all sync.WaitGroup
	for range soakers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(upTo(time.Duration(len(habits))))
				err := habits[i].do(ctx, srv)
				counts[i].Add(1)
				if err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, context.DeadlineExceeded) {
					failures[i].Add(1)
				}
			}
		})
	}
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	var err error
	for ctx.Err() == nil && err == nil {
		select {
		case <-ctx.Done():
		case err = <-broken:
			err = fmt.Errorf("the good reader: %w", err)
		case <-tick.C:
			if now, bad := footprintOf(srv.front[0]); bad == nil {
				fmt.Fprintln(os.Stderr, "  ", now)
			}
		}
	}
	cancel()
	all.Wait()
	for i, h := range habits {
		fmt.Fprintf(os.Stderr, "   %6d × %s, %d failed\n", counts[i].Load(), h.name, failures[i].Load())
	}
	return err
}

// rested waits until proxy holds no more descriptors and threads than at most wanted, or does not get lower.
func rested(ctx context.Context, srv *server, wanted footprint) (footprint, error) {
	least, err := footprintOf(srv.front[0])
	if err != nil {
		return footprint{}, err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(restTime); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return footprint{}, ctx.Err()
		case <-tick.C:
		}
		now, err := footprintOf(srv.front[0])
		if err != nil {
			return footprint{}, err
		}
		if now.descriptors < least.descriptors {
			end = time.Now().Add(15 * time.Second)
		}
		least = footprint{rss: now.rss, threads: now.threads, descriptors: min(now.descriptors, least.descriptors)}
		if wanted.descriptors > 0 && now.descriptors <= wanted.descriptors && now.rss <= wanted.rss*5/4 {
			return now, nil
		}
	}
	return least, nil
}
