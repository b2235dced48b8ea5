package rtsp

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// wireBuffer holds the longest line and whatever a camera sends at once.
	wireBuffer = 32 << 10
	// maxHead bounds what comes in front of a body; gortsplib takes values of 2,048 bytes and 255 lines.
	maxHead, maxHeadLines, maxHeadValue = 64 << 10, 200, 2000
	// maxGarbage is how many bytes that belong to nothing may come in a row.
	maxGarbage = 1 << 20
	// bodyPause is how long a description whose length is wrong may pause; real ones come in one packet.
	bodyPause = 300 * time.Millisecond
	// longBodyPause is the same for a body that is not as long as announced.
	longBodyPause = 2 * time.Second
)

var errGarbage = errors.New("the camera sends what is not RTSP")

// cameraConn puts right what cameras write into an RTSP connection, in front of gortsplib's parser: bytes glued to a
// header line or between messages, lines that end or are folded the wrong way, bodies of another length than
// announced. Interleaved frames pass untouched. It is not used by two readers at once.
type cameraConn struct {
	net.Conn
	in *bufio.Reader
	// out is what was put right and not read yet.
	out []byte
	// frame is how many bytes of an interleaved frame are still to come.
	frame int
	// synced says that the last message ended where it should.
	synced bool
	// deadline is the reader's own.
	deadline time.Time
	// repaired is told of each repair, in a sentence.
	repaired func(string)
}

func newCameraConn(c net.Conn, repaired func(string)) *cameraConn {
	return &cameraConn{Conn: c, in: bufio.NewReaderSize(c, wireBuffer), synced: true, repaired: repaired}
}

// SetReadDeadline keeps the deadline beside the conn's own short ones.
func (c *cameraConn) SetReadDeadline(t time.Time) error {
	c.deadline = t
	return c.Conn.SetReadDeadline(t)
}

// Read returns bytes that gortsplib understands.
func (c *cameraConn) Read(b []byte) (int, error) {
	for {
		switch {
		case len(c.out) > 0:
			n := copy(b, c.out)
			c.out = c.out[n:]
			return n, nil
		case c.frame > 0:
			n, err := c.in.Read(b[:min(len(b), c.frame)])
			c.frame -= n
			return n, err
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
}

// next takes the beginning of the next message: a frame's header, or all of a response or request.
func (c *cameraConn) next() error {
	skipped := 0
	for {
		first, err := c.in.Peek(1)
		if err != nil {
			return err
		}
		switch {
		case first[0] == '$':
			if ok, err := c.isFrame(); err != nil {
				return err
			} else if ok {
				c.note(skipped)
				return nil
			}
		case skipped == 0 && (first[0] == 'H' || first[0] == 0x15):
			if err := c.other(); err != nil {
				return err
			}
		case first[0] >= 'A' && first[0] <= 'Z' || first[0] == 'r':
			if ok, err := c.isMessage(); err != nil {
				return err
			} else if ok {
				c.note(skipped)
				return c.message()
			}
		}
		// Between messages empty lines are allowed (RFC 2326 section 4.1).
		if first[0] != '\r' && first[0] != '\n' {
			c.synced = false
			if skipped++; skipped > maxGarbage {
				return errGarbage
			}
		}
		if _, err := c.in.Discard(1); err != nil {
			return err
		}
	}
}

// other says if it is HTTP or a TLS alert (RFC 8446 section 6) that comes.
func (c *cameraConn) other() error {
	head, err := c.in.Peek(3)
	switch {
	case err != nil:
		return err
	case string(head) == "HTT":
		return errGarbage
	case head[0] == 0x15 && head[1] == 3:
		return errWantsTLS
	}
	return nil
}

func (c *cameraConn) note(skipped int) {
	if skipped > 0 {
		c.repaired("Bytes between the camera's messages that belong to none were left out.")
	}
	c.synced = true
}

// isFrame reports whether a frame begins here (RFC 2326 section 10.12), and begins to pass it. After garbage it must
// look like RTP or RTCP, whose first two bits are the version (RFC 3550 section 5.1).
func (c *cameraConn) isFrame() (bool, error) {
	need := 4
	if !c.synced {
		need = 5
	}
	head, err := c.in.Peek(need)
	if err != nil {
		return false, err
	}
	size := int(head[2])<<8 | int(head[3])
	if !c.synced && (head[1] > 31 || size < 8 || head[4]&0xc0 != 0x80) {
		return false, nil
	}
	c.frame = 4 + size
	return true, nil
}

// isMessage reports whether a response or a request begins here.
func (c *cameraConn) isMessage() (bool, error) {
	head, err := c.in.Peek(5)
	if err != nil {
		return false, err
	}
	if strings.EqualFold(string(head), "RTSP/") {
		return true, nil
	}
	// A request: METHOD URL RTSP/1.0. Few cameras send any, and their line comes at once.
	for _, method := range []string{"OPTIO", "ANNOU", "GET_P", "SET_P", "REDIR", "TEARD", "PLAY_"} {
		if string(head) == method {
			return true, nil
		}
	}
	return false, nil
}

// message reads a message up to its body's end and puts it right.
func (c *cameraConn) message() error {
	var head bytes.Buffer
	start, err := c.line()
	if err != nil {
		return err
	}
	start, ok := c.startLine(start)
	head.WriteString(start)
	length, sdp := -1, false
	var lines []string
	for total := 0; ; {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		if total += len(line); total > maxHead {
			return errGarbage
		}
		if line[0] == ' ' || line[0] == '\t' {
			// A folded line (RFC 2616 section 2.2).
			if len(lines) > 0 {
				lines[len(lines)-1] += " " + strings.TrimSpace(line)
				c.repaired("The camera folds its header lines; they were joined.")
			}
			continue
		}
		if line, ok := c.headerLine(line); ok && len(lines) < maxHeadLines {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case strings.EqualFold(key, "Content-Length"):
			if n, err := strconv.Atoi(value); err == nil && n >= 0 && length < 0 {
				length = n
			}
			continue
		case strings.EqualFold(key, "Content-Type"):
			sdp = sdp || strings.Contains(strings.ToLower(value), "sdp")
		}
		if len(line) <= maxHeadValue {
			head.WriteString("\r\n" + line)
		}
	}
	body, err := c.body(length, sdp && ok)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		head.WriteString("\r\nContent-Length: " + strconv.Itoa(len(body)))
	}
	head.WriteString("\r\n\r\n")
	c.out = append(head.Bytes(), body...)
	return nil
}

// line reads up to an end of line, of whatever kind, without it.
func (c *cameraConn) line() (string, error) {
	raw, err := c.in.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", errGarbage
		}
		return "", err
	}
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		c.repaired("The camera ends its header lines with LF only, which was put right.")
	}
	return strings.TrimRight(string(raw), "\r\n"), nil
}

// startLine puts "RTSP/1.0 200 OK" right; ok says that it is a response.
func (c *cameraConn) startLine(line string) (string, bool) {
	if !strings.EqualFold(line[:min(5, len(line))], "RTSP/") {
		return line, false
	}
	version, rest, _ := strings.Cut(line, " ")
	status, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if version != "RTSP/1.0" {
		c.repaired("The camera says " + printable(version, 16) + ", where RTSP/1.0 is spoken.")
	}
	return "RTSP/1.0 " + status + " " + printable(reason, 100), true
}

// headerLine cuts what is glued behind a header line; not ok means that nothing of use is left.
func (c *cameraConn) headerLine(line string) (string, bool) {
	key, value, found := strings.Cut(line, ":")
	key = strings.TrimSpace(key)
	if !found || key == "" || len(key) > 100 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		c.repaired("A line in the camera's answers that is no header line was left out.")
		return "", false
	}
	clean := printable(strings.TrimSpace(value), wireBuffer)
	if clean != strings.TrimSpace(value) {
		c.repaired("Binary bytes behind the header line " + key + " were cut off.")
	}
	return key + ": " + clean, true
}

// printable is what stands in front of the first byte that is no text.
func printable(s string, limit int) string {
	for i, r := range s {
		if i >= limit || r < ' ' && r != '\t' || r == 0x7f || r == '\uFFFD' {
			return strings.TrimSpace(s[:i])
		}
	}
	return s
}

// body reads a body of the announced length; negative means that none was announced. A description may be longer or
// shorter than that.
func (c *cameraConn) body(length int, sdp bool) ([]byte, error) {
	if length > maxDescription {
		return nil, errGarbage
	}
	if !sdp {
		b := make([]byte, max(length, 0))
		return b, c.readBody(b)
	}
	defer c.Conn.SetReadDeadline(c.deadline) //nolint:errcheck // the next read tells
	var b []byte
	for len(b) < maxDescription {
		missing := length - len(b)
		pause := bodyPause
		if missing > 0 {
			pause = longBodyPause
		} else if c.ends(b) {
			break
		}
		if c.in.Buffered() == 0 {
			if err := c.Conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
				return nil, err
			}
		}
		head, err := c.in.Peek(1)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			return nil, err
		}
		n := missing
		if missing <= 0 {
			n = c.more(head[0])
		}
		if n == 0 {
			break
		}
		n = min(n, c.in.Buffered())
		part, _ := c.in.Peek(n)
		b = append(b, part...)
		if _, err := c.in.Discard(n); err != nil {
			return nil, err
		}
	}
	if length != len(b) {
		c.repaired("The length that the camera announces for its description is wrong, which was put right.")
	}
	return b, nil
}

// ends reports whether a description of the announced length is over: nothing more is there, and it ends with a line.
func (c *cameraConn) ends(b []byte) bool {
	if c.in.Buffered() > 0 {
		return false
	}
	return bytes.HasSuffix(b, []byte("\n"))
}

// more is how many buffered bytes belong to a description that is longer than announced: up to the next message.
func (c *cameraConn) more(first byte) int {
	buffered, _ := c.in.Peek(c.in.Buffered())
	if first == '$' || bytes.HasPrefix(buffered, []byte("RTSP/")) {
		return 0
	}
	n := len(buffered)
	for _, end := range []string{"RTSP/1.0 ", "\n$"} {
		if i := bytes.Index(buffered, []byte(end)); i >= 0 {
			n = min(n, i+strings.Count(end, "\n"))
		}
	}
	return n
}

func (c *cameraConn) readBody(b []byte) error {
	for n := 0; n < len(b); {
		m, err := c.in.Read(b[n:])
		if err != nil {
			return err
		}
		n += m
	}
	return nil
}
