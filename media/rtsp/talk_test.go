package rtsp_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"porthole/media/rtsp"
)

// talk is a conversation with a server, in the very words of a reader.
type talk struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	cseq int
	// frames are those that came between answers.
	frames []frame
}

type frame struct {
	channel byte
	payload []byte
}

type answer struct {
	status int
	line   string
	header textproto.MIMEHeader
	body   string
}

func dial(t *testing.T, h *hub) *talk {
	t.Helper()
	c, err := net.Dial("tcp", h.door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return talkOver(t, c)
}

func talkOver(t *testing.T, c net.Conn) *talk {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &talk{t: t, conn: c, in: bufio.NewReader(c)}
}

// ask sends a request with the given header lines and reads the answer.
func (k *talk) ask(method, url string, lines ...string) answer {
	k.t.Helper()
	k.cseq++
	lines = append([]string{method + " " + url + " RTSP/1.0", "CSeq: " + strconv.Itoa(k.cseq)}, lines...)
	if _, err := io.WriteString(k.conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		k.t.Fatal(err)
	}
	for {
		b, err := k.in.Peek(1)
		if err != nil {
			k.t.Fatalf("%s %s: %v", method, url, err)
		}
		if b[0] != '$' {
			return k.answer()
		}
		k.frames = append(k.frames, k.readFrame())
	}
}

func (k *talk) answer() answer {
	k.t.Helper()
	r := textproto.NewReader(k.in)
	line, err := r.ReadLine()
	if err != nil {
		k.t.Fatal(err)
	}
	a := answer{line: line}
	if _, err := fmt.Sscanf(line, "RTSP/1.0 %d", &a.status); err != nil {
		k.t.Fatalf("answer %q: %v", line, err)
	}
	if a.header, err = r.ReadMIMEHeader(); err != nil {
		k.t.Fatal(err)
	}
	if a.header.Get("CSeq") != strconv.Itoa(k.cseq) {
		k.t.Errorf("CSeq %q in the answer to %d", a.header.Get("CSeq"), k.cseq)
	}
	if n, _ := strconv.Atoi(a.header.Get("Content-Length")); n > 0 {
		b := make([]byte, n)
		if _, err := io.ReadFull(k.in, b); err != nil {
			k.t.Fatal(err)
		}
		a.body = string(b)
	}
	return a
}

func (k *talk) readFrame() frame {
	k.t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(k.in, head); err != nil {
		k.t.Fatal(err)
	}
	f := frame{channel: head[1], payload: make([]byte, int(head[2])<<8|int(head[3]))}
	if _, err := io.ReadFull(k.in, f.payload); err != nil {
		k.t.Fatal(err)
	}
	return f
}

// nextFrame returns the next interleaved frame, those first that came between answers.
func (k *talk) nextFrame() frame {
	k.t.Helper()
	if len(k.frames) > 0 {
		f := k.frames[0]
		k.frames = k.frames[1:]
		return f
	}
	b, err := k.in.Peek(1)
	if err != nil {
		k.t.Fatal(err)
	}
	if b[0] != '$' {
		k.t.Fatalf("no frame but %q", b)
	}
	return k.readFrame()
}

// closed reports whether the server has closed the connection.
func (k *talk) closed() bool {
	_, err := io.Copy(io.Discard, k.in)
	return err == nil
}

func basic(password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// digest answers the challenge as Android's player does: with a space behind the URI.
func digest(t *testing.T, a answer, method, url, password string) string {
	t.Helper()
	challenge := a.header.Values("WWW-Authenticate")[0]
	_, rest, ok := strings.Cut(challenge, `nonce="`)
	nonce, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed || !strings.Contains(challenge, `realm="`+rtsp.Realm+`"`) {
		t.Fatalf("challenge %q", challenge)
	}
	url += " "
	ha1 := md5Hex(user + ":" + rtsp.Realm + ":" + password)
	response := md5Hex(ha1 + ":" + nonce + ":" + md5Hex(method+":"+url))
	return fmt.Sprintf(`Authorization: Digest username="%s",realm="%s",nonce="%s",uri="%s",response="%s"`, user, rtsp.Realm, nonce, url, response)
}
