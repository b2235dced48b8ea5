package exif_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"testing"

	"porthole/media/exif"
)

// with returns a JPEG whose second segment says how it lies.
func with(t testing.TB, order binary.AppendByteOrder, o uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 8)), nil); err != nil {
		t.Fatal(err)
	}
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 1)
	tiff = order.AppendUint16(tiff, 0x0112)
	tiff = order.AppendUint16(tiff, 3)
	tiff = order.AppendUint32(tiff, 1)
	tiff = order.AppendUint16(tiff, o)
	tiff = append(tiff, 0, 0, 0, 0, 0, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(segment)+2))
	return append(append(head, segment...), b.Bytes()[2:]...)
}

func TestReadHead(t *testing.T) {
	for o := range uint16(10) {
		want := exif.Orientation(o)
		if o < 1 || o > 8 {
			want = exif.Upright
		}
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			h := exif.ReadHead(bytes.NewReader(with(t, order, o)))
			if h != (exif.Head{Orientation: want, Precision: 8}) {
				t.Errorf("%v %d: %+v", order, o, h)
			}
		}
	}
	if h := exif.ReadHead(bytes.NewReader([]byte("no JPEG"))); h.Orientation != exif.Upright {
		t.Errorf("%+v", h)
	}
}

// TestTurned: the corners of a picture, in the order of reading, once it is held as it should be.
func TestTurned(t *testing.T) {
	names := map[color.RGBA]byte{{255, 0, 0, 255}: 'r', {0, 255, 0, 255}: 'g', {0, 0, 255, 255}: 'b', {255, 255, 255, 255}: 'w'}
	// Neither begins at 0, 0 nor is square.
	m := image.NewRGBA(image.Rect(3, 5, 6, 7))
	for c, name := range names {
		at := map[byte]image.Point{'r': {3, 5}, 'g': {5, 5}, 'b': {3, 6}, 'w': {5, 6}}[name]
		m.SetRGBA(at.X, at.Y, c)
	}
	for o, want := range map[exif.Orientation]string{
		0: "rgbw", 1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb", 9: "rgbw",
	} {
		to := exif.Turned(m, o)
		size := image.Pt(3, 2)
		if o.Sideways() {
			size = image.Pt(2, 3)
		}
		b := to.Bounds()
		var got []byte
		for _, p := range []image.Point{b.Min, {b.Max.X - 1, b.Min.Y}, {b.Min.X, b.Max.Y - 1}, b.Max.Sub(image.Pt(1, 1))} {
			got = append(got, names[to.RGBAAt(p.X, p.Y)])
		}
		if b.Size() != size || string(got) != want {
			t.Errorf("%d: %v, %s, want %s", o, b.Size(), got, want)
		}
	}
	for _, degrees := range []int{0, 90, 180, 270} {
		if o := exif.Rotated(degrees); o.Degrees() != degrees {
			t.Errorf("%d degrees: %d, %d", degrees, o, o.Degrees())
		}
	}
}

// FuzzReadHead: whatever a file holds, its orientation is one of the eight.
func FuzzReadHead(f *testing.F) {
	f.Add(with(f, binary.LittleEndian, 6))
	f.Add(with(f, binary.BigEndian, 8))
	f.Add([]byte{0xff, 0xd8, 0xff, 0xc2, 0, 3, 12})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h := exif.ReadHead(bytes.NewReader(b)); h.Orientation < 1 || h.Orientation > 8 {
			t.Errorf("%+v", h)
		}
	})
}
