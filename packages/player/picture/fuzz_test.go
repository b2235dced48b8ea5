package picture_test

import (
	"encoding/binary"
	"image"
	"os"
	"path/filepath"
	"testing"

	"porthole/packages/player/picture"
)

// FuzzLoad: whatever a file holds, it is a picture of bounded size or an error.
func FuzzLoad(f *testing.F) {
	m := quarters(8, 6)
	jpg := jpegOf(f, m)
	for _, b := range [][]byte{
		pngOf(f, m), jpg, withExif(jpg, binary.BigEndian, 6), withExif(jpg, binary.LittleEndian, 8), {0xff, 0xd8, 0xff, 0xe1, 0, 0}, []byte("GIF89a"), []byte("BM"), []byte("RIFF\x00\x00\x00\x00WEBPVP8 "),
	} {
		f.Add(b)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		file := filepath.Join(dir, "picture")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := picture.Load(t.Context(), file, image.Pt(64, 64), noChild)
		if err == nil && (m == nil || m.Bounds().Dx()*m.Bounds().Dy() > 20<<20) {
			t.Errorf("picture of %v", m.Bounds())
		}
	})
}
