package rtsp_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"porthole/media/rtsp"
	"porthole/media/samples"
)

// twisted is a camera that says something else than the clip behind it. edit is given the head and the body of each
// answer.
func twisted(t *testing.T, behind *clip, edit func(head, body string) (string, string)) *link {
	t.Helper()
	l := listen(t, "127.0.0.9:0")
	background(t, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { l.Close() })
		defer stop()
		var relays sync.WaitGroup
		defer relays.Wait()
		for {
			near, err := l.Accept()
			if err != nil {
				return nil
			}
			far, err := net.Dial("tcp", behind.Addr().String())
			if err != nil {
				near.Close()
				continue
			}
			relays.Go(func() {
				io.Copy(far, near)
				far.Close()
				near.Close()
			})
			relays.Go(func() {
				twist(near, far, edit)
				far.Close()
				near.Close()
			})
			end := context.AfterFunc(ctx, func() { near.Close() })
			defer end()
		}
	})
	return l
}

func twist(to io.Writer, from io.Reader, edit func(head, body string) (string, string)) {
	r := bufio.NewReader(from)
	for {
		first, err := r.Peek(4)
		if err != nil {
			return
		}
		if first[0] == '$' {
			if _, err := io.CopyN(to, r, 4+int64(first[2])<<8+int64(first[3])); err != nil {
				return
			}
			continue
		}
		var head strings.Builder
		length := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			if n, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				length, _ = strconv.Atoi(strings.TrimSpace(n))
				continue
			}
			head.WriteString(line)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		h, b := edit(head.String(), string(body))
		if b != "" {
			h += fmt.Sprintf("Content-Length: %d\r\n", len(b))
		}
		if _, err := io.WriteString(to, h+"\r\n"+b); err != nil {
			return
		}
	}
}

// tapped is a connection whose incoming bytes are kept.
type tapped struct {
	net.Conn
	mu  sync.Mutex
	got bytes.Buffer
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.Write(b[:n])
	return n, err
}

// TestHidden has a camera tell its address, its credentials and its path wherever it can, and searches every byte that
// a reader gets for them.
func TestHidden(t *testing.T) {
	t.Parallel()
	inner := startClip(t, "127.0.0.1:0", samples.Demo(), "lan-admin", "lan-secret")
	var address string
	l := twisted(t, inner, func(head, body string) (string, string) {
		tell := "rtsp://lan-admin:lan-secret@" + address + "/live/main"
		lines := strings.SplitAfter(head, "\r\n")
		for i, line := range lines {
			switch name, _, _ := strings.Cut(line, ":"); name {
			case "Content-Base":
				lines[i] = "Content-Base: " + tell + "/\r\n"
			case "Server":
				lines[i] = "Server: lan-admin at " + address + "\r\nX-Accept-Dynamic-Rate: 1\r\nx-Accept-Retransmit: our-retransmit\r\nCache-Control: must-revalidate\r\n"
			case "RTP-Info":
				lines[i] = "RTP-Info: url=" + tell + "/trackID=0;seq=1;rtptime=1\r\n"
			}
		}
		body = strings.ReplaceAll(body, "127.0.0.1", "127.0.0.9")
		body = strings.ReplaceAll(body, "0.0.0.0", "127.0.0.9")
		body = strings.ReplaceAll(body, "s=Porthole", "s=lan-admin at "+address+"\r\ni=lan-secret\r\nu=http://"+address+"/\r\ne=lan-admin@127.0.0.9")
		body = strings.ReplaceAll(body, "a=control:", "i=lan-secret\r\na=tool:"+address+"\r\na=framerate:127.0.0.9\r\na=x-dimensions:lan-secret\r\na=control:"+tell+"/")
		body = strings.ReplaceAll(body, "t=0 0\r\n", "t=0 0\r\na=range:npt=127.0.0.9-lan-secret\r\na=x-where:"+address+"\r\n")
		return strings.Join(lines, ""), body
	})
	address = l.Addr().String()
	h := startHub(t, patient, rtsp.Source{ID: "door", URL: "rtsp://" + address + "/live/main", User: "lan-admin", Password: "lan-secret"})

	c, err := net.Dial("tcp", h.door.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{Conn: c}
	k := talkOver(t, tap)
	const url = "rtsp://cams.example.org/door"
	in := basic(password)
	k.ask("OPTIONS", url, in)
	described := k.ask("DESCRIBE", url, in)
	if described.status != 200 || !strings.Contains(described.body, "m=audio") {
		t.Fatalf("%s\n%s", described.line, described.body)
	}
	setup := k.ask("SETUP", url+"/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1", in)
	session, _, _ := strings.Cut(setup.header.Get("Session"), ";")
	session = "Session: " + session
	k.ask("SETUP", url+"/trackID=1", "Transport: RTP/AVP/TCP;interleaved=2-3", session, in)
	if a := k.ask("PLAY", url, session, in); a.status != 200 {
		t.Fatal(a.line)
	}
	reports := 0
	for n := 0; n < 1000 || reports == 0; n++ {
		if f := k.nextFrame(); f.channel%2 == 1 {
			reports++
		}
	}
	k.ask("GET_PARAMETER", url, session, in)
	k.ask("PAUSE", url, session, in)
	k.ask("TEARDOWN", url, session, in)
	k.ask("DESCRIBE", "rtsp://cams.example.org/live/main", in)
	inner.stop()
	eventually(t, "the camera is lost", func() bool { return h.status("door").State != "live" })
	k.ask("DESCRIBE", url, in)

	tap.mu.Lock()
	defer tap.mu.Unlock()
	_, port, _ := net.SplitHostPort(address)
	for _, secret := range []string{"127.0.0.9", "lan-admin", "lan-secret", ":" + port, "live/main/", "Accept-", "Cache-Control", "\x7f\x00\x00\x09"} {
		if i := bytes.Index(tap.got.Bytes(), []byte(secret)); i >= 0 {
			t.Errorf("%q reaches the reader: …%q…", secret, tap.got.Bytes()[max(0, i-80):min(tap.got.Len(), i+80)])
		}
	}
	if tap.got.Len() < 100_000 {
		t.Errorf("only %d bytes were searched", tap.got.Len())
	}
}

// TestOptions changes what readers are told while the camera plays: only sound needs another connection to it.
func TestOptions(t *testing.T) {
	t.Parallel()
	inner := startClip(t, "127.0.0.1:0", samples.Demo(), "", "")
	l := twisted(t, inner, func(head, body string) (string, string) {
		// The faults are put right on the way.
		body = strings.ReplaceAll(body, "o=- 0 0 IN IP4 127.0.0.1\r\n", "")
		body = strings.ReplaceAll(body, "t=0 0\r\n", "t = 0 0\r\na=range:npt=0-\r\n")
		return head, strings.ReplaceAll(body, "a=control:trackID=0\r\n", "b=AS:4000kbit\r\na=framerate:25\r\na=framesize:96 1280-720\r\na=control:trackID=0\r\n")
	})
	src := source("cam", l.Addr().String()+"/live/main")
	h := startHub(t, patient, src)
	v, ended := h.play(t, "cam")
	eventually(t, "pictures", func() bool { return len(v.of(rtsp.Video)) > 10 })
	if r := strings.Join(h.status("cam").Repairs, "\n"); !strings.Contains(r, "origin line (o=) was missing") || !strings.Contains(r, "b=") {
		t.Errorf("repairs: %q", r)
	}
	tests := []struct {
		name      string
		options   rtsp.Options
		with, not []string
	}{
		{"none", rtsp.Options{}, []string{"a=range:npt=0-\r\n", "b=AS:4000\r\n", "a=framerate:25\r\n", "a=framesize:96 1280-720\r\n", "m=audio"}, nil},
		{
			"all but sound", rtsp.Options{DropFramerate: true, DropFramesize: true, NptNow: true, ExtraCRLF: true, BandwidthKbps: 50},
			[]string{"a=range:npt=now-\r\n", "b=AS:50\r\n", "\r\n\r\n", "m=audio"}, []string{"framerate", "framesize", "AS:4000"},
		},
	}
	for _, tt := range tests {
		src.Options = tt.options
		h.SetSources([]rtsp.Source{src})
		a := dial(t, h).ask("DESCRIBE", "rtsp://h/cam", basic(password))
		for _, w := range tt.with {
			if !strings.Contains(a.body, w) {
				t.Errorf("%s: no %q in\n%s", tt.name, w, a.body)
			}
		}
		for _, w := range tt.not {
			if strings.Contains(a.body, w) {
				t.Errorf("%s: %q in\n%s", tt.name, w, a.body)
			}
		}
	}
	if n := l.accepted.Load(); n != 1 {
		t.Errorf("%d connections to the camera", n)
	}
	out, err := tool(t, "ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name", "-of", "csv", h.url("cam"))
	if err != nil || !strings.Contains(out, "h264") || !strings.Contains(out, "aac") {
		t.Errorf("ffprobe with all options: %v: %s", err, out)
	}
	select {
	case err := <-ended:
		t.Errorf("the reader ended: %v", err)
	default:
	}

	src.Options.DropAudio = true
	h.SetSources([]rtsp.Source{src})
	eventually(t, "the description is without sound", func() bool {
		a := dial(t, h).ask("DESCRIBE", "rtsp://h/cam", basic(password))
		return a.status == 200 && strings.Contains(a.body, "m=video") && !strings.Contains(a.body, "m=audio")
	})
	if n := l.accepted.Load(); n != 2 {
		t.Errorf("%d connections to the camera", n)
	}
}
