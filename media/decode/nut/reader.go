package nut

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits on what a header may claim.
const (
	maxStreams    = 16
	maxHeaderSize = 1 << 20
	maxTimeBases  = 64
)

// Reader reads packets from a pipe. It is not safe for concurrent use.
type Reader struct {
	br      *bufio.Reader
	maxSize int

	streams   []Stream
	state     []streamState
	timeBases []TimeBase
	codes     [256]frameCode
	elision   [][]byte

	prefix []byte // payload bytes that are not in the file: an elision header
	left   int    // payload bytes of the current packet still to be read
	start  uint64 // a start code that has been read, but not what follows
}

// streamState is what the coding of timestamps needs.
type streamState struct {
	timeBase int
	shift    uint
	last     int64
	known    bool
}

// frameCode is one entry of the table in the main header.
type frameCode struct {
	flags     uint64
	ptsDelta  int64
	mul, lsb  uint64
	stream    uint64
	reserved  uint64
	headerIdx uint64
}

// NewReader reads the headers, up to the first packet. A packet of more than maxSize bytes is an error.
// Errors wrap ErrFormat, or are those of r; a stream that ends within the headers gives io.ErrUnexpectedEOF.
func NewReader(r io.Reader, maxSize int) (*Reader, error) {
	rd := &Reader{br: bufio.NewReaderSize(r, 64<<10), maxSize: maxSize}
	id := make([]byte, len(fileID))
	if _, err := io.ReadFull(rd.br, id); err != nil {
		return nil, fmt.Errorf("read NUT header: %w", unexpected(err))
	}
	if string(id) != fileID {
		return nil, fmt.Errorf("read NUT header: %w: no file id", ErrFormat)
	}
	if err := rd.headers(); err != nil {
		return nil, fmt.Errorf("read NUT header: %w", unexpected(err))
	}
	return rd, nil
}

// Streams are the streams of the file, in order.
func (r *Reader) Streams() []Stream { return r.streams }

// headers reads header packets until the first syncpoint.
func (r *Reader) headers() error {
	for {
		var code [8]byte
		if _, err := io.ReadFull(r.br, code[:]); err != nil {
			return err
		}
		start := binary.BigEndian.Uint64(code[:])
		if start == syncStart {
			for i, s := range r.state {
				if !s.known {
					return fmt.Errorf("%w: no header for stream %d", ErrFormat, i)
				}
			}
			if len(r.state) == 0 {
				return fmt.Errorf("%w: no main header", ErrFormat)
			}
			r.start = start
			return nil
		}
		if err := r.header(start); err != nil {
			return err
		}
	}
}

// header reads the header packet behind its start code.
func (r *Reader) header(start uint64) error {
	payload, err := r.packet(start)
	if err != nil {
		return err
	}
	f := &fields{b: payload}
	switch start {
	case mainStart:
		if r.state == nil { // it is repeated now and then
			r.mainHeader(f)
		}
	case streamStart:
		r.streamHeader(f)
	case syncStart:
		r.syncpoint(f)
	}
	if f.bad {
		return fmt.Errorf("%w: bad field in header %q", ErrFormat, byte(start>>48))
	}
	return nil
}

// packet reads what follows a start code: length, payload, checksum.
func (r *Reader) packet(start uint64) ([]byte, error) {
	switch start {
	case mainStart, streamStart, syncStart, infoStart, indexStart:
	default:
		return nil, fmt.Errorf("%w: unknown start code %#x", ErrFormat, start)
	}
	size, err := r.v()
	if err != nil {
		return nil, err
	}
	if size < 4 || size > maxHeaderSize {
		return nil, fmt.Errorf("%w: header of %d bytes", ErrFormat, size)
	}
	if size > 4096 {
		if _, err := r.br.Discard(4); err != nil { // checksum of the length
			return nil, err
		}
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r.br, b); err != nil {
		return nil, err
	}
	if crc(0, b) != 0 {
		return nil, fmt.Errorf("%w: wrong checksum of a header", ErrFormat)
	}
	return b[:size-4], nil
}

// Next moves on to the next packet and returns its head; what is left of the payload of the last one is skipped.
// The end of the stream is io.EOF.
func (r *Reader) Next() (Packet, error) {
	r.prefix = nil
	if r.left > 0 {
		if _, err := r.br.Discard(r.left); err != nil {
			return Packet{}, fmt.Errorf("read NUT packet: %w", unexpected(err))
		}
		r.left = 0
	}
	for {
		start := r.start
		r.start = 0
		if start == 0 {
			c, err := r.br.ReadByte()
			if err != nil {
				return Packet{}, err // io.EOF between packets is the end
			}
			if c != startcodeByte {
				p, err := r.frame(c)
				if err != nil {
					return Packet{}, fmt.Errorf("read NUT packet: %w", unexpected(err))
				}
				return p, nil
			}
			var code [8]byte
			code[0] = c
			if _, err := io.ReadFull(r.br, code[1:]); err != nil {
				return Packet{}, fmt.Errorf("read NUT packet: %w", unexpected(err))
			}
			start = binary.BigEndian.Uint64(code[:])
		}
		if err := r.header(start); err != nil {
			return Packet{}, fmt.Errorf("read NUT packet: %w", unexpected(err))
		}
	}
}

// Read reads from the payload of the current packet; its end is io.EOF.
func (r *Reader) Read(p []byte) (int, error) {
	if len(r.prefix) > 0 {
		n := copy(p, r.prefix)
		r.prefix = r.prefix[n:]
		return n, nil
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.br.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, unexpected(err)
}

// frame reads a frame header behind its frame code (nut.txt "frame").
func (r *Reader) frame(c byte) (Packet, error) {
	code := r.codes[c]
	flags := code.flags
	if flags&flagInvalid != 0 {
		return Packet{}, fmt.Errorf("%w: invalid frame code %d", ErrFormat, c)
	}
	var err error
	// next reads a number if the flag is set.
	next := func(flag, otherwise uint64) uint64 {
		if err != nil || flags&flag == 0 {
			return otherwise
		}
		var v uint64
		v, err = r.v()
		return v
	}
	flags ^= next(flagCoded, 0)
	stream := next(flagStreamID, code.stream)
	coded := next(flagCodedPTS, 0)
	msb := next(flagSizeMSB, 0)
	next(flagMatchTime, 0)
	idx := next(flagHeaderIdx, code.headerIdx)
	reserved := next(flagReserved, code.reserved)
	for range min(reserved, 256) {
		if err == nil {
			_, err = r.v()
		}
	}
	if err == nil && flags&flagChecksum != 0 {
		_, err = r.br.Discard(4)
	}
	if err != nil {
		return Packet{}, err
	}
	if stream >= uint64(len(r.state)) || idx >= uint64(len(r.elision)) || reserved > 256 || flags&flagSideData != 0 {
		return Packet{}, fmt.Errorf("%w: bad frame header", ErrFormat)
	}
	if msb > math.MaxInt32 || code.mul > math.MaxInt32 || msb*code.mul+code.lsb > uint64(r.maxSize) {
		return Packet{}, fmt.Errorf("%w: packet larger than %d bytes", ErrFormat, r.maxSize)
	}
	size := int(msb*code.mul + code.lsb)
	r.left, r.prefix = size, nil
	// An elision header is only for packets of up to 4096 bytes, nut.txt "header_idx".
	if size <= 4096 {
		r.prefix = r.elision[idx]
		if r.left -= len(r.prefix); r.left < 0 {
			return Packet{}, fmt.Errorf("%w: packet shorter than its header", ErrFormat)
		}
	}
	s := &r.state[stream]
	s.last = s.pts(flags&flagCodedPTS != 0, coded, code.ptsDelta)
	return Packet{Stream: int(stream), PTS: s.last, Key: flags&flagKey != 0, Size: size}, nil
}

// pts decodes a timestamp (nut.txt "coded_pts").
func (s *streamState) pts(isCoded bool, coded uint64, delta int64) int64 {
	switch full := uint64(1) << s.shift; {
	case !isCoded:
		return s.last + delta
	case coded >= full:
		return int64(coded - full)
	default:
		mask := int64(full - 1)
		low := s.last - mask/2
		return (int64(coded)-low)&mask + low
	}
}

// v reads a variable length number.
func (r *Reader) v() (uint64, error) {
	var v uint64
	for range 10 {
		c, err := r.br.ReadByte()
		if err != nil {
			return 0, err
		}
		v = v<<7 | uint64(c&127)
		if c < 128 {
			return v, nil
		}
	}
	return 0, fmt.Errorf("%w: number too long", ErrFormat)
}

// unexpected makes an end of file where none may be an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
