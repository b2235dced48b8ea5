package main_test

import (
	"bufio"
	"crypto/md5"
	"crypto/tls"
	"encoding/hex"
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

// reader is one that speaks TLS 1.2 and RTSP as an Echo Show does.
type reader struct {
	t       *testing.T
	c       net.Conn
	in      *bufio.Reader
	cseq    int
	nonce   string
	session string
}

func newEcho(t *testing.T, addr string) *reader {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return &reader{t: t, c: c, in: bufio.NewReader(c)}
}

// ask sends a request as stagefright writes it: a space behind the digest's URI, no unicast.
func (e *reader) ask(method, url string, lines ...string) (string, textproto.MIMEHeader) {
	e.t.Helper()
	e.cseq++
	lines = append([]string{method + " " + url + " RTSP/1.0", "CSeq: " + strconv.Itoa(e.cseq), "User-Agent: Fire OS/6.0 stagefright/1.2 (Linux;Android 7.1.2)"}, lines...)
	if e.session != "" {
		lines = append(lines, "Session: "+e.session)
	}
	if e.nonce != "" {
		ha1 := md5Hex("porthole:" + rtsp.Realm + ":secret")
		response := md5Hex(ha1 + ":" + e.nonce + ":" + md5Hex(method+":"+url+" "))
		lines = append(lines, fmt.Sprintf(`Authorization: Digest username="porthole",realm="%s",nonce="%s",uri="%s ",response="%s"`, rtsp.Realm, e.nonce, url, response))
	}
	if _, err := io.WriteString(e.c, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		e.t.Fatal(err)
	}
	for {
		if b, err := e.in.Peek(1); err != nil {
			e.t.Fatalf("%s: %v", method, err)
		} else if b[0] != '$' {
			break
		}
		e.frame()
	}
	r := textproto.NewReader(e.in)
	line, err := r.ReadLine()
	if err != nil {
		e.t.Fatal(err)
	}
	h, err := r.ReadMIMEHeader()
	if err != nil {
		e.t.Fatal(err)
	}
	n, _ := strconv.Atoi(h.Get("Content-Length"))
	if _, err := io.CopyN(io.Discard, e.in, int64(n)); err != nil {
		e.t.Fatal(err)
	}
	return line, h
}

// frame reads an interleaved frame.
func (e *reader) frame() (channel byte, payload []byte) {
	e.t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(e.in, head); err != nil {
		e.t.Fatal(err)
	}
	payload = make([]byte, int(head[2])<<8|int(head[3]))
	if _, err := io.ReadFull(e.in, payload); err != nil {
		e.t.Fatal(err)
	}
	return head[1], payload
}

// start plays a camera until there are pictures: video begins with a key picture, and both tracks have their sender
// report right at their beginning.
func (e *reader) start(id string) {
	e.t.Helper()
	url := "rtsp://cams.example.org:443/" + id
	line, h := e.ask("DESCRIBE", url, "Accept: application/sdp")
	_, rest, ok := strings.Cut(h.Get("WWW-Authenticate"), `Digest realm="Streaming Server", nonce="`)
	if e.nonce, _, _ = strings.Cut(rest, `"`); !ok {
		e.t.Fatalf("%s %v", line, h)
	}
	if line, h = e.ask("DESCRIBE", url, "Accept: application/sdp"); line != "RTSP/1.0 200 OK" || h.Get("Content-Base") != url+"/" {
		e.t.Fatalf("%s %v", line, h)
	}
	for i, channels := range []string{"0-1", "2-3"} {
		line, h = e.ask("SETUP", url+"/trackID="+strconv.Itoa(i), "Transport: RTP/AVP/TCP;interleaved="+channels)
		if line != "RTSP/1.0 200 OK" || !strings.Contains(h.Get("Transport"), "interleaved="+channels) || !strings.Contains(h.Get("Session"), "timeout=") {
			e.t.Fatalf("%s %v", line, h)
		}
		e.session, _, _ = strings.Cut(h.Get("Session"), ";")
	}
	if line, h = e.ask("PLAY", url); line != "RTSP/1.0 200 OK" {
		e.t.Fatalf("%s %v", line, h)
	}
	packets, report := map[byte]int{}, map[byte]int{}
	for packets[0] < 30 || packets[2] < 10 {
		ch, payload := e.frame()
		if packets[ch]++; ch%2 == 1 {
			if report[ch] == 0 && payload[1] == 200 { // a sender report (RFC 3550 section 6.4.1)
				report[ch] = packets[ch-1] + 1
			}
			continue
		}
		if kind := payload[12] & 0x1f; ch == 0 && packets[0] == 1 && kind != 5 && kind != 7 && kind != 24 && kind != 28 && kind != 6 && kind != 9 {
			e.t.Errorf("video begins with a NAL unit of type %d", kind)
		}
	}
	for _, ch := range []byte{1, 3} {
		if report[ch] == 0 || report[ch] > 3 {
			e.t.Errorf("the report on channel %d comes after %d packets", ch, report[ch]-1)
		}
	}
	if line, _ = e.ask("OPTIONS", url); line != "RTSP/1.0 200 OK" {
		e.t.Errorf("keep-alive: %s", line)
	}
}

// video reads n packets of video, of which none may be missing.
func (e *reader) video(n int) {
	e.t.Helper()
	last := -1
	for n > 0 {
		ch, payload := e.frame()
		if ch != 0 {
			continue
		}
		seq := int(payload[2])<<8 | int(payload[3])
		if last >= 0 && seq != (last+1)&0xffff {
			e.t.Fatalf("packet %d after %d", seq, last)
		}
		last = seq
		n--
	}
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
