package picture_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/image/bmp"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
	"porthole/packages/player/picture"
)

func TestMain(m *testing.M) {
	decode.Child()
	goleak.VerifyTestMain(m)
}

// quarters is a picture whose corners are red, green, blue and white, in the order of reading.
func quarters(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{255, 0, 0, 255}
			switch {
			case x >= w/2 && y >= h/2:
				c = color.RGBA{255, 255, 255, 255}
			case x >= w/2:
				c = color.RGBA{0, 255, 0, 255}
			case y >= h/2:
				c = color.RGBA{0, 0, 255, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// corners names the colours of a picture's corners in the order of reading.
func corners(m image.Image) string {
	b := m.Bounds()
	var s []byte
	for _, p := range []image.Point{{1, 1}, {b.Dx() - 2, 1}, {1, b.Dy() - 2}, {b.Dx() - 2, b.Dy() - 2}} {
		r, g, bl, _ := m.At(b.Min.X+p.X, b.Min.Y+p.Y).RGBA()
		switch high := [3]bool{r > 0xc000, g > 0xc000, bl > 0xc000}; high {
		case [3]bool{true, false, false}:
			s = append(s, 'r')
		case [3]bool{false, true, false}:
			s = append(s, 'g')
		case [3]bool{false, false, true}:
			s = append(s, 'b')
		case [3]bool{true, true, true}:
			s = append(s, 'w')
		default:
			s = append(s, '?')
		}
	}
	return string(s)
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withExif puts an Exif segment that says how to turn it behind a JPEG's first marker.
func withExif(jpg []byte, order binary.AppendByteOrder, turn uint16) []byte {
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 2)
	for _, e := range [][2]uint16{{0x010f, 0}, {0x0112, turn}} {
		tiff = order.AppendUint16(tiff, e[0])
		tiff = order.AppendUint16(tiff, 3)
		tiff = order.AppendUint32(tiff, 1)
		tiff = order.AppendUint16(tiff, e[1])
		tiff = order.AppendUint16(tiff, 0)
	}
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append([]byte{}, jpg[:2]...)
	out = append(out, 0xff, 0xe1)
	out = binary.BigEndian.AppendUint16(out, uint16(len(segment)+2))
	out = append(out, segment...)
	return append(out, jpg[2:]...)
}

func noChild(context.Context, *os.File, image.Point, int) (image.Image, error) {
	return nil, &decode.Error{Kind: decode.ErrUnsupported}
}

func load(t *testing.T, b []byte, child picture.Child) (image.Image, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "picture")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return picture.Load(t.Context(), file, image.Pt(3840, 2160), child)
}

func TestFormats(t *testing.T) {
	m := quarters(64, 40)
	var b bytes.Buffer
	if err := bmp.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	webp, err := base64.StdEncoding.DecodeString(webpQuarters)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"PNG": {pngOf(t, m), "rgbw"}, "JPEG": {jpegOf(t, m), "rgbw"}, "BMP": {b.Bytes(), "rgbw"}, "WebP": {webp, "rgbw"},
		"JPEG, upright": {withExif(jpegOf(t, m), binary.BigEndian, 1), "rgbw"}, "JPEG, mirrored": {withExif(jpegOf(t, m), binary.LittleEndian, 2), "grwb"},
		"JPEG, upside down": {withExif(jpegOf(t, m), binary.BigEndian, 3), "wbgr"}, "JPEG, flipped": {withExif(jpegOf(t, m), binary.BigEndian, 4), "bwrg"},
		"JPEG, transposed": {withExif(jpegOf(t, m), binary.BigEndian, 5), "rbgw"}, "JPEG, turned right": {withExif(jpegOf(t, m), binary.BigEndian, 6), "brwg"},
		"JPEG, transversed": {withExif(jpegOf(t, m), binary.LittleEndian, 7), "wgbr"}, "JPEG, turned left": {withExif(jpegOf(t, m), binary.LittleEndian, 8), "gwrb"},
		"JPEG, turned by 9": {withExif(jpegOf(t, m), binary.BigEndian, 9), "rgbw"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := load(t, c.file, noChild)
			if err != nil {
				t.Fatal(err)
			}
			if s := corners(got); s != c.want {
				t.Errorf("corners %s, want %s", s, c.want)
			}
			if wide := got.Bounds().Dx() > got.Bounds().Dy(); wide != (c.want[:2] == "rg" || c.want[:2] == "gr" || c.want[:2] == "wb" || c.want[:2] == "bw") {
				t.Errorf("size %v", got.Bounds())
			}
		})
	}
}

// bomb is a PNG that says it has w by h pixels.
func bomb(t *testing.T, w, h uint32) []byte {
	b := pngOf(t, quarters(4, 4))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	pipe, huge := filepath.Join(dir, "pipe"), filepath.Join(dir, "huge")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(huge)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	f.Close()
	half := jpegOf(t, quarters(640, 480))
	write := func(name string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"missing":     {filepath.Join(dir, "none"), picture.ErrMissing},
		"a folder":    {dir, picture.ErrFormat},
		"a pipe":      {pipe, picture.ErrFormat},
		"a huge file": {huge, picture.ErrLarge},
		"empty":       {write("empty", nil), picture.ErrFormat},
		"text":        {write("text", []byte("<html>404</html>")), picture.ErrFormat},
		"no pixels":   {write("none.bmp", []byte("BM6\x00\x00\x00\x00\x00\x00\x006\x00\x00\x00(\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x18\x00"+strings.Repeat("\x00", 24))), picture.ErrFormat},
		"cut short":   {write("half", half[:len(half)/2]), picture.ErrFormat},
		"many pixels": {write("bomb", bomb(t, 60000, 60000)), picture.ErrLarge},
		"some pixels": {write("large", bomb(t, 9000, 9000)), picture.ErrLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := picture.Load(t.Context(), c.file, image.Pt(1920, 1080), noChild); !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", m, err, c.want)
			}
		})
	}
}

// TestChild: what Go does not know, or is too large for it, the decoder reads, smaller.
func TestChild(t *testing.T) {
	child := picture.Decoder(decodetest.Binary(t))
	large := decodetest.Clip(t, "large.jpg", "-f", "lavfi", "-i", "color=c=red:s=6000x4000:d=0.04", "-frames:v", "1")
	m, err := picture.Load(t.Context(), large, image.Pt(1920, 1080), child)
	if err != nil {
		t.Fatal(err)
	}
	if m.Bounds().Dx() > 1920 || m.Bounds().Dy() != 1080 || corners(m) != "rrrr" {
		t.Errorf("a picture of 24 megapixels became %v, corners %s", m.Bounds(), corners(m))
	}
	film := decodetest.Clip(t, "film.mp4", "-f", "lavfi", "-i", "color=c=blue:s=320x200:d=1")
	if m, err = picture.Load(t.Context(), film, image.Pt(1920, 1080), child); err != nil || m.Bounds().Size() != image.Pt(320, 200) || corners(m) != "bbbb" {
		t.Errorf("the first picture of a film: %v", err)
	}
	if _, err = load(t, []byte("nothing"), child); !errors.Is(err, picture.ErrFormat) {
		t.Errorf("no picture at all: %v", err)
	}
	if _, err = load(t, []byte("nothing"), picture.Decoder("/nowhere")); !errors.Is(err, picture.ErrFormat) {
		t.Errorf("no decoder: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := picture.Load(ctx, film, image.Pt(1920, 1080), child); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody wants it any more: %v", err)
	}
}

// webpQuarters is quarters(64, 40), made by ffmpeg.
const webpQuarters = "UklGRogAAABXRUJQVlA4THsAAAAvP8AJAH+gKJKk5vKd2pNMYYDim8GGkQBI0AM+4AH+n4XRhKlINt4rJImWCvEvwiMC8x+A/wMY+k3jTxjgWqxMDXWqFZqkj0mtx1LooKbWduyr8CGBCkZ5mMUQQQZHp78ixmf/poj+T0CkLydqPz7da9JOR6lUaAtK7QcA"
