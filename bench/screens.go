package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// screenConn is a screen's connection. It asks as cheaply as can be: it shares the processors with the server.
type screenConn struct {
	net.Conn
	in *bufio.Reader
}

// dialScreen connects screen n, a hundred of which share an address: all of loopback is this machine.
func dialScreen(ctx context.Context, s *station, n int) (*screenConn, error) {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n/100))}}
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		return nil, err
	}
	// The certificate is checked by the tests; here the question is speed.
	t := &tls.Dialer{NetDialer: d, Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}} //nolint:gosec // loopback measurement
	c, err := t.DialContext(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return nil, fmt.Errorf("connect screen %d: %w", n, err)
	}
	return &screenConn{c, bufio.NewReaderSize(c, 4<<10)}, nil
}

// ask sends a request and reads the head of the answer.
func (c *screenConn) ask(request []byte) (*http.Response, error) {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := c.Write(request); err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, fmt.Errorf("read an answer: %w", err)
	}
	return res, nil
}

// poll sends a request and reads the whole answer.
func (c *screenConn) poll(request []byte) (int, error) {
	res, err := c.ask(request)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, fmt.Errorf("read an answer: %w", err)
	}
	return res.StatusCode, nil
}

// answers are what screens got.
type answers struct {
	mu    sync.Mutex
	took  []time.Duration // guarded by mu, as is what follows
	codes map[int]int
}

func (a *answers) add(code int, took []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = append(a.took, took...)
	a.codes[code] += len(took)
}

// pollAll has all screens poll, each at its own phase, over connections that stay open.
func pollAll(ctx context.Context, t *table, s *station, d time.Duration) error {
	conns := make([]*screenConn, screens)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i := range conns {
		var err error
		if conns[i], err = dialScreen(ctx, s, i+1); err != nil {
			return err
		}
		// A connection that says nothing is not kept.
		if _, err := conns[i].poll(s.request(i+1, s.poll(i+1))); err != nil {
			return fmt.Errorf("screen %d: %w", i+1, err)
		}
	}
	got := &answers{codes: map[int]int{}}
	before, err := usagesOf(s.pids)
	if err != nil {
		return err
	}
	begin := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i, c := range conns {
		g.Go(func() error { return pollOne(ctx, s, i+1, c, begin.Add(d), got) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	after, err := usagesOf(s.pids)
	if err != nil {
		return err
	}
	memory, err := memoryOf(s.pids)
	if err != nil {
		return err
	}
	slices.Sort(got.took)
	what := fmt.Sprintf("%d screens, a poll each per %s: ", screens, pollEvery)
	t.set(s.name, what+"p50 / p99 / max", fmt.Sprintf("%s / %s / %s", ms(percentile(got.took, 50)), ms(percentile(got.took, 99)), ms(got.took[len(got.took)-1])))
	t.set(s.name, what+"answers", codesText(got.codes))
	var total uint64
	var cpu []string
	var held []string
	for _, name := range slices.Sorted(maps.Keys(s.pids)) {
		b, a := before[name], after[name]
		cpu = append(cpu, fmt.Sprintf("%s %.1f %%", name, float64(a.cpu-b.cpu)/float64(a.at.Sub(b.at))*100))
		held = append(held, fmt.Sprintf("%s %s", name, mebibytes(int(memory[name]))))
		total += memory[name]
	}
	t.set(s.name, what+"CPU of one core", strings.Join(cpu, ", "))
	t.set(s.name, what+"memory (PSS)", fmt.Sprintf("%s (%s)", mebibytes(int(total)), strings.Join(held, ", ")))
	return nil
}

func codesText(codes map[int]int) string {
	var text []string
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		text = append(text, fmt.Sprintf("%d × %d", codes[code], code))
	}
	return strings.Join(text, ", ")
}

func pollOne(ctx context.Context, s *station, n int, c *screenConn, until time.Time, got *answers) error {
	request := s.request(n, s.poll(n))
	took := map[int][]time.Duration{}
	defer func() {
		for code, list := range took {
			got.add(code, list)
		}
	}()
	next := time.NewTimer(rand.N(pollEvery))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		}
		begin := time.Now()
		if begin.After(until) {
			return nil
		}
		next.Reset(pollEvery)
		code, err := c.poll(request)
		if err != nil {
			return fmt.Errorf("screen %d: %w", n, err)
		}
		took[code] = append(took[code], time.Since(begin))
	}
}

// downloadAll has some screens download the video at the same time.
func downloadAll(ctx context.Context, t *table, s *station) error {
	before, err := usagesOf(s.pids)
	if err != nil {
		return err
	}
	begin := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for n := 1; n <= downloaders; n++ {
		g.Go(func() error {
			c, err := dialScreen(ctx, s, n)
			if err != nil {
				return err
			}
			defer c.Close()
			res, err := c.ask(s.request(n, s.video(n)))
			if err != nil {
				return err
			}
			defer res.Body.Close()
			got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{res.Body}, make([]byte, 64<<10))
			if err != nil || res.StatusCode != http.StatusOK || got != videoBytes {
				return fmt.Errorf("screen %d got %d bytes, %s: %w", n, got, res.Status, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	took := time.Since(begin)
	after, err := usagesOf(s.pids)
	if err != nil {
		return err
	}
	const gb = float64(downloaders*videoBytes) / 1e9
	var cpu []string
	for _, name := range slices.Sorted(maps.Keys(s.pids)) {
		cpu = append(cpu, fmt.Sprintf("%s %.2f s", name, (after[name].cpu-before[name].cpu).Seconds()/gb))
	}
	what := fmt.Sprintf("%d screens download %d MiB at once: ", downloaders, videoBytes>>20)
	t.set(s.name, what+"in all", fmt.Sprintf("%.0f MB/s", gb*1000/took.Seconds()))
	t.set(s.name, what+"CPU per GB", strings.Join(cpu, ", "))
	return nil
}

func usagesOf(pids map[string]int) (map[string]usage, error) {
	out := map[string]usage{}
	for name, pid := range pids {
		u, err := usageOf([]int{pid})
		if err != nil {
			return nil, err
		}
		out[name] = u
	}
	return out, nil
}
