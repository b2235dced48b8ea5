package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"time"
)

// light is an RTSP reader that throws away what it reads: hundreds of them must not take the CPU that the server needs.
type light struct {
	conn net.Conn
	in   *bufio.Reader
	seq  int
	auth string
	// session is the header line.
	session string
}

// readLight reads the camera until ctx ends; it calls playing with the first packet.
func readLight(ctx context.Context, srv *server, playing func()) error {
	c, err := srv.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	l := newLight(c, srv)
	if err := l.play(); err != nil {
		return err
	}
	if _, err := l.in.Peek(1); err != nil {
		return fmt.Errorf("wait for a packet: %w", err)
	}
	playing()
	stop := l.keepAlive(ctx)
	defer stop()
	if _, err = io.Copy(io.Discard, l.in); err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read: %w", err)
}

func newLight(c net.Conn, srv *server) *light {
	l := &light{conn: c, in: bufio.NewReaderSize(c, 32<<10)}
	if srv.user != "" {
		l.auth = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(srv.user+":"+srv.password)) + "\r\n"
	}
	return l
}

func (l *light) play() error {
	const url = "rtsp://bench/bench"
	head, sdp, err := l.ask("DESCRIBE", url, "Accept: application/sdp\r\n")
	if err != nil {
		return err
	}
	base := strings.TrimRight(head.Get("Content-Base"), "/")
	for track, part := range strings.Split(sdp, "\nm=")[1:] {
		control := ""
		for line := range strings.Lines(part) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "a=control:"); ok {
				control = v
			}
		}
		if !strings.Contains(control, "://") {
			control = base + "/" + control
		}
		transport := fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n", 2*track, 2*track+1)
		head, _, err := l.ask("SETUP", control, transport+l.session)
		if err != nil {
			return err
		}
		id, _, _ := strings.Cut(head.Get("Session"), ";")
		l.session = "Session: " + id + "\r\n"
	}
	_, _, err = l.ask("PLAY", base, l.session)
	return err
}

// keepAlive sends OPTIONS as players do; the answers are thrown away with the rest.
func (l *light) keepAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(20 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			l.seq++
			if _, err := fmt.Fprintf(l.conn, "OPTIONS rtsp://bench/bench RTSP/1.0\r\nCSeq: %d\r\n%s%s\r\n", l.seq, l.auth, l.session); err != nil {
				return
			}
		}
	})
	return func() { cancel(); sending.Wait() }
}

func (l *light) ask(method, url, more string) (textproto.MIMEHeader, string, error) {
	l.seq++
	if _, err := fmt.Fprintf(l.conn, "%s %s RTSP/1.0\r\nCSeq: %d\r\n%s%s\r\n", method, url, l.seq, l.auth, more); err != nil {
		return nil, "", fmt.Errorf("ask %s: %w", method, err)
	}
	r := textproto.NewReader(l.in)
	line, err := r.ReadLine()
	if err != nil {
		return nil, "", fmt.Errorf("read the answer to %s: %w", method, err)
	}
	if !strings.HasPrefix(line, "RTSP/1.0 200") {
		return nil, "", fmt.Errorf("%s was answered with %q", method, line)
	}
	head, err := r.ReadMIMEHeader()
	if err != nil {
		return nil, "", fmt.Errorf("read the answer to %s: %w", method, err)
	}
	n, err := strconv.Atoi(head.Get("Content-Length"))
	if err != nil {
		return head, "", nil
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(l.in, body); err != nil {
		return nil, "", fmt.Errorf("read the answer to %s: %w", method, err)
	}
	return head, string(body), nil
}
