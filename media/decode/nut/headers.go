package nut

import "math/big"

// fields reads the fields of a header packet; after the first bad one all others read as 0.
type fields struct {
	b   []byte
	bad bool
}

// v reads a number of at most limit.
func (f *fields) v(limit uint64) uint64 {
	var v uint64
	for range 10 {
		if len(f.b) == 0 {
			break
		}
		c := f.b[0]
		f.b = f.b[1:]
		v = v<<7 | uint64(c&127)
		if c < 128 {
			if v > limit {
				break
			}
			return v
		}
	}
	f.bad, f.b = true, nil
	return 0
}

// s reads a signed number (nut.txt "s").
func (f *fields) s() int64 {
	v := f.v(1<<62) + 1
	if v&1 != 0 {
		return -int64(v >> 1)
	}
	return int64(v >> 1)
}

// bytes reads n bytes.
func (f *fields) bytes(n uint64) []byte {
	if n > uint64(len(f.b)) {
		f.bad, f.b = true, nil
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

const (
	max31   = 1<<31 - 1
	anySize = 1<<64 - 1
)

// mainHeader reads nut.txt "main_header".
func (r *Reader) mainHeader(f *fields) {
	version := f.v(4)
	if version < 2 {
		f.bad = true
	}
	if version > 3 {
		f.v(anySize) // minor version
	}
	streams := f.v(maxStreams)
	f.v(anySize) // max_distance
	bases := f.v(maxTimeBases)
	if streams == 0 || bases == 0 {
		f.bad = true
	}
	r.timeBases = make([]TimeBase, bases)
	for i := range r.timeBases {
		r.timeBases[i] = TimeBase{Num: uint32(f.v(max31)), Den: uint32(f.v(max31))}
		if r.timeBases[i].Num == 0 || r.timeBases[i].Den == 0 {
			f.bad = true
		}
	}
	r.frameCodes(f, streams)
	r.elision = [][]byte{nil}
	if len(f.b) > 0 {
		for range f.v(127) {
			r.elision = append(r.elision, f.bytes(f.v(255)))
		}
	}
	if f.bad {
		return
	}
	r.streams = make([]Stream, streams)
	r.state = make([]streamState, streams)
}

// frameCodes reads the table of frame codes, run by run.
func (r *Reader) frameCodes(f *fields, streams uint64) {
	c := frameCode{mul: 1}
	for i := 0; i < 256 && !f.bad; {
		c.flags = f.v(max31)
		n := f.v(64)
		field := func(at uint64, limit, otherwise uint64) uint64 {
			if n < at {
				return otherwise
			}
			return f.v(limit)
		}
		if n >= 1 {
			c.ptsDelta = f.s()
		}
		c.mul = field(2, 1<<16, c.mul)
		c.stream = field(3, streams-1, c.stream)
		c.lsb = field(4, 1<<16, 0)
		c.reserved = field(5, 255, 0)
		count := field(6, 256, c.mul-min(c.mul, c.lsb))
		field(7, anySize, 0) // match_time
		c.headerIdx = field(8, 127, c.headerIdx)
		for at := uint64(9); at <= n; at++ {
			f.v(anySize)
		}
		if count == 0 {
			f.bad = true
		}
		for ; count > 0 && i < 256; i++ {
			r.codes[i] = c
			if i == startcodeByte {
				r.codes[i].flags = flagInvalid
				continue
			}
			c.lsb++
			count--
		}
		if count > 0 {
			f.bad = true
		}
	}
}

// streamHeader reads nut.txt "stream_header".
func (r *Reader) streamHeader(f *fields) {
	id := f.v(maxStreams)
	if f.bad || id >= uint64(len(r.streams)) {
		f.bad = true
		return
	}
	var s Stream
	var st streamState
	s.Class = Class(f.v(3))
	copy(s.FourCC[:], f.bytes(f.v(4)))
	base := f.v(uint64(len(r.timeBases) - 1))
	st.timeBase, st.shift = int(base), uint(f.v(15))
	f.v(anySize) // max_pts_distance
	f.v(1000)    // decode_delay
	f.v(anySize) // stream flags
	s.Extra = f.bytes(f.v(maxHeaderSize))
	switch s.Class {
	case Video:
		s.Width, s.Height = int(f.v(1<<16)), int(f.v(1<<16))
		s.SampleAspect = [2]int{int(f.v(max31)), int(f.v(max31))}
		f.v(anySize) // colour space
		if s.Width == 0 || s.Height == 0 {
			f.bad = true
		}
	case Audio:
		s.SampleRate = int(f.v(max31))
		f.v(max31) // denominator of the sample rate
		s.Channels = int(f.v(1 << 16))
	}
	if f.bad || r.state[id].known {
		return
	}
	s.TimeBase = r.timeBases[base]
	st.known = true
	r.streams[id], r.state[id] = s, st
}

// syncpoint reads nut.txt "syncpoint": it sets the clocks of all streams.
func (r *Reader) syncpoint(f *fields) {
	t := f.v(anySize)
	if f.bad || len(r.timeBases) == 0 {
		f.bad = true
		return
	}
	n := uint64(len(r.timeBases))
	ticks, from := t/n, r.timeBases[t%n]
	for i := range r.state {
		s := &r.state[i]
		if s.timeBase < len(r.timeBases) {
			s.last = rescale(ticks, from, r.timeBases[s.timeBase])
		}
	}
}

// rescale converts ticks from one time base to another, rounded down; the product may need 128 bits.
func rescale(ticks uint64, from, to TimeBase) int64 {
	if from == to {
		return int64(ticks)
	}
	v := new(big.Int).SetUint64(ticks)
	v.Mul(v, new(big.Int).SetUint64(uint64(from.Num)*uint64(to.Den)))
	v.Div(v, new(big.Int).SetUint64(uint64(from.Den)*uint64(to.Num)))
	if !v.IsInt64() {
		return 0
	}
	return v.Int64()
}
