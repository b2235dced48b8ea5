package library_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/bmp"

	"porthole/media/decode/decodetest"
	"porthole/packages/console/signage"
)

// withExif puts an Exif segment that says how to turn it behind a JPEG's first marker.
func withExif(jpg []byte, turn uint16) []byte {
	order := binary.BigEndian
	tiff := order.AppendUint32([]byte("MM\x00*"), 8)
	tiff = order.AppendUint16(tiff, 1)
	for _, v := range []uint16{0x0112, 3} {
		tiff = order.AppendUint16(tiff, v)
	}
	tiff = order.AppendUint32(tiff, 1)
	tiff = order.AppendUint16(tiff, turn)
	tiff = order.AppendUint16(tiff, 0)
	segment := append([]byte("Exif\x00\x00"), tiff...)
	out := append(slices.Clone(jpg[:2]), 0xff, 0xe1)
	out = order.AppendUint16(out, uint16(len(segment)+2))
	return append(append(out, segment...), jpg[2:]...)
}

func gifOf(t testing.TB, frames int) []byte {
	t.Helper()
	g := &gif.GIF{}
	for range frames {
		m := image.NewPaletted(image.Rect(0, 0, 16, 16), color.Palette{color.Black, color.White})
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 1)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestPictures: what a picture is, whatever it is called.
func TestPictures(t *testing.T) {
	s := newShelf(t)
	clear := picture(64, 48)
	clear.SetRGBA(5, 5, color.RGBA{})
	var bm bytes.Buffer
	if err := bmp.Encode(&bm, picture(64, 48)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sent, name string
		content    []byte
		want       signage.Media
	}{
		{"a.JPG", "a.JPG", jpegOf(t, picture(64, 48)), signage.Media{Kind: "image", MIME: "image/jpeg", Width: 64, Height: 48, Probe: signage.Probe{Container: "jpeg", Codec: "jpeg", BitDepth: 8}}},
		{"turned.html", "turned.jpg", withExif(jpegOf(t, picture(64, 48)), 6), signage.Media{Kind: "image", MIME: "image/jpeg", Width: 48, Height: 64, Probe: signage.Probe{Container: "jpeg", Codec: "jpeg", BitDepth: 8, Rotation: 90}}},
		{"b.mp4", "b.png", pngOf(t, clear), signage.Media{Kind: "image", MIME: "image/png", Width: 64, Height: 48, Probe: signage.Probe{Container: "png", Codec: "png", BitDepth: 8, Alpha: true}}},
		{"c", "c.gif", gifOf(t, 3), signage.Media{Kind: "image", MIME: "image/gif", Width: 16, Height: 16, Probe: signage.Probe{Container: "gif", Codec: "gif", BitDepth: 8, Animated: true}}},
		{"d.exe", "d.gif", gifOf(t, 1), signage.Media{Kind: "image", MIME: "image/gif", Width: 16, Height: 16, Probe: signage.Probe{Container: "gif", Codec: "gif", BitDepth: 8}}},
		{"e.bmp", "e.bmp", bm.Bytes(), signage.Media{Kind: "image", MIME: "image/bmp", Width: 64, Height: 48, Probe: signage.Probe{Container: "bmp", Codec: "bmp", BitDepth: 8}}},
		{"f.webp", "f.webp", clip(t, "f.webp", "-f", "lavfi", "-i", "color=red:s=64x48", "-frames:v", "1"), signage.Media{Kind: "image", MIME: "image/webp", Width: 64, Height: 48, Probe: signage.Probe{Container: "webp", Codec: "webp", BitDepth: 8}}},
	} {
		t.Run(c.sent, func(t *testing.T) {
			m, err := s.add(c.sent, c.content)
			if err != nil {
				t.Fatal(err)
			}
			if m.Name != c.name || m.By != "anna" || m.SizeBytes != int64(len(c.content)) || m.Version != 1 || m.Created.IsZero() {
				t.Errorf("%+v", m)
			}
			got := signage.Media{Kind: m.Kind, MIME: m.MIME, Width: m.Width, Height: m.Height, Probe: m.Probe}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if !bytes.Equal(s.content(m.SHA256), c.content) {
				t.Error("the stored content differs")
			}
		})
	}
}

// TestVideos: what a video is, by its content.
func TestVideos(t *testing.T) {
	s := newShelf(t)
	card := testCard(320, 180)
	sound := append([]string{"-f", "lavfi", "-i", "sine=d=1"}, card...)
	for _, c := range []struct {
		name string
		args []string
		want signage.Media
	}{
		{"a.mp4", append(sound, "-c:v", "libx264", "-level", "4.1", "-c:a", "aac"), signage.Media{MIME: "video/mp4", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "mp4", Codec: "h264", Profile: "High", Level: "4.1", FPS: 25, BitDepth: 8, Audio: "aac"}}},
		{"a.mov", append(card, "-c:v", "libx264", "-level", "3.0", "-pix_fmt", "yuv420p10le"), signage.Media{MIME: "video/quicktime", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "mov", Codec: "h264", Profile: "High 10", Level: "3.0", FPS: 25, BitDepth: 10}}},
		{"a.mkv", append(card, "-c:v", "libx265", "-x265-params", "log-level=0:level-idc=5.1"), signage.Media{MIME: "video/x-matroska", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "matroska", Codec: "hevc", Profile: "Main", Level: "5.1", FPS: 25, BitDepth: 8}}},
		{"a.webm", append(card, "-vf", "format=yuva420p", "-c:v", "libvpx-vp9", "-deadline", "realtime"), signage.Media{MIME: "video/webm", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "webm", Codec: "vp9", Profile: "Profile 0", FPS: 25, BitDepth: 8, Alpha: true}}},
		{"a.ts", append(card, "-c:v", "libx264", "-level", "3.1"), signage.Media{MIME: "video/mp2t", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "mpegts", Codec: "h264", Profile: "High", Level: "3.1", FPS: 25, BitDepth: 8}}},
		{"a.avi", append(card, "-c:v", "mpeg4"), signage.Media{MIME: "video/x-msvideo", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "avi", Codec: "mpeg4", Profile: "Simple Profile", FPS: 25, BitDepth: 8}}},
		{"wide.mp4", append(card, "-c:v", "libx264", "-level", "3.0", "-vf", "setsar=2/1"), signage.Media{MIME: "video/mp4", Width: 640, Height: 180,
			Probe: signage.Probe{Container: "mp4", Codec: "h264", Profile: "High", Level: "3.0", FPS: 25, BitDepth: 8}}},
		{"endless.webm", append(card, "-c:v", "libvpx", "-deadline", "realtime", "-live", "1"), signage.Media{MIME: "video/webm", Width: 320, Height: 180,
			Probe: signage.Probe{Container: "webm", Codec: "vp8", FPS: 25, BitDepth: 8}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := s.add("no name of a video", clip(t, c.name, c.args...))
			if err != nil {
				t.Fatal(err)
			}
			if d := (m.Duration - time.Second).Abs(); d > 100*time.Millisecond {
				t.Errorf("it lasts %v", m.Duration)
			}
			got := signage.Media{MIME: m.MIME, Width: m.Width, Height: m.Height, Probe: m.Probe}
			c.want.Probe.Animated = true
			if d := cmp.Diff(c.want, got); d != "" || m.Kind != signage.Video {
				t.Errorf("kind %s\n%s", m.Kind, d)
			}
			if b, real := s.Thumb(t.Context(), m); !real || len(b) < 500 {
				t.Errorf("thumbnail: %v, %d bytes", real, len(b))
			}
		})
	}
}

// TestThumbnails: upright, 320 wide, of a video from its middle.
func TestThumbnails(t *testing.T) {
	s := newShelf(t)
	thumb := func(m signage.Media) image.Image {
		t.Helper()
		b, real := s.Thumb(t.Context(), m)
		if !real {
			t.Fatal("a placeholder")
		}
		p, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	upright := []string{"rgbw", "rgbw", "grwb", "wbgr", "bwrg", "rbgw", "brwg", "wgbr", "gwrb"}
	for turn := 1; turn <= 8; turn++ {
		p := thumb(s.mustAdd("turned.jpg", withExif(jpegOf(t, picture(800, 600)), uint16(turn))))
		size := image.Pt(320, 240)
		if turn >= 5 {
			size = image.Pt(320, 426)
		}
		if got := corners(p); got != upright[turn] || p.Bounds().Size() != size {
			t.Errorf("orientation %d: %s, %v", turn, got, p.Bounds())
		}
	}
	// A photo that is too large to be decoded by console itself goes to the child.
	large := s.mustAdd("large.jpg", withExif(jpegOf(t, picture(6000, 4000)), 6))
	if p := thumb(large); corners(p) != "brwg" || p.Bounds().Size() != image.Pt(320, 480) || large.Width != 4000 {
		t.Errorf("large photo: %s, %v, %d×%d", corners(p), p.Bounds(), large.Width, large.Height)
	}
	// Half a second black, then red; and turned by its file.
	m := s.mustAdd("late.mp4", clip(t, "late.mp4", "-f", "lavfi", "-i", "color=black:s=64x36:r=25:d=0.4", "-f", "lavfi", "-i", "color=red:s=64x36:r=25:d=9.6",
		"-filter_complex", "[0][1]concat", "-c:v", "libx264", "-g", "5", "-pix_fmt", "yuv420p"))
	if r, g, _, _ := thumb(m).At(20, 10).RGBA(); r < 0xc000 || g > 0x4000 {
		t.Errorf("the thumbnail is the first picture, not one from the middle: %x %x", r, g)
	}
	// A phone held upright films lying pictures and says so.
	plain := decodetest.Clip(t, "plain.mp4", "-f", "lavfi", "-i", "color=red:s=160x90:r=25:d=1", "-f", "lavfi", "-i", "color=blue:s=160x90:r=25:d=1",
		"-filter_complex", "[0][1]hstack", "-c:v", "libx264", "-pix_fmt", "yuv420p")
	phone := s.mustAdd("phone.mov", clip(t, "phone.mov", "-i", plain, "-c", "copy", "-metadata:s:v:0", "rotate=-90")) // FFmpeg counts counterclockwise
	p := thumb(phone)
	if phone.Width != 90 || phone.Height != 320 || phone.Probe.Rotation != 90 || p.Bounds().Dy() < 3*p.Bounds().Dx() {
		t.Errorf("%d×%d, turned by %d, thumbnail %v", phone.Width, phone.Height, phone.Probe.Rotation, p.Bounds())
	}
	if top, _, _, _ := p.At(40, 10).RGBA(); top < 0xc000 {
		t.Error("the thumbnail is upside down")
	}
	// Lost ones come again.
	before, _ := s.Thumb(t.Context(), m)
	s.lose("thumbs/" + m.SHA256 + ".jpg")
	if after, real := s.Thumb(t.Context(), m); !real || !bytes.Equal(before, after) || !slices.Contains(s.files("thumbs"), m.SHA256+".jpg") {
		t.Error("the lost thumbnail did not come again")
	}
	// Without the file there is a placeholder.
	s.lose("thumbs/" + m.SHA256 + ".jpg")
	s.lose("media/" + m.SHA256)
	if b, real := s.Thumb(t.Context(), m); real || len(b) == 0 {
		t.Error("no placeholder")
	}
}

// TestRefusals: what is not taken, in words that say what to do; nothing of it stays.
func TestRefusals(t *testing.T) {
	s := newShelf(t)
	card := testCard(320, 180)
	mp4 := clip(t, "a.mp4", append(card, "-c:v", "libx264")...)
	mkv := clip(t, "a.mkv", append(card, "-c:v", "libx264")...)
	photo := jpegOf(t, picture(640, 480))
	ftyp := func(brands string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(8+len(brands))), "ftyp"+brands+strings.Repeat("x", 100)...)
	}
	for name, c := range map[string]struct {
		content []byte
		words   string
	}{
		"empty":           {nil, "empty"},
		"page.jpg":        {[]byte("<!DOCTYPE html><title>404</title>"), "web page"},
		"script.jpg":      {[]byte("<script>alert(1)</script>"), "web page"},
		"drawing.svg":     {[]byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>`), "Export it as PNG"},
		"a.pdf":           {[]byte("%PDF-1.7\n"), "Export its pages as PNG or JPEG"},
		"a.zip":           {[]byte("PK\x03\x04\x14\x00\x00\x00\x08\x00pictures/a.jpg"), "Unpack it"},
		"a.docx":          {[]byte("PK\x03\x04\x14\x00\x06\x00\x08\x00[Content_Types].xml"), "Office"},
		"a.heic":          {ftyp("heic\x00\x00\x00\x00mif1heic"), "Your phone saved this photo as HEIC"},
		"a.avif":          {ftyp("avif\x00\x00\x00\x00avifmif1"), "AVIF"},
		"a.tif":           {[]byte("II*\x00\x08\x00\x00\x00"), "TIFF"},
		"zeros":           {make([]byte, 5000), "zeros"},
		"words.mp4":       {[]byte("hello, I am a video"), "no picture or video"},
		"cut.jpg":         {photo[:len(photo)/2], "incomplete"},
		"cut.png":         {pngOf(t, picture(640, 480))[:900], "incomplete"},
		"broken.png":      {append(slices.Clone(pngOf(t, picture(64, 48))[:60]), bytes.Repeat([]byte{7}, 300)...), "damaged"},
		"cut.mp4":         {mp4[:len(mp4)*2/3], "missing"},
		"cut.mkv":         {mkv[:len(mkv)*2/3], "missing"},
		"sound.mp4":       {clip(t, "sound.mp4", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac"), "sound without a picture"},
		"sound.m4a":       {clip(t, "sound.m4a", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac"), "sound without a picture"},
		"pro.mov":         {clip(t, "pro.mov", append(card, "-c:v", "prores")...), "ProRes"},
		"old.ts":          {clip(t, "old.ts", append(card, "-c:v", "mpeg2video")...), "MPEG-2"},
		"av1.mp4":         {clip(t, "av1.mp4", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=5:d=0.4", "-c:v", "libaom-av1", "-cpu-used", "8"), "AV1"},
		"moving.webp":     {clip(t, "moving.webp", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=5:d=1"), "moving WebP"},
		"garbage.mp4":     {slices.Concat(mp4[:60], bytes.Repeat([]byte("\x00\x00\x10\x00zzzz"), 40)), ""},
		"garbage.ts":      {bytes.Repeat(append([]byte{0x47}, make([]byte, 187)...), 200), "no video"},
		"no end.mp4":      {withoutBox(mp4, "moov"), "never finished"},
		"half a video.ts": {bytes.Repeat(append([]byte{0x47, 0x40, 0x00, 0x10}, bytes.Repeat([]byte{0xff}, 184)...), 30), "no video"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := s.add(name, c.content)
			if err == nil {
				t.Fatalf("taken as %+v", m)
			}
			reason := refusal(t, err)
			if !strings.Contains(reason, c.words) || !strings.HasSuffix(reason, ".") && !strings.HasSuffix(reason, ")") {
				t.Errorf("%q does not say %q", reason, c.words)
			}
		})
	}
	if n := len(s.files("media")) + len(s.files("thumbs")) + len(s.files("uploads")) + len(s.index.all()); n != 0 {
		t.Errorf("%d files or media are left", n)
	}
}
