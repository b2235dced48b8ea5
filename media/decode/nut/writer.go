package nut

import (
	"encoding/binary"
	"fmt"
	"io"
)

// ptsShift makes every coded timestamp a full one, nut.txt "msb_pts_shift".
const ptsShift = 7

// pipeFlag says that no syncpoints follow, nut.txt version 4 "main_flags". Without it FFmpeg's demuxer
// remembers one syncpoint per packet for ever, which a camera that runs for weeks cannot afford.
const pipeFlag = 2

// Writer writes packets to a pipe. It is not safe for concurrent use.
type Writer struct {
	w       io.Writer
	streams []Stream
	synced  bool
	head    []byte
}

// NewWriter writes the headers for the streams, in one call of w.Write.
func NewWriter(w io.Writer, streams ...Stream) (*Writer, error) {
	if len(streams) == 0 || len(streams) > maxStreams {
		return nil, fmt.Errorf("write NUT header: %d streams", len(streams))
	}
	out := []byte(fileID)
	out = appendPacket(out, mainStart, mainHeader(streams))
	for i, s := range streams {
		if s.TimeBase.Num == 0 || s.TimeBase.Den == 0 {
			return nil, fmt.Errorf("write NUT header: stream %d has no time base", i)
		}
		out = appendPacket(out, streamStart, streamHeader(i, s))
	}
	if _, err := w.Write(out); err != nil {
		return nil, fmt.Errorf("write NUT header: %w", err)
	}
	return &Writer{w: w, streams: streams}, nil
}

// WritePacket writes one packet, whose payload is the parts one after the other. pts is in the stream's time base and not negative.
func (w *Writer) WritePacket(stream int, pts int64, key bool, parts ...[]byte) error {
	if stream < 0 || stream >= len(w.streams) || pts < 0 {
		return fmt.Errorf("write NUT packet: stream %d, timestamp %d", stream, pts)
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	w.head = w.head[:0]
	if !w.synced {
		// The one syncpoint that a demuxer needs to know where packets begin.
		sync := appendV(nil, uint64(pts)*uint64(len(w.streams))+uint64(stream))
		w.head = appendPacket(w.head, syncStart, appendV(sync, 0))
		w.synced = true
	}
	from := len(w.head)
	flags := uint64(flagStreamID | flagCodedPTS | flagSizeMSB | flagChecksum)
	if key {
		flags |= flagKey
	}
	w.head = append(w.head, 0) // frame code 0: all flags are coded
	w.head = appendV(w.head, flags)
	w.head = appendV(w.head, uint64(stream))
	w.head = appendV(w.head, uint64(pts)+1<<ptsShift)
	w.head = appendV(w.head, uint64(size))
	w.head = binary.BigEndian.AppendUint32(w.head, crc(0, w.head[from:]))
	if _, err := w.w.Write(w.head); err != nil {
		return fmt.Errorf("write NUT packet: %w", err)
	}
	for _, p := range parts {
		if _, err := w.w.Write(p); err != nil {
			return fmt.Errorf("write NUT packet: %w", err)
		}
	}
	return nil
}

// mainHeader is nut.txt "main_header": version 4, one time base per stream, one frame code for everything.
func mainHeader(streams []Stream) []byte {
	b := appendV(nil, 4) // version
	b = appendV(b, 1)    // minor version
	b = appendV(b, uint64(len(streams)))
	b = appendV(b, 1<<15-1) // max_distance
	b = appendV(b, uint64(len(streams)))
	for _, s := range streams {
		b = appendV(b, uint64(s.TimeBase.Num))
		b = appendV(b, uint64(s.TimeBase.Den))
	}
	// 255 equal codes, 'N' is skipped: flags, number of fields, pts_delta, size_mul, stream, size_lsb, reserved, count.
	b = appendV(b, flagCoded)
	b = appendV(b, 6)
	for _, v := range []uint64{0, 1, 0, 0, 0, 255} {
		b = appendV(b, v)
	}
	b = appendV(b, 0) // no elision headers
	return appendV(b, pipeFlag)
}

// streamHeader is nut.txt "stream_header".
func streamHeader(i int, s Stream) []byte {
	b := appendV(nil, uint64(i))
	b = appendV(b, uint64(s.Class))
	b = appendV(b, uint64(len(s.FourCC)))
	b = append(b, s.FourCC[:]...)
	b = appendV(b, uint64(i)) // time base
	b = appendV(b, ptsShift)
	b = appendV(b, uint64(s.TimeBase.Den)) // max_pts_distance
	b = appendV(b, 0)                      // decode_delay
	b = append(b, 0)                       // stream flags
	b = appendV(b, uint64(len(s.Extra)))
	b = append(b, s.Extra...)
	if s.Class == Audio {
		b = appendV(b, uint64(s.SampleRate))
		b = appendV(b, 1)
		return appendV(b, uint64(s.Channels))
	}
	b = appendV(b, uint64(s.Width))
	b = appendV(b, uint64(s.Height))
	b = appendV(b, uint64(s.SampleAspect[0]))
	b = appendV(b, uint64(s.SampleAspect[1]))
	return appendV(b, 0) // colour space: unknown
}

// appendPacket appends a header packet: start code, length, payload, checksum (nut.txt "packet").
func appendPacket(b []byte, start uint64, payload []byte) []byte {
	from := len(b)
	b = binary.BigEndian.AppendUint64(b, start)
	b = appendV(b, uint64(len(payload)+4))
	if len(payload)+4 > 4096 {
		b = binary.BigEndian.AppendUint32(b, crc(0, b[from:]))
	}
	b = append(b, payload...)
	return binary.BigEndian.AppendUint32(b, crc(0, payload))
}

// appendV appends a variable length number: 7 bits a byte, most significant first (nut.txt "v").
func appendV(b []byte, v uint64) []byte {
	shift := 0
	for v>>shift > 127 {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		b = append(b, 128|byte(v>>shift))
	}
	return append(b, byte(v&127))
}
