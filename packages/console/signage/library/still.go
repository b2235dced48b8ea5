package library

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif"  // formats that are decoded here
	_ "image/jpeg" // the same
	_ "image/png"  // the same
	"io"
	"os"
	"strings"

	_ "golang.org/x/image/bmp"  // the same
	_ "golang.org/x/image/webp" // the same

	"porthole/media/exif"
	"porthole/packages/console/signage"
	"porthole/packages/internal/units"
)

// Limits of pictures. Screens have the same ones (packages/player/picture).
const (
	maxPicture = 64 << 20 // bytes of the file
	// maxPixels bounds photos: the decoder's child takes 2 bytes a pixel for each, in 512 MB.
	maxPixels = 64_000_000
	// maxOtherPixels bounds PNG, GIF, WebP and BMP, which are decoded as a whole.
	maxOtherPixels = 20_000_000
	// maxSide is what any format and player can do.
	maxSide = 20_000
	// maxDecoded is what decoding here may take at once, in bytes: a Zero 2 has 512 MB for everything.
	maxDecoded = 96 << 20
	// maxHere is what a photo may take to be decoded here; for larger ones a child is started.
	maxHere = 32 << 20
)

// still is a picture's decoded form, no larger than needed for a thumbnail when a child has made it.
type still struct {
	image       image.Image
	orientation exif.Orientation
}

// probeStill looks at a picture: its size is checked before anything is decoded, then all of it is.
func (l *Library) probeStill(ctx context.Context, f *os.File, size int64, fm format) (Found, error) {
	if size > maxPicture {
		return Found{}, refuse("This picture's file has %s, screens take at most %s. Save it with less quality or smaller.", units.Bytes(size), units.Bytes(maxPicture))
	}
	facts, err := readStill(f, size, fm)
	if err != nil {
		return Found{}, err
	}
	s, err := l.decodeStill(ctx, f, facts, thumbBox)
	if err != nil {
		return Found{}, err
	}
	m := signage.Media{Kind: signage.Image, MIME: fm.mime, Width: facts.width, Height: facts.height}
	if s.orientation.Sideways() {
		m.Width, m.Height = m.Height, m.Width
	}
	opaque, knows := s.image.(interface{ Opaque() bool })
	m.Probe = signage.Probe{
		Container: fm.name, Codec: fm.name, BitDepth: facts.depth, Rotation: s.orientation.Degrees(), Animated: facts.animated,
		Alpha: fm.name != "jpeg" && knows && !opaque.Opaque(),
	}
	found := Found{Media: m}
	if facts.animated {
		found.Notes = append(found.Notes, "This picture moves; screens show its first picture only. To have it move, save it as MP4.")
	}
	found.thumb = encodeThumb(thumbnail(s))
	return found, nil
}

// stillFacts is what a picture's headers say.
type stillFacts struct {
	format        format
	width, height int
	depth         int // bits of a sample
	cost          int64
	head          exif.Head // of a JPEG
	animated      bool
}

// readStill reads the headers and refuses what is too large to decode, or not to be decoded.
func readStill(f io.ReaderAt, size int64, fm format) (stillFacts, error) {
	facts := stillFacts{format: fm, depth: 8, head: exif.Head{Orientation: exif.Upright}}
	if fm.name == "webp" && webpAnimated(f) {
		return facts, refuse("This is a moving WebP picture, which screens do not show. Save it as MP4 with H.264.")
	}
	config, err := decodeConfig(io.NewSectionReader(f, 0, size))
	if err != nil {
		return facts, damagedStill(err, size)
	}
	facts.width, facts.height = config.Width, config.Height
	pixels := int64(config.Width) * int64(config.Height)
	most := int64(maxOtherPixels)
	if fm.name == "jpeg" {
		most = maxPixels
	}
	switch {
	case pixels <= 0:
		return facts, refuse("This picture says that it has no size: it is damaged. Export it again.")
	case config.Width > maxSide || config.Height > maxSide || pixels > most:
		return facts, refuse("This picture is too large: %d × %d, that is %d megapixels; screens take %d and at most %d pixels a side. "+
			"Export it with 3840 × 2160 or less, which is all that a screen can show.", config.Width, config.Height, (pixels+999_999)/1_000_000, most/1_000_000, maxSide)
	}
	perPixel := int64(4)
	switch config.ColorModel {
	case color.RGBA64Model, color.NRGBA64Model:
		perPixel, facts.depth = 8, 16
	case color.Gray16Model:
		perPixel, facts.depth = 2, 16
	case color.GrayModel:
		perPixel = 1
	case color.YCbCrModel:
		perPixel = 3
	}
	if _, ok := config.ColorModel.(color.Palette); ok {
		perPixel = 1
	}
	switch fm.name {
	case "jpeg":
		facts.head = exif.ReadHead(io.NewSectionReader(f, 0, size))
		if facts.head.Progressive {
			perPixel += 12 // all coefficients, 4 bytes each (image/jpeg)
		}
	case "png":
		var interlaced bool
		interlaced, facts.animated = pngFacts(f, size)
		if interlaced {
			perPixel += perPixel / 2
		}
	case "gif":
		facts.animated = gifAnimated(f, size)
	case "webp":
		perPixel *= 2 // one copy while transforms are undone
	}
	facts.cost = pixels * perPixel
	if fm.name != "jpeg" && facts.cost > maxDecoded {
		return facts, refuse("This picture takes too much memory: %d × %d with %d bits a colour. Export it with 3840 × 2160 or less, or as JPEG.",
			config.Width, config.Height, facts.depth)
	}
	return facts, nil
}

func decodeConfig(r io.Reader) (config image.Config, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("decoder failed: %v", v)
		}
	}()
	config, _, err = image.DecodeConfig(r)
	return config, err
}

// decodeStill decodes a picture: here, or a large or unusual photo in a child, which scales it down to fit into box.
func (l *Library) decodeStill(ctx context.Context, f *os.File, facts stillFacts, box image.Point) (still, error) {
	if facts.format.name == "jpeg" && (facts.cost > maxHere || facts.head.Arithmetic || facts.head.Precision != 8) {
		frame, err := l.frame(ctx, f, frameOptions{box: box, maxPixels: maxPixels, whole: true})
		if err != nil {
			return still{}, refuseStill(err)
		}
		return still{frame.image, facts.head.Orientation}, nil
	}
	if err := l.memory.Acquire(ctx, min(facts.cost, maxDecoded)); err != nil {
		return still{}, err
	}
	defer l.memory.Release(min(facts.cost, maxDecoded))
	m, err := decodeHere(f)
	if err != nil {
		st, statErr := f.Stat()
		if statErr != nil {
			return still{}, fmt.Errorf("look at picture: %w", statErr)
		}
		return still{}, damagedStill(err, st.Size())
	}
	if m.Bounds().Dx() > 2*box.X {
		// What is kept is small; the memory of the large one may be used by the next.
		m = shrink(m, box)
	}
	return still{m, facts.head.Orientation}, nil
}

// decodeHere decodes in this process. A bug of a decoder that a hostile picture finds costs the picture.
func decodeHere(f *os.File) (m image.Image, err error) {
	defer func() {
		if v := recover(); v != nil {
			m, err = nil, fmt.Errorf("decoder failed: %v", v)
		}
	}()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	m, _, err = image.Decode(f)
	return m, err
}

// damagedStill makes a sentence of what a decoder says.
func damagedStill(err error, size int64) error {
	short := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
	for _, s := range []string{"not enough pixel data", "not enough image data", "short Huffman data"} { // image/png, gif, jpeg
		short = short || strings.Contains(err.Error(), s)
	}
	if short {
		return refuse("The picture is incomplete: its file ends after %s. The copy or the download stopped too early; copy it once more from where it comes.", units.Bytes(size))
	}
	return refuse("The picture is damaged, or of a rare kind (%s). Open it in a picture program and export it as JPEG or PNG.", printable(err.Error()))
}

// pngFacts looks at the header and for the chunk of an animation, which stands before the first picture (PNG, third edition,
// sections 11.2.1 and 11.3.6.1).
func pngFacts(r io.ReaderAt, size int64) (interlaced, animated bool) {
	var h [33]byte
	if n, _ := r.ReadAt(h[:], 0); n == len(h) {
		interlaced = h[28] == 1
	}
	const maxChunks = 1000
	at := int64(8)
	for range maxChunks {
		var c [8]byte
		if n, _ := r.ReadAt(c[:], at); n < len(c) || at > size {
			return interlaced, false
		}
		switch string(c[4:]) {
		case "acTL":
			return interlaced, true
		case "IDAT":
			return interlaced, false
		}
		at += 12 + int64(binary.BigEndian.Uint32(c[:]))
	}
	return interlaced, false
}

// gifAnimated says whether there is a second picture, without decoding the first (GIF89a specification, sections 15 to 26).
func gifAnimated(r io.ReaderAt, size int64) bool {
	c := &cursor{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), copyBuffer)}
	c.skip(6)
	screen := c.take(7)
	if screen[4]&0x80 != 0 {
		c.skip(3 << (screen[4]&7 + 1))
	}
	pictures := 0
	for c.err == nil {
		switch kind := c.take(1)[0]; {
		case kind == 0x21: // extension
			c.skip(1)
			c.blocks()
		case kind == 0x2c && c.err == nil: // picture
			if pictures++; pictures > 1 {
				return true
			}
			if d := c.take(9); d[8]&0x80 != 0 {
				c.skip(3 << (d[8]&7 + 1))
			}
			c.skip(1)
			c.blocks()
		default:
			return false
		}
	}
	return false
}

// cursor reads forward. After an error everything is zero.
type cursor struct {
	r   *bufio.Reader
	err error
}

func (c *cursor) take(n int) []byte {
	b := make([]byte, n)
	if c.err == nil {
		_, c.err = io.ReadFull(c.r, b)
	}
	return b
}

func (c *cursor) skip(n int) {
	if c.err == nil {
		_, c.err = c.r.Discard(n)
	}
}

// blocks skips sub-blocks up to the empty one.
func (c *cursor) blocks() {
	for c.err == nil {
		n, err := c.r.ReadByte()
		if n == 0 || err != nil {
			c.err = err
			return
		}
		c.skip(int(n))
	}
}

// webpAnimated looks at the extended header (RFC 9649 section 2.7).
func webpAnimated(r io.ReaderAt) bool {
	var h [21]byte
	n, _ := r.ReadAt(h[:], 0)
	return n == len(h) && string(h[12:16]) == "VP8X" && h[20]&2 != 0
}
