// Package nut reads and writes NUT, the container that carries frames and packets with their exact timestamps
// between Porthole and its decoder child (FFmpeg's "nut" format). Of the containers that FFmpeg can both read from and
// write to a pipe it is the only one that adds no frame of delay and keeps the time base of the source.
//
// The specification is https://ffmpeg.org/~michael/nut.txt ("NUT Open Container Format"), cited below as "nut.txt".
// What a player does not need is left out: indexes, seeking, chapters, side data.
package nut

import (
	"errors"
	"time"
)

// ErrFormat is what every malformed stream comes down to.
var ErrFormat = errors.New("malformed NUT stream")

// Class is the kind of a stream, nut.txt "stream_class".
type Class uint64

// The classes in use here.
const (
	Video Class = 0
	Audio Class = 1
)

// TimeBase is the length of one tick: Num/Den seconds. Both are positive, below 2^31 and without a common divisor.
type TimeBase struct{ Num, Den uint32 }

// Duration converts ticks to time, rounded down to the nanosecond.
func (t TimeBase) Duration(ticks int64) time.Duration {
	num, den := int64(t.Num), int64(t.Den)
	// Whole seconds first, so that hours of 90 kHz ticks do not overflow.
	whole, rest := ticks/den, ticks%den
	return time.Duration(whole*num)*time.Second + time.Duration(rest*num*int64(time.Second)/den)
}

// Ticks converts a time to ticks, rounded to the nearest.
func (t TimeBase) Ticks(d time.Duration) int64 {
	num, den := int64(t.Num), int64(t.Den)
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	unit := num * int64(time.Second)
	return whole*den/num + (whole*den%num*int64(time.Second)+rest*den+unit/2)/unit
}

// Stream describes one stream of a file.
type Stream struct {
	Class    Class
	FourCC   [4]byte // as in AVI and MOV: "H264", "HEVC", "I420"
	TimeBase TimeBase
	Extra    []byte // codec specific data, may be empty

	Width, Height int    // video: pixels
	SampleAspect  [2]int // video: width to height of a pixel, 0:0 if unknown

	SampleRate int // audio: Hz
	Channels   int // audio
}

// Packet is the head of one packet; its payload is read from the Reader.
type Packet struct {
	Stream int   // index into Reader.Streams
	PTS    int64 // in the stream's time base
	Key    bool
	Size   int // of the payload, in bytes
}

// The start codes, nut.txt "startcode".
const (
	fileID        = "nut/multimedia container\x00"
	mainStart     = 0x4E4D7A561F5F04AD
	streamStart   = 0x4E5311405BF2F9DB
	syncStart     = 0x4E4BE4ADEECA4569
	indexStart    = 0x4E58DD672F23E64E
	infoStart     = 0x4E49AB68B596BA78
	startcodeByte = 'N'
)

// Frame flags, nut.txt "frame flags".
const (
	flagKey       = 1
	flagCodedPTS  = 8
	flagStreamID  = 16
	flagSizeMSB   = 32
	flagChecksum  = 64
	flagReserved  = 128
	flagSideData  = 256
	flagHeaderIdx = 1024
	flagMatchTime = 2048
	flagCoded     = 4096
	flagInvalid   = 8192
)

// crcTable is CRC-32 with polynomial 0x04C11DB7, most significant bit first, nut.txt "checksum".
var crcTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04C11DB7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// crc continues a checksum that starts as 0.
func crc(c uint32, data []byte) uint32 {
	for _, b := range data {
		c = c<<8 ^ crcTable[byte(c>>24)^b]
	}
	return c
}
