package door_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"porthole/packages/proxy/door"
)

// check is a STUN message without attributes, framed for TCP (RFC 4571).
const check = "\x00\x14\x00\x01\x00\x00\x21\x12\xa4\x42123456789012"

// given returns the next connection that was given away.
func (b *bench) given(t *testing.T) *net.TCPConn {
	t.Helper()
	select {
	case c := <-b.ice:
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was given away")
		return nil
	}
}

// TestICE: ICE over TCP is given away with everything the client has sent, once its first message is whole, and lives on
// after the door has closed its own end and forgotten it.
func TestICE(t *testing.T) {
	b := open(t, nil)
	c := b.dial(t)
	for i := range check {
		io.WriteString(c, check[i:i+1])
	}
	io.WriteString(c, "and more")
	got := b.given(t)
	until(t, "the door has no place for it any more", func() bool { return b.Status().Connections == 0 })
	words := make([]byte, len(check)+8)
	if _, err := io.ReadFull(got, words); err != nil || string(words) != check+"and more" {
		t.Errorf("read %q, %v", words, err)
	}
	io.WriteString(got, "an answer")
	got.Close()
	if s, err := closed(c); err != nil || s != "an answer" {
		t.Errorf("the client read %q, %v", s, err)
	}
	if s := b.Status(); s.Served["ice"] != 1 || s.Refused["stun"] != 0 {
		t.Errorf("%+v", s)
	}
	b.good(t)
}

// TestHalfAnICEMessage: a message that does not come whole is waited for as for any first word, and given to nobody.
func TestHalfAnICEMessage(t *testing.T) {
	b := open(t, func(l *door.Limits) { l.FirstBytes = 50 * time.Millisecond })
	c := b.dial(t)
	io.WriteString(c, check[:len(check)-1])
	if _, err := closed(c); err != nil {
		t.Error(err)
	}
	b.untilRefused(t, "slow", 1)
	if len(b.ice) != 0 {
		t.Error("half a message was given away")
	}
}

// TestICEPort: on a port of its own there is ICE and nothing else; limits and counts are the door's.
func TestICEPort(t *testing.T) {
	b := open(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.ServeICE(ctx, l) }()
	own := &bench{addr: l.Addr().String()}
	for i, words := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", "OPTIONS * RTSP/1.0\r\n\r\n"} {
		c := own.dial(t)
		io.WriteString(c, words)
		if s, err := closed(c); err != nil || s != "" {
			t.Errorf("%q: got %q, %v", words, s, err)
		}
		b.untilRefused(t, "garbage", uint64(i+1))
	}
	c := own.dial(t)
	io.WriteString(c, check)
	b.given(t)
	waiting := own.dial(t)
	until(t, "one waits", func() bool { return b.Status().Undecided == 1 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s, err := closed(waiting); err != nil || s != "" {
		t.Errorf("who waits at the end got %q, %v", s, err)
	}
	b.good(t)
}
