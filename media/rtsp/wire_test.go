package rtsp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	rtspconn "github.com/bluenviron/gortsplib/v5/pkg/conn"
)

// hear sends what a camera writes, in pieces of the given size, and returns what gortsplib makes of it.
func hear(t *testing.T, piece int, wrote ...string) (heard []any, repairs []string, err error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		defer far.Close()
		for _, w := range wrote {
			if w == "wait" {
				// The description is over, and the camera waits for SETUP.
				<-time.After(longBodyPause + 500*time.Millisecond)
				continue
			}
			for part := range slices.Chunk([]byte(w), piece) {
				if _, err := far.Write(part); err != nil {
					return
				}
			}
		}
	}()
	note := func(s string) {
		if !slices.Contains(repairs, s) {
			repairs = append(repairs, s)
		}
	}
	c := rtspconn.NewConn(bufio.NewReader(newCameraConn(near, note)), io.Discard)
	for {
		what, err := c.Read()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
				err = nil
			}
			return heard, repairs, err
		}
		if fr, ok := what.(*base.InterleavedFrame); ok {
			what = fmt.Sprintf("%d:%x", fr.Channel, fr.Payload)
		}
		heard = append(heard, what)
	}
}

const frame = "$\x00\x00\x0c\x80\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x02"

func TestWire(t *testing.T) {
	const head = "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n"
	tests := []struct {
		name  string
		wrote []string
		// body is of the first answer, frames how many come.
		body   string
		header string
		frames int
		note   string
	}{
		{"all well", []string{head + "Content-Length: 54\r\n\r\n" + sdpBare[:54] + frame + frame}, sdpBare[:54], "", 2, ""},
		{"lines that end with LF", []string{"RTSP/1.0 200 OK\nCSeq: 2\nContent-Length: 3\n\nabc" + frame}, "abc", "", 1, "LF only"},
		{"bytes behind a header line", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\nX-Mac: ab\xff\x00\x81cd\r\n\r\n" + frame}, "", "X-Mac: ab", 1, "cut off"},
		{"a header line that is none", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\xff\x00 garbage\r\nA: b\r\n\r\n"}, "", "A: b", 0, "no header line"},
		{"a folded line", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\nA: b\r\n  c\r\n\r\n"}, "", "A: b c", 0, "joined"},
		{"another version", []string{"rtsp/1.1 200\r\nCSeq: 2\r\n\r\n"}, "", "CSeq: 2", 0, "RTSP/1.0"},
		{"a long line", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\nServer: " + strings.Repeat("x", 9000) + "\r\n\r\n" + frame}, "", "CSeq: 2", 1, ""},
		{"300 lines", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\n" + strings.Repeat("A: b\r\n", 300) + "\r\n" + frame}, "", "CSeq: 2", 1, ""},
		{"two lengths", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 3\r\nContent-length:  3\r\n\r\nabc" + frame}, "abc", "", 1, ""},
		{"bytes between frames", []string{"RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n" + frame + "\x01\x02$\x00\xff" + frame + frame}, "", "", 3, "belong to none"},
		{"bytes in front of an answer", []string{"\x00\x00RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n"}, "", "CSeq: 2", 0, "belong to none"},
		{"a description longer than announced", []string{head + "Content-Length: 20\r\n\r\n" + sdpAxis, "wait"}, sdpAxis, "", 0, "length"},
		{"one shorter than announced", []string{head + "Content-Length: 2000\r\n\r\n" + sdpAxis, "wait"}, sdpAxis, "", 0, "length"},
		{"one without length", []string{head + "\r\n" + sdpAxis, "wait"}, sdpAxis, "", 0, "length"},
		{"one without length, and an answer behind it", []string{head + "\r\n" + sdpAxis + "RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n"}, sdpAxis, "", 0, "length"},
	}
	for _, tt := range tests {
		// Short pieces take long where a pause ends a body.
		for _, piece := range []int{1 << 20, 7} {
			if piece == 7 && strings.Contains(tt.name, "length") {
				continue
			}
			t.Run(fmt.Sprintf("%s, %d", tt.name, piece), func(t *testing.T) {
				t.Parallel()
				heard, repairs, err := hear(t, piece, tt.wrote...)
				if err != nil {
					t.Fatal(err)
				}
				frames, first := 0, (*base.Response)(nil)
				for _, h := range heard {
					switch h := h.(type) {
					case string:
						if h != "0:806000010000000100000002" {
							t.Errorf("frame %s", h)
						}
						frames++
					case *base.Response:
						if first == nil {
							first = h
						}
					}
				}
				if first == nil || first.StatusCode != 200 || string(first.Body) != tt.body || frames != tt.frames {
					t.Fatalf("%d frames, answer %+v", frames, first)
				}
				if key, value, ok := strings.Cut(tt.header, ": "); ok {
					if v := first.Header[key]; len(v) != 1 || v[0] != value {
						t.Errorf("%s: %q", key, v)
					}
				}
				if all := strings.Join(repairs, "\n"); !strings.Contains(all, tt.note) || (tt.note == "") != (all == "") {
					t.Errorf("repairs: %q", repairs)
				}
			})
		}
	}
}

func TestWireEnds(t *testing.T) {
	for _, tt := range []struct {
		name, wrote string
		want        error
	}{
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", errGarbage},
		{"a TLS alert", "\x15\x03\x01\x00\x02\x02\x46", errWantsTLS},
		{"garbage without end", strings.Repeat("\xff", maxGarbage+2), errGarbage},
		{"a head without end", "RTSP/1.0 200 OK\r\n" + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 100), errGarbage},
		{"a line without end", "RTSP/1.0 200 OK\r\nA: " + strings.Repeat("b", 2*wireBuffer), errGarbage},
		{"a body without end", "RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n", errGarbage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := hear(t, 1<<16, tt.wrote); !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// silentConn is a connection that ends where its bytes do.
type silentConn struct {
	net.Conn
	io.Reader
}

func (c silentConn) Read(b []byte) (int, error)      { return c.Reader.Read(b) }
func (c silentConn) SetReadDeadline(time.Time) error { return nil }

// FuzzWire has a camera write anything. What is well-formed comes through as it is, everything else ends in bounds.
func FuzzWire(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 54\r\n\r\n"+sdpBare[:54]+frame), true)
	f.Add([]byte("RTSP/1.0 200 OK\nCSeq: 2\nContent-Type: application/sdp\n\n"+sdpAxis+frame), false)
	f.Add([]byte("\x00\xff$RTSP/1.0 200 OK\r\nA:\xff\r\n b\r\n\r\n"+frame+"junk"+frame), false)
	f.Add([]byte(frame+"OPTIONS rtsp://h/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, whole bool) {
		var r io.Reader = bytes.NewReader(data)
		if !whole {
			r = iotest.OneByteReader(r)
		}
		notes := 0
		c := newCameraConn(silentConn{Reader: r}, func(string) { notes++ })
		out, _ := io.ReadAll(c)
		if len(out) > 2*len(data)+1024 {
			t.Fatalf("%d bytes became %d", len(data), len(out))
		}
		if notes > len(data) {
			t.Fatalf("%d notes", notes)
		}
	})
}

// TestFramesAreFree sees that frames cost no allocation each.
func TestFramesAreFree(t *testing.T) {
	big := "$\x00\x05\x00" + "\x80" + strings.Repeat("x", 0x500-1)
	data := []byte(strings.Repeat(big, 1000))
	buf := make([]byte, 4096)
	r := bytes.NewReader(data)
	c := newCameraConn(silentConn{Reader: r}, func(string) {})
	allocs := testing.AllocsPerRun(10, func() {
		r.Reset(data)
		for n := 0; n < len(data); {
			m, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	})
	if allocs > 5 {
		t.Errorf("%g allocations for 1000 frames", allocs)
	}
}
