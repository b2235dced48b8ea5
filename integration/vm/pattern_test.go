package vm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// code is a picture that a screendump tells from all others, whichever way it hangs: the colours of its four quarters, top left, top
// right, bottom left, bottom right.
type code string

// colours are those of a code's letters; K, black, is what shows through where a picture is transparent.
var colours = map[byte]color.NRGBA{
	'R': {255, 0, 0, 255}, 'G': {0, 255, 0, 255}, 'B': {0, 0, 255, 255}, 'Y': {255, 255, 0, 255}, 'C': {0, 255, 255, 255},
	'M': {255, 0, 255, 255}, 'W': {255, 255, 255, 255}, 'K': {},
}

// turned is the code of the picture turned clockwise by so many quarters.
func (c code) turned(quarters int) code {
	for range quarters {
		c = code([]byte{c[2], c[0], c[3], c[1]})
	}
	return c
}

// picture draws it.
func (c code) picture(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, colours[c[2*(2*y/h)+2*x/w]])
		}
	}
	return m
}

// png is it as a file.
func (c code) png(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, c.picture(w, h)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sideways is it as a photo of a camera that was held on its side: stored turned, and EXIF says by how much (orientation 6, to
// be turned clockwise; EXIF 2.32, 4.6.4).
func (c code) sideways(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, c.turned(3).picture(h, w), &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	tiff := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01"), 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0)
	exif := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(tiff)+2))
	return append(append(append(b.Bytes()[:2:2], exif...), tiff...), b.Bytes()[2:]...)
}

// encoded is what ffmpeg makes of it.
func (c code) encoded(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.png"), filepath.Join(dir, name)
	if err := os.WriteFile(in, c.png(t, 320, 200), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append(append([]string{"-v", "error", "-nostdin", "-y", "-i", in}, args...), out)
	if said, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v (Debian package ffmpeg): %v\n%s", args, err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// film is what ffmpeg makes of it, three seconds at five pictures a second: QEMU has to decode it.
func (c code) film(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	return c.encoded(t, name, append([]string{"-vf", "loop=loop=14:size=1,setpts=N/5/TB,format=yuv420p", "-r", "5"}, args...)...)
}

// grainy is it as a file that is large for its size.
func (c code) grainy(t *testing.T, w, h int) []byte {
	t.Helper()
	m := c.picture(w, h)
	for i := range m.Pix {
		if v := m.Pix[i]; i%4 != 3 && v == 255 {
			m.Pix[i] -= uint8(rand.N(40))
		} else if i%4 != 3 {
			m.Pix[i] += uint8(rand.N(40))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// hung is what somebody sees on a screen that hangs turned counterclockwise by so many quarters.
func hung(m image.Image, quarters int) image.Image {
	for range quarters {
		r := m.Bounds()
		out := image.NewRGBA(image.Rect(0, 0, r.Dy(), r.Dx()))
		for y := range r.Dy() {
			for x := range r.Dx() {
				out.Set(y, r.Dx()-1-x, m.At(r.Min.X+x, r.Min.Y+y))
			}
		}
		m = out
	}
	return m
}

// codeOn reads the code that fills the screen, or lies across its middle with black above and below; false if there is none.
func codeOn(img image.Image) (code, bool) {
	r := img.Bounds()
	if h := r.Dx() * 5 / 8; r.Dy() > r.Dx() {
		r.Min.Y += (r.Dy() - h) / 2
		r.Max.Y = r.Min.Y + h
	}
	found := make([]byte, 4)
	for q := range found {
		for _, dy := range []int{4, 25, 46} {
			for _, dx := range []int{4, 25, 46} {
				x, y := r.Min.X+r.Dx()*(dx+50*(q%2))/100, r.Min.Y+r.Dy()*(dy+50*(q/2))/100
				l := letter(color.RGBAModel.Convert(img.At(x, y)).(color.RGBA))
				if l == 0 || found[q] != 0 && found[q] != l {
					return "", false
				}
				found[q] = l
			}
		}
	}
	return code(found), true
}

// letter is the colour that c is about, 0 for none.
func letter(c color.RGBA) byte {
	is := func(v, want uint8) bool { return want == 255 && v > 160 || want == 0 && v < 90 }
	for l, want := range colours {
		if is(c.R, want.R) && is(c.G, want.G) && is(c.B, want.B) {
			return l
		}
	}
	return 0
}

// seen says what is on the screen: a code, "camera" (the demo clip), or "text" if one of the texts can be read there.
func seen(ctx context.Context, dir string, img image.Image, texts ...string) (string, error) {
	if c, ok := codeOn(img); ok && c != "KKKK" {
		return string(c), nil
	}
	if isDemo(img) == nil {
		return "camera", nil
	}
	read, err := readText(ctx, dir, img)
	if err != nil {
		return "", err
	}
	letters := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
	for _, text := range texts {
		if strings.Contains(letters(read), letters(text)) {
			return "text", nil
		}
	}
	return "", fmt.Errorf("nothing of the playlist is on the screen; what can be read there is %q", read)
}

// TestCodes: the codes are read as they were drawn, and nothing else is.
func TestCodes(t *testing.T) {
	for _, c := range []code{"RGBY", "GKMC", "WWWR"} {
		if got, ok := codeOn(c.picture(1280, 800)); !ok || got != c {
			t.Errorf("%s is read as %s", c, got)
		}
		m, err := jpeg.Decode(bytes.NewReader(c.sideways(t, 320, 200)))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := codeOn(hung(c.picture(800, 1280), 1)); !ok || got != c.turned(3) {
			t.Errorf("turned, %s is read as %s", c, got)
		}
		if m.Bounds().Dx() != 200 {
			t.Errorf("the photo of %s is stored as %v", c, m.Bounds())
		}
		if m, err = png.Decode(bytes.NewReader(c.grainy(t, 1000, 625))); err != nil {
			t.Fatal(err)
		}
		if got, ok := codeOn(m); c != "GKMC" && (!ok || got != c) {
			t.Errorf("grainy %s is read as %s", c, got)
		}
	}
	half := code("RGBY").picture(640, 400)
	for y := range 200 {
		for x := range 640 {
			half.Set(x, y, color.Black)
		}
	}
	if got, ok := codeOn(half); ok && got == "RGBY" {
		t.Error("half a picture is taken for a whole one")
	}
	if got, ok := codeOn(noisePicture(300)); ok {
		t.Errorf("noise is taken for %s", got)
	}
}
