package unixsock_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/packages/internal/unixsock"
)

const patience = 20 * time.Second

// receiver serves the socket at path until stop; passed connections come out of it.
func receiver(t *testing.T, path string) (taken chan *net.TCPConn, stop func()) {
	t.Helper()
	l, err := unixsock.Listen(path, unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	taken = make(chan *net.TCPConn, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- unixsock.ReceiveSockets(ctx, l, func(c *net.TCPConn) { taken <- c }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return taken, stop
}

// pair is a TCP connection: who dialed, and who accepted.
func pair(t *testing.T) (client, server *net.TCPConn) {
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
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
	})
	c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func next(t *testing.T, taken <-chan *net.TCPConn) *net.TCPConn {
	t.Helper()
	select {
	case c := <-taken:
		return c
	case <-time.After(patience):
		t.Fatal("nothing arrives")
		return nil
	}
}

// open counts this process's descriptors.
func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestPass: what was not read is still there, the connection lives on when the giver closes its own end, and is closed
// on exec.
func TestPass(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	taken, stop := receiver(t, path)
	p := unixsock.NewPasser(path)
	defer p.Close()
	var before int
	for i := range 20 {
		client, server := pair(t)
		io.WriteString(client, "first words")
		if err := p.Pass(server); err != nil {
			t.Fatal(err)
		}
		server.Close()
		got := next(t, taken)
		if got.RemoteAddr().String() != client.LocalAddr().String() || got.LocalAddr().String() != client.RemoteAddr().String() {
			t.Errorf("it is the connection of %v to %v", got.RemoteAddr(), got.LocalAddr())
		}
		raw, err := got.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x, %v", flags, err)
			}
		})
		got.SetDeadline(time.Now().Add(patience))
		words := make([]byte, 11)
		if _, err := io.ReadFull(got, words); err != nil || string(words) != "first words" {
			t.Errorf("read %q, %v", words, err)
		}
		io.WriteString(got, "an answer")
		got.Close()
		if b, err := io.ReadAll(client); err != nil || string(b) != "an answer" {
			t.Errorf("the client read %q, %v", b, err)
		}
		client.Close()
		switch i {
		case 0:
			before = openFiles(t)
		case 19:
			if after := openFiles(t); after > before {
				t.Errorf("%d files are open, %d were after the first", after, before)
			}
		}
	}
	stop()
	_, server := pair(t)
	if err := p.Pass(server); !errors.Is(err, unixsock.ErrNotTaken) {
		t.Errorf("with nobody there: %v", err)
	}
	// Whoever comes back is found.
	taken, _ = receiver(t, path)
	if err := p.Pass(server); err != nil {
		t.Fatal(err)
	}
	next(t, taken).Close()
	server.Close()
	if err := p.Pass(server); err == nil || errors.Is(err, unixsock.ErrNotTaken) {
		t.Errorf("a closed connection: %v", err)
	}
}

// TestPassRestart: a receiver that was replaced while the passer was connected costs no connection.
func TestPassRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	p := unixsock.NewPasser(path)
	defer p.Close()
	for range 3 {
		taken, stop := receiver(t, path)
		_, server := pair(t)
		if err := p.Pass(server); err != nil {
			t.Fatal(err)
		}
		next(t, taken).Close()
		stop()
	}
}

// TestPassNobodyReads: a process that hangs keeps nobody waiting, and what was passed to it meanwhile is closed with it.
func TestPassNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	l, err := unixsock.Listen(path, unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := unixsock.NewPasser(path)
	defer p.Close()
	client, server := pair(t)
	var refused error
	for range 10000 {
		if refused = p.Pass(server); refused != nil {
			break
		}
	}
	if !errors.Is(refused, unixsock.ErrNotTaken) {
		t.Fatalf("10,000 were passed to nobody: %v", refused)
	}
	server.Close()
	p.Close()
	l.Close()
	if _, err := io.ReadAll(client); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
}

// TestReceiveOdd: what is no TCP connection is closed, and who sends it disturbs nobody.
func TestReceiveOdd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	taken, _ := receiver(t, path)
	before := openFiles(t)
	dial := func() *net.UnixConn {
		c, err := unixsock.Dial(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return c.(*net.UnixConn)
	}
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udpFile, err := udp.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	listeningFile, err := listening.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	c := dial()
	for _, fds := range [][]int{{int(file.Fd())}, {int(udpFile.Fd())}, {int(listeningFile.Fd())}, {int(file.Fd()), int(udpFile.Fd()), int(file.Fd())}, {}} {
		if _, _, err := c.WriteMsgUnix([]byte{0}, unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
	}
	io.WriteString(c, "words without a socket")
	_, server := pair(t)
	if _, _, err := c.WriteMsgUnix([]byte("more"), rights(t, server), nil); err != nil {
		t.Fatal(err)
	}
	next(t, taken).Close()
	c.Close()
	for _, f := range []io.Closer{file, udp, udpFile, listening, listeningFile, server} {
		f.Close()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); openFiles(t) > before+1; <-tick.C { // the client's end of pair
		if time.Now().After(end) {
			t.Fatalf("%d files are open, %d were before", openFiles(t), before)
		}
	}
	if len(taken) > 0 {
		t.Error("something else was taken for a TCP connection")
	}
}

func rights(t *testing.T, c *net.TCPConn) []byte {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var oob []byte
	raw.Control(func(fd uintptr) { oob = unix.UnixRights(int(fd)) })
	return oob
}
