package main

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"porthole/media/rtsp"
)

// maxComing is how many readers or viewers connect at once.
const maxComing = 32

// plan says what is measured.
type plan struct {
	// perStep is how long each load is held, joins how often the time to the first picture is taken.
	perStep time.Duration
	joins   int
	// readers and viewers are how many there are at once.
	readers, viewers []int
	// tries is how often a page is opened.
	tries int
}

func measure(ctx context.Context, t *table, srv *server, cam *camera, p plan) error {
	perStep := p.perStep
	if err := underLoad(ctx, t, srv, perStep, 0, "readers", readLight); err != nil {
		return err
	}
	if err := addedLatency(ctx, t, srv, cam, perStep); err != nil {
		return err
	}
	if err := firstPicture(ctx, t, srv, p.joins); err != nil {
		return err
	}
	for _, kind := range []struct {
		what  string
		loads []int
		start func(context.Context, *server, func()) error
	}{{"RTSP readers", p.readers, readLight}} {
		for _, n := range kind.loads {
			if err := underLoad(ctx, t, srv, perStep, n, kind.what, kind.start); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrivals notes when each access unit came, by its content: the same unit seen on two connections tells the latency
// between them without touching the stream.
type arrivals struct {
	seed  maphash.Seed
	video int
	mu    sync.Mutex
	// at is guarded by mu; the clip loops, so a unit's last arrival counts. first is when the first one came.
	at    map[uint64]time.Time
	first time.Time
}

func (a *arrivals) Tracks(tracks []rtsp.Track) {
	a.video = slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Video })
}

func (a *arrivals) Unit(u rtsp.Unit) {
	if u.Track != a.video {
		return
	}
	now := time.Now()
	var h maphash.Hash
	h.SetSeed(a.seed)
	for _, n := range u.NALUs {
		// Parameter sets may be added on the way.
		if kind := n[0] & 0x1f; kind != 7 && kind != 8 && kind != 9 {
			h.Write(n)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first.IsZero() {
		a.first = now
	}
	a.at[h.Sum64()] = now
}

// addedLatency reads the camera directly and through the server at once and compares arrivals.
func addedLatency(ctx context.Context, t *table, srv *server, cam *camera, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	seed := maphash.MakeSeed()
	direct := &arrivals{seed: seed, at: map[uint64]time.Time{}}
	through := &arrivals{seed: seed, at: map[uint64]time.Time{}}
	errs := make(chan error, 2)
	go func() {
		errs <- rtsp.Play(ctx, rtsp.PlayConfig{Camera: "demo", Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", cam.addr)
		}}, direct)
	}()
	go func() {
		errs <- rtsp.Play(ctx, rtsp.PlayConfig{Camera: "bench", Dial: srv.dial, User: srv.user, Password: srv.password}, through)
	}()
	if err := errors.Join(unlessEnded(ctx, <-errs), unlessEnded(ctx, <-errs)); err != nil {
		return fmt.Errorf("read for latency: %w", err)
	}
	// A server that keeps a GOP begins with pictures that are older than the connection: those tell nothing.
	settled := through.first.Add(time.Second)
	var added []time.Duration
	for unit, at := range through.at {
		if from, ok := direct.at[unit]; ok && from.After(settled) {
			// A unit of the loop's last round may have come on one connection only.
			if d := at.Sub(from); d < time.Second && d > -time.Second {
				added = append(added, d)
			}
		}
	}
	if len(added) < 20 {
		return fmt.Errorf("only %d access units came on both connections", len(added))
	}
	t.set(srv.name, "added latency p50 / p99", fmt.Sprintf("%s / %s", ms(percentile(added, 50)), ms(percentile(added, 99))))
	return nil
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// firstUnit ends a read at the first IDR.
type firstUnit struct {
	video int
	once  sync.Once
	done  chan struct{}
}

func (f *firstUnit) Tracks(tracks []rtsp.Track) {
	f.video = slices.IndexFunc(tracks, func(t rtsp.Track) bool { return t.Kind == rtsp.Video })
}

func (f *firstUnit) Unit(u rtsp.Unit) {
	if u.Track == f.video && slices.ContainsFunc(u.NALUs, func(n []byte) bool { return n[0]&0x1f == 5 }) {
		f.once.Do(func() { close(f.done) })
	}
}

// firstPicture joins again and again while another reader keeps the camera running.
func firstPicture(ctx context.Context, t *table, srv *server, joins int) error {
	keep, cancel := context.WithCancel(ctx)
	defer cancel()
	kept := make(chan error, 1)
	go func() { kept <- readRTSP(keep, srv, func() {}) }()

	var took []time.Duration
	for range joins {
		// A join ends at an IDR: a random pause is what spreads the next one over the GOP.
		pause := time.NewTimer(500*time.Millisecond + rand.N(2*time.Second))
		select {
		case <-pause.C:
		case err := <-kept:
			pause.Stop()
			return fmt.Errorf("the reader that keeps the camera running: %w", err)
		}
		join, end := context.WithTimeout(ctx, 20*time.Second)
		sink := &firstUnit{done: make(chan struct{})}
		from := time.Now()
		ended := make(chan error, 1)
		go func() {
			ended <- rtsp.Play(join, rtsp.PlayConfig{Camera: "bench", Dial: srv.dial, User: srv.user, Password: srv.password}, sink)
		}()
		select {
		case <-sink.done:
			took = append(took, time.Since(from))
			end()
			<-ended //nolint:errcheck // it was told to end
		case err := <-ended:
			end()
			return fmt.Errorf("join: %w", err)
		}
	}
	t.set(srv.name, fmt.Sprintf("RTSP join → first IDR p50 / p95 / max of %d", joins),
		fmt.Sprintf("%s / %s / %s", ms(percentile(took, 50)), ms(percentile(took, 95)), ms(slices.Max(took))))
	cancel()
	<-kept //nolint:errcheck // it was told to end
	return nil
}

// drop counts units and forgets them.
type drop struct {
	once    sync.Once
	playing func()
}

func (d *drop) Tracks([]rtsp.Track) {}
func (d *drop) Unit(rtsp.Unit)      { d.once.Do(d.playing) }

func readRTSP(ctx context.Context, srv *server, playing func()) error {
	return rtsp.Play(ctx, rtsp.PlayConfig{Camera: "bench", Dial: srv.dial, User: srv.user, Password: srv.password}, &drop{playing: playing})
}

// underLoad holds n readers for a while and reports the server's CPU time and memory.
func underLoad(ctx context.Context, t *table, srv *server, d time.Duration, n int, what string, start func(context.Context, *server, func()) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	playing := make(chan struct{}, n)
	failed := make(chan error, n)
	// They come a few at a time: hundreds of unfinished TLS handshakes from one address are turned away.
	coming := make(chan struct{}, maxComing)
	all.Go(func() {
		for range n {
			select {
			case coming <- struct{}{}:
			case <-ctx.Done():
				return
			}
			all.Go(func() {
				arrived := sync.OnceFunc(func() { <-coming })
				defer arrived()
				err := start(ctx, srv, func() { arrived(); playing <- struct{}{} })
				if unlessEnded(ctx, err) != nil {
					failed <- err
				}
			})
		}
	})
	row := fmt.Sprintf("%d %s", n, what)
	end := func() { cancel(); all.Wait() }
	patience := time.NewTimer(60 * time.Second)
	defer patience.Stop()
	for got := 0; got < n; {
		select {
		case <-playing:
			got++
		case err := <-failed:
			end()
			t.set(srv.name, row, fmt.Sprintf("refused after %d (%v)", got, err))
			return nil
		case <-patience.C:
			end()
			t.set(srv.name, row, fmt.Sprintf("only %d got a picture in 60 s", got))
			return nil
		}
	}
	before, err := usageOfAll(srv)
	if err != nil {
		end()
		return err
	}
	hold := time.NewTimer(d)
	defer hold.Stop()
	select {
	case <-hold.C:
	case <-ctx.Done():
	}
	after, err := usageOfAll(srv)
	end()
	if err != nil {
		return err
	}
	cell := after[""].since(before[""])
	for _, part := range srv.working(what) {
		cell += " (" + part + ": " + after[part].since(before[part]) + ")"
	}
	select {
	case err := <-failed:
		cell += fmt.Sprintf(", but one ended: %v", err)
	default:
	}
	t.set(srv.name, row, cell)
	return nil
}

func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)*p/100, len(d)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
