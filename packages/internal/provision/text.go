package provision

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// decode returns the file as UTF-8 without byte order mark. Notepad's "Unicode" is UTF-16 with one (RFC 2781 section 3.2).
func decode(b []byte) []byte {
	if rest, ok := bytes.CutPrefix(b, []byte("\xef\xbb\xbf")); ok {
		return rest
	}
	if rest, ok := bytes.CutPrefix(b, []byte("\xff\xfe")); ok {
		return fromUTF16(rest, binary.LittleEndian)
	}
	if rest, ok := bytes.CutPrefix(b, []byte("\xfe\xff")); ok {
		return fromUTF16(rest, binary.BigEndian)
	}
	return b
}

func fromUTF16(b []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return []byte(string(utf16.Decode(units)))
}

// bound returns the whole lines within the first MaxSize bytes of text.
func bound(text []byte) []byte {
	if len(text) <= MaxSize {
		return text
	}
	return text[:bytes.LastIndexByte(text[:MaxSize], '\n')+1]
}
