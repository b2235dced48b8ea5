package library

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"porthole/packages/internal/units"
)

// Bounds of what is walked through in a file.
const (
	maxBoxes   = 200_000   // an hour of fragments of half a second has 14,400
	maxIndex   = 256 << 20 // bytes; that of a video of ten hours has some 20 MB
	maxDepth   = 8         // moov, trak, mdia, minf, stbl, stsd, avc1
	absurdSize = 1 << 46   // bytes; no file is as large as this
)

var errTooMany = errors.New("too many parts")

// structure is what the walk through a container has found.
type structure struct {
	level string // of the first video track, "4.1"
}

// box is a part of an MP4 file (ISO/IEC 14496-12 section 4.2).
type box struct {
	kind     string
	from, to int64 // of its content; to may lie behind the end of the file
}

// boxes calls f for the boxes between from and to, which may not be more than left allows.
func boxes(r io.ReaderAt, from, to int64, left *int, f func(box) error) error {
	for from < to {
		if *left--; *left < 0 {
			return errTooMany
		}
		var h [16]byte
		n, err := r.ReadAt(h[:], from)
		if n < 8 {
			if to-from < 8 || errors.Is(err, io.EOF) {
				return nil // a few bytes of nothing behind the last box
			}
			return fmt.Errorf("read box: %w", err)
		}
		b := box{kind: string(h[4:8]), from: from + 8}
		size := int64(binary.BigEndian.Uint32(h[:]))
		switch size {
		case 0:
			b.to = to
		case 1:
			if n < 16 {
				return errDamaged
			}
			large := binary.BigEndian.Uint64(h[8:])
			if large < 16 || large > absurdSize {
				return errDamaged
			}
			b.from, b.to = from+16, from+int64(large)
		default:
			if size < 8 {
				return errDamaged
			}
			b.to = from + size
		}
		if err := f(b); err != nil {
			return err
		}
		from = b.to
	}
	return nil
}

// errDamaged is said of a file whose parts do not fit together; probe makes a sentence of it.
var errDamaged = errors.New("the parts of the file do not fit together")

// walkMP4 checks that an MP4 or MOV file is all there, without reading its pictures.
func walkMP4(r io.ReaderAt, size int64) (structure, error) {
	var s structure
	var index, data bool
	left := maxBoxes
	err := boxes(r, 0, size, &left, func(b box) error {
		if !printableKind(b.kind) {
			if index && data {
				return io.EOF // something else stands behind a complete video
			}
			return errDamaged
		}
		if b.to > size {
			if index && b.kind != "mdat" && b.kind != "moof" && data {
				return io.EOF
			}
			return refuse("The file ends before its end: %s are missing. The copy or the download stopped too early; copy it once more from where it comes.",
				units.Bytes(b.to-size))
		}
		switch b.kind {
		case "moov":
			if b.to-b.from > maxIndex {
				return errDamaged
			}
			index = true
			return descend(r, b, maxDepth, &left, &s)
		case "mdat":
			data = true
		}
		return nil
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return s, err
	}
	if !index {
		return s, refuse("The video was never finished: its index is missing, as when a recording or an export is interrupted. Export it again.")
	}
	return s, nil
}

// descend looks for the level in a moov box and what it contains.
func descend(r io.ReaderAt, outer box, deeper int, left *int, s *structure) error {
	if deeper == 0 {
		return errDamaged
	}
	return boxes(r, outer.from, outer.to, left, func(b box) error {
		if b.to > outer.to {
			return errDamaged
		}
		switch b.kind {
		case "trak", "mdia", "minf", "stbl":
			return descend(r, b, deeper-1, left, s)
		case "stsd":
			b.from += 8 // version, flags, count
			return descend(r, b, deeper-1, left, s)
		case "avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe":
			b.from += 78 // ISO/IEC 14496-12 section 12.1.3
			return descend(r, b, deeper-1, left, s)
		case "avcC", "hvcC":
			var config [13]byte
			if _, err := r.ReadAt(config[:min(b.to-b.from, 13)], b.from); err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read box: %w", err)
			}
			s.keepLevel(b.kind == "hvcC", config[:])
		}
		return nil
	})
}

// keepLevel reads the level from a decoder's configuration (ISO/IEC 14496-15 sections 5.3.3.1 and 8.3.3.1).
func (s *structure) keepLevel(hevc bool, config []byte) {
	if s.level != "" || len(config) < 13 || config[0] != 1 {
		return
	}
	if hevc {
		s.level = levelText(int(config[12]) / 3)
	} else {
		s.level = levelText(int(config[3]))
	}
}

// levelText is a level of tenths.
func levelText(tenths int) string {
	if tenths < 9 || tenths > 99 {
		return ""
	}
	return fmt.Sprintf("%d.%d", tenths/10, tenths%10)
}

func printableKind(kind string) bool {
	for _, c := range []byte(kind) {
		if (c < ' ' || c > '~') && c != 0xa9 {
			return false
		}
	}
	return true
}

// Elements of Matroska (RFC 9559 section 5.1) that are looked into.
const (
	ebmlHeader   = 0x1A45DFA3
	mkvSegment   = 0x18538067
	mkvTracks    = 0x1654AE6B
	mkvCluster   = 0x1F43B675
	mkvTrack     = 0xAE
	mkvCodecID   = 0x86
	mkvPrivate   = 0x63A2
	unknownSize  = -1
	maxCodecData = 1 << 16
)

// walkMatroska checks that a Matroska or WebM file is all there, as far as it says how long it is.
func walkMatroska(r io.ReaderAt, size int64) (structure, error) {
	var s structure
	left := maxBoxes
	err := elements(r, 0, size, &left, func(id uint32, from, to int64) error {
		if id != mkvSegment {
			if id == ebmlHeader && to > size {
				return errDamaged
			}
			return nil
		}
		if to > size {
			return refuse("The file ends before its end: %s are missing. The copy or the download stopped too early; copy it once more from where it comes.",
				units.Bytes(to-size))
		}
		return elements(r, from, to, &left, func(id uint32, from, to int64) error {
			switch id {
			case mkvCluster:
				return io.EOF // pictures: what describes them comes before
			case mkvTracks:
				return elements(r, from, min(to, size), &left, func(id uint32, from, to int64) error {
					if id != mkvTrack {
						return nil
					}
					return s.track(r, from, min(to, size), &left)
				})
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return s, err
	}
	return s, nil
}

// track reads codec and configuration of one track.
func (s *structure) track(r io.ReaderAt, from, to int64, left *int) error {
	var codec string
	var private []byte
	err := elements(r, from, to, left, func(id uint32, from, to int64) error {
		if id != mkvCodecID && id != mkvPrivate || to-from > maxCodecData {
			return nil
		}
		b := make([]byte, to-from)
		if _, err := r.ReadAt(b, from); err != nil {
			return errDamaged
		}
		if id == mkvCodecID {
			codec = string(b)
		} else {
			private = b
		}
		return nil
	})
	if codec == "V_MPEG4/ISO/AVC" || codec == "V_MPEGH/ISO/HEVC" {
		s.keepLevel(codec == "V_MPEGH/ISO/HEVC", append(private, make([]byte, 13)...))
	}
	return err
}

// elements calls f for the elements between from and to (RFC 8794 section 4). One of unknown size reaches to the end.
func elements(r io.ReaderAt, from, to int64, left *int, f func(id uint32, from, to int64) error) error {
	for from < to {
		if *left--; *left < 0 {
			return errTooMany
		}
		var h [12]byte
		n, err := r.ReadAt(h[:], from)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read element: %w", err)
		}
		id, idLen := vint(h[:n], 4, false)
		if idLen == 0 {
			return errDamaged
		}
		size, sizeLen := vint(h[idLen:n], 8, true)
		if sizeLen == 0 {
			return errDamaged
		}
		content := from + int64(idLen+sizeLen)
		end := to
		if size != unknownSize {
			if size > absurdSize {
				return errDamaged
			}
			end = content + size
		}
		if err := f(uint32(id), content, end); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// vint reads a number of variable length and returns how many bytes it has, 0 if it is none. All ones mean an unknown size.
func vint(b []byte, most int, isSize bool) (int64, int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	length := 1
	for mask := byte(0x80); b[0]&mask == 0; mask >>= 1 {
		length++
	}
	if length > most || length > len(b) {
		return 0, 0
	}
	v := int64(b[0])
	if isSize {
		v &= 0xff >> length
	}
	for _, c := range b[1:length] {
		v = v<<8 | int64(c)
	}
	if isSize && v == 1<<(7*length)-1 {
		return unknownSize, length
	}
	return v, length
}

// levelOfStream finds the level in the first H.264 parameter set of a transport stream, whose 188 bytes hold all of it that
// matters (ITU-T H.264 section 7.3.2.1.1).
func levelOfStream(head []byte) string {
	for i := 0; i+7 < len(head); i++ {
		if head[i] == 0 && head[i+1] == 0 && head[i+2] == 1 && head[i+3]&0x9f == 7 {
			return levelText(int(head[i+6]))
		}
	}
	return ""
}
