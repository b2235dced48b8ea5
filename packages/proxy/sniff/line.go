package sniff

import "bytes"

const (
	// MaxLine bounds a request line, in bytes.
	MaxLine = 8 << 10
	// maxMethod bounds a method; RTSP's longest is GET_PARAMETER.
	maxMethod = 32
)

// FirstLine tells HTTP from RTSP by the version at the end of the request line (RFC 9112 section 3, RFC 2326 section
// 6.1): both know OPTIONS, so the method does not tell. It answers More, Garbage, HTTP or RTSP, never More for MaxLine or
// more bytes.
func FirstLine(b []byte) Kind {
	line, _, complete := bytes.Cut(b, []byte{'\n'})
	if len(line) >= MaxLine {
		return Garbage
	}
	method, rest, spaced := bytes.Cut(line, []byte{' '})
	if len(method) > maxMethod || bytes.ContainsFunc(method, notMethod) || spaced && len(method) == 0 {
		return Garbage
	}
	rest = bytes.TrimSuffix(rest, []byte{'\r'})
	if bytes.ContainsFunc(rest, isControl) {
		return Garbage
	}
	if !complete {
		return More
	}
	target := bytes.LastIndexByte(rest, ' ')
	if target < 1 {
		return Garbage
	}
	switch string(rest[target+1:]) {
	case "HTTP/1.0", "HTTP/1.1":
		return HTTP
	case "RTSP/1.0", "RTSP/2.0":
		return RTSP
	}
	return Garbage
}

func notMethod(r rune) bool { return (r < 'A' || r > 'Z') && r != '_' && r != '-' }

func isControl(r rune) bool { return r < ' ' || r == 0x7F }
