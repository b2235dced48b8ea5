package rtsptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// doors is where the camera's server hears readers, outside, and ffmpeg, inside.
type doors struct {
	outside, inside net.Listener
	conns           chan net.Conn
	closed          chan struct{}
	once            sync.Once
	accepting       sync.WaitGroup
}

// listen opens both doors; the caller holds mu.
func (c *Camera) listen() (*doors, error) {
	outside, err := net.Listen("tcp", c.addr)
	if err != nil {
		return nil, fmt.Errorf("listen for readers: %w", err)
	}
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		outside.Close()
		return nil, fmt.Errorf("listen for ffmpeg: %w", err)
	}
	var config *tls.Config
	if c.o.TLS {
		if config, err = selfSigned(); err != nil {
			return nil, err
		}
	}
	d := &doors{outside: outside, inside: inside, conns: make(chan net.Conn), closed: make(chan struct{})}
	d.accepting.Go(func() {
		d.accept(outside, func(conn net.Conn) net.Conn {
			if config != nil {
				conn = tls.Server(conn, config)
			}
			return &lens{Conn: conn, camera: c, addr: conn.RemoteAddr()}
		})
	})
	d.accepting.Go(func() { d.accept(inside, func(conn net.Conn) net.Conn { return conn }) })
	return d, nil
}

func (d *doors) accept(l net.Listener, wrap func(net.Conn) net.Conn) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case d.conns <- wrap(conn):
		case <-d.closed:
			conn.Close()
		}
	}
}

// Accept returns the next connection at either door.
func (d *doors) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Close closes both doors.
func (d *doors) Close() error {
	d.once.Do(func() { close(d.closed) })
	err := errors.Join(d.outside.Close(), d.inside.Close())
	d.accepting.Wait()
	return err
}

// Addr is that for readers.
func (d *doors) Addr() net.Addr { return d.outside.Addr() }

// lens is a reader's connection, through which a camera may be frozen or full of garbage.
type lens struct {
	net.Conn
	camera *Camera
	addr   net.Addr
	// writes counts those so far; gortsplib writes each message and frame at once.
	writes int
}

// Write is called for one message or frame.
func (l *lens) Write(b []byte) (int, error) {
	if l.camera.frozen.Load() {
		return len(b), nil
	}
	out := b
	if l.camera.o.Garbage {
		l.writes++
		switch {
		case bytes.HasPrefix(b, []byte("RTSP/1.0 200 OK\r\n")):
			out = append([]byte("RTSP/1.0 200 OK\r\nX-Mac: 00:11\x00\xff\x81$\x01junk\r\n\xfe\xfd\r\n"), b[17:]...)
		case len(b) > 0 && b[0] == '$' && l.writes%10 == 0:
			out = append([]byte("\x00\x17junk$\xff\xff\xff\xff"), b...)
		}
	}
	if _, err := l.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// RemoteAddr is the TCP address, as gortsplib takes for granted.
func (l *lens) RemoteAddr() net.Addr { return l.addr }

// selfSigned makes a certificate that names nothing and has expired, as many cameras have it.
func selfSigned() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// freePair finds two free UDP ports of which the first is even (RFC 3550 section 11).
func freePair() (int, error) {
	for range 100 {
		a, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("find a UDP port: %w", err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		b, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1))
		a.Close()
		if err != nil {
			continue
		}
		b.Close()
		if port%2 == 0 {
			return port, nil
		}
	}
	return 0, errors.New("no two free UDP ports")
}
