package door

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
)

// maxRTSPHead bounds what is read of a request that is only refused, in bytes.
const maxRTSPHead = 16 << 10

// answerPlainRTSP answers one RTSP request that came without TLS. Players show the reason phrase, so it says what to
// do. The connection's deadline bounds it.
func answerPlainRTSP(c net.Conn) {
	r := textproto.NewReader(bufio.NewReader(io.LimitReader(c, maxRTSPHead)))
	if _, err := r.ReadLine(); err != nil {
		return
	}
	head, err := r.ReadMIMEHeader()
	if err != nil {
		return
	}
	// RFC 2326 section 12.17: the answer repeats the request's number.
	cseq, err := strconv.ParseUint(head.Get("CSeq"), 10, 32)
	if err != nil {
		cseq = 0
	}
	const body = "This port speaks RTSP inside TLS only. Write rtsps:// instead of rtsp:// in the address.\n"
	fmt.Fprintf(c, "RTSP/1.0 403 Use rtsps instead of rtsp\r\nCSeq: %d\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		cseq, len(body), body)
}
