package live

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// tcpPair is a stream whose viewer holds the other end. Both have small buffers, so that little makes it slow.
func tcpPair(t *testing.T) (s *stream, viewer *net.TCPConn, hurry func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	viewer = c.(*net.TCPConn)
	viewer.SetReadBuffer(4 << 10)
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a.(*net.TCPConn).SetWriteBuffer(4 << 10)
	var left sync.WaitGroup
	left.Add(1)
	hurried := make(chan struct{})
	hurry = sync.OnceFunc(func() { close(hurried) })
	s = newStream(a.(*net.TCPConn), &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, hurried, left.Done)
	var running sync.WaitGroup
	running.Go(s.run)
	t.Cleanup(func() {
		viewer.Close()
		s.Close()
		running.Wait()
		left.Wait()
	})
	return s, viewer, hurry
}

// framed is a packet of n bytes that starts with kind.
func framed(kind byte, n int) []byte {
	b := bytes.Repeat([]byte{kind}, 2+n)
	b[0], b[1] = byte(n>>8), byte(n)
	return b
}

const (
	media   = 0x80 // RTP version 2
	control = 0x00 // STUN
)

// TestStreamSlow: of a viewer that takes nothing little waits, whatever is sent, and what the ICE agent sends never
// waits; when it goes on reading it finds whole packets.
func TestStreamSlow(t *testing.T) {
	s, viewer, hurry := tcpPair(t)
	var sent atomic.Int64
	blocked := make(chan struct{})
	go func() {
		defer close(blocked)
		for range 2000 {
			if n, err := s.Write(framed(media, 1200)); err != nil || n != 1202 {
				t.Errorf("%d, %v", n, err)
			}
			sent.Add(1)
		}
	}()
	for { // until somebody waits for room
		s.mu.Lock()
		waits := s.room != nil
		s.mu.Unlock()
		if waits {
			break
		}
	}
	for range 1000 {
		if n, err := s.Write(framed(control, 100)); err != nil || n != 102 {
			t.Fatalf("%d, %v", n, err)
		}
	}
	s.mu.Lock()
	size, lost := cap(s.waiting), s.lost
	s.mu.Unlock()
	if n := sent.Load(); n == 2000 {
		t.Error("nobody waits for a viewer that takes nothing")
	}
	if size > 2*(streamQueue+streamExtra) || lost == 0 {
		t.Errorf("%d bytes wait, %d packets are lost", size, lost)
	}
	// The viewer leaves: nobody waits any more.
	hurry()
	<-blocked
	viewer.SetReadDeadline(time.Now().Add(20 * time.Second))
	head := make([]byte, 2)
	for range 50 {
		if _, err := io.ReadFull(viewer, head); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(head[0])<<8|int(head[1]))
		if _, err := io.ReadFull(viewer, body); err != nil {
			t.Fatal(err)
		}
		if want := map[int]byte{1200: media, 100: control}[len(body)]; bytes.Count(body, []byte{want}) != len(body) {
			t.Fatalf("a packet of %d bytes is not one that was sent", len(body))
		}
	}
}

// TestStreamWaits: a viewer that reads slower than is sent loses nothing while there is progress.
func TestStreamWaits(t *testing.T) {
	s, viewer, _ := tcpPair(t)
	const packets = 300
	viewer.SetReadDeadline(time.Now().Add(60 * time.Second))
	got := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, viewer, packets*1202)
		got <- err
	}()
	for range packets {
		if _, err := s.Write(framed(media, 1200)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-got; err != nil {
		t.Errorf("%v; %d packets are lost", err, s.lost)
	}
}

// TestStreamClose: the end of a connection ends whoever waits for it.
func TestStreamClose(t *testing.T) {
	s, _, _ := tcpPair(t)
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := s.Write(framed(media, 1200)); err != nil {
				ended <- err
				return
			}
		}
	}()
	for {
		s.mu.Lock()
		full := s.room != nil
		s.mu.Unlock()
		if full {
			break
		}
	}
	s.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it still waits")
	}
	if s.LocalAddr().String() != "192.0.2.1:443" {
		t.Errorf("it came to %v", s.LocalAddr())
	}
}

// FuzzFirstMessage: what a stranger sends first to the TCP port.
func FuzzFirstMessage(f *testing.F) {
	good := append([]byte("\x00\x20\x00\x01\x00\x0c\x21\x12\xa4\x42123456789012"), "\x00\x06\x00\x05us:me\x00\x00\x00"...)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte("\x00\x14\x00\x01\x00\x00\x21\x12\xa4\x42123456789012"))
	f.Add([]byte("\x00\x14\x01\x01\x00\x00\x21\x12\xa4\x42123456789012"))
	f.Add([]byte("\xff\xff"))
	f.Add([]byte{})
	if ufrag, err := parseFirst(good); err != nil || ufrag != "us" {
		f.Fatalf("%q, %v", ufrag, err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		ufrag, err := parseFirst(b)
		if err == nil && (ufrag == "" || !bytes.Contains(b, []byte(ufrag+":"))) {
			t.Errorf("%q names nobody", ufrag)
		}
		if err != nil && ufrag != "" {
			t.Errorf("%q and %v", ufrag, err)
		}
		if !bytes.Equal(b, before) {
			t.Error("it was changed, and is still to be read")
		}
	})
}
