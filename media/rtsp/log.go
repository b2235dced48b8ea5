package rtsp

import (
	"bytes"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

const (
	// logLines is how many lines the RTSP log keeps, maxLogText how long one may be, in bytes.
	logLines   = 2500
	maxLogText = 2000

	sideReader, sideCamera = "reader", "camera"
	fromThem, fromUs       = "them", "us"

	mask = "…"
)

var (
	// maskUser finds the credentials in a URL, maskToken a stream's token, and maskQuery a password in the parameters of a
	// camera's URL.
	maskUser  = regexp.MustCompile(`(?i)(rtsps?://)[^/\s"@]*@`)
	maskToken = regexp.MustCompile(`(/` + tokenPath + `)[^/\s"?;,]+`)
	maskQuery = regexp.MustCompile(`(?i)([?&/_;]?(?:password|passwd|pass|pwd|pw|token|key|secret)=)[^&\s";,/]*`)
)

// rtspLog keeps the last requests and answers for a person to read. All methods may be called on nil.
type rtspLog struct {
	mu sync.Mutex
	// Guarded by mu: ring holds the lines up to seq, at places given by their numbers.
	ring []LogLine
	seq  uint64
	// cleared is the number of the last line that was cleared.
	cleared uint64
}

// add appends a line. text must be masked.
func (l *rtspLog) add(side, peer, stream, from, text string) {
	if l == nil {
		return
	}
	line := LogLine{Time: time.Now(), Stream: stream, Side: side, Peer: peer, From: from, Text: text}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	line.Seq = l.seq
	if len(l.ring) < logLines {
		l.ring = append(l.ring, line)
		return
	}
	l.ring[(l.seq-1)%logLines] = line
}

// lines returns those after the given number, the newest first; with a stream only its own.
func (l *rtspLog) lines(after uint64, stream string) []LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []LogLine{}
	for seq := l.seq; seq > max(after, l.cleared) && l.seq-seq < uint64(len(l.ring)); seq-- {
		if line := l.ring[(seq-1)%logLines]; stream == "" || line.Stream == stream {
			out = append(out, line)
		}
	}
	return out
}

// clear forgets all lines; their numbers do not come again.
func (l *rtspLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleared = l.seq
	clear(l.ring)
}

// watch logs what is said to a camera, as it was said, in front of the client's own hooks. It must be called before the
// client is started.
func (l *rtspLog) watch(c *gortsplib.Client, stream string) {
	if l == nil {
		return
	}
	peer := c.Host
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	request, response := c.OnRequest, c.OnResponse
	c.OnRequest = func(req *base.Request) {
		l.add(sideCamera, peer, stream, fromUs, requestText(req))
		request(req)
	}
	c.OnResponse = func(res *base.Response) {
		l.add(sideCamera, peer, stream, fromThem, responseText(res))
		response(res)
	}
}

// requestText is a request as it was written, without secrets.
func requestText(req *base.Request) string {
	url := "*"
	if req.URL != nil {
		url = req.URL.CloneWithoutCredentials().String()
	}
	return messageText(string(req.Method)+" "+url+" RTSP/1.0", req.Header, req.Body)
}

func responseText(res *base.Response) string {
	reason := res.StatusMessage
	if reason == "" {
		reason = base.StatusMessages[res.StatusCode]
	}
	return messageText("RTSP/1.0 "+strconv.Itoa(int(res.StatusCode))+" "+reason, res.Header, res.Body)
}

func messageText(first string, header base.Header, body []byte) string {
	var b strings.Builder
	b.WriteString(first)
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range header[name] {
			switch name {
			case "Authorization", "Proxy-Authorization":
				v = schemeOf(v) + mask
			case "Cookie", "Set-Cookie", "Keymgmt":
				v = mask
			}
			b.WriteString("\n" + name + ": " + v)
		}
		if b.Len() > maxLogText {
			break
		}
	}
	if len(body) > 0 && utf8.Valid(body) {
		b.WriteString("\n\n")
		b.Write(bytes.TrimSpace(body[:min(len(body), maxLogText)]))
	}
	return maskText(b.String())
}

// schemeOf is the scheme of credentials, with a space, if it is a known one: anything else may be a secret.
func schemeOf(v string) string {
	for _, scheme := range []string{"Digest ", "Basic "} {
		if len(v) > len(scheme) && strings.EqualFold(v[:len(scheme)], scheme) {
			return scheme
		}
	}
	return ""
}

// maskText takes out what is secret wherever it may stand, and what would upset a page or a terminal, and bounds the
// length.
func maskText(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = maskUser.ReplaceAllString(s, "${1}"+mask+"@")
	s = maskToken.ReplaceAllString(s, "${1}"+mask)
	s = maskQuery.ReplaceAllString(s, "${1}"+mask)
	s = strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || r == utf8.RuneError {
			return '�'
		}
		return r
	}, s)
	if len(s) > maxLogText {
		s = strings.ToValidUTF8(s[:maxLogText], "") + mask
	}
	return s
}
