package library_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/library"
)

// pngClaiming is a PNG whose header says any size; its data are those of a small one.
func pngClaiming(t testing.TB, w, h uint32) []byte {
	b := pngOf(t, picture(8, 8))
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

// jpegClaiming is a JPEG whose header says any size.
func jpegClaiming(t testing.TB, w, h uint16) []byte {
	b := jpegOf(t, picture(16, 16))
	at := bytes.Index(b, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(b[at+5:], h)
	binary.BigEndian.PutUint16(b[at+7:], w)
	return b
}

func gifClaiming(t testing.TB, w, h uint16) []byte {
	b := gifOf(t, 1)
	binary.LittleEndian.PutUint16(b[6:], w)
	binary.LittleEndian.PutUint16(b[8:], h)
	return b
}

// allocated is how many bytes f allocates in this process.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestBombs: files that would take far more memory than they have bytes are refused by what their headers say.
func TestBombs(t *testing.T) {
	s := newShelf(t)
	mp4 := clip(t, "a.mp4", append(testCard(64, 64), "-c:v", "libx264")...)
	poke := func(b []byte, kind string, at int, v ...byte) []byte {
		b = slices.Clone(b)
		i := bytes.Index(b, []byte(kind))
		if i < 0 {
			t.Fatalf("no %s", kind)
		}
		copy(b[i+at:], v)
		return b
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	for name, c := range map[string]struct {
		content []byte
		words   string
	}{
		"30000 × 30000 PNG":            {pngClaiming(t, 30000, 30000), "too large"},
		"2^31 PNG":                     {pngClaiming(t, 1<<31-1, 1<<31-1), ""},
		"100 megapixel PNG":            {pngClaiming(t, 10000, 10000), "100 megapixels"},
		"100 megapixel JPEG":           {jpegClaiming(t, 10000, 10000), "100 megapixels"},
		"65535 × 65535 JPEG":           {jpegClaiming(t, 65535, 65535), "too large"},
		"20000 × 20000 GIF":            {gifClaiming(t, 20000, 20000), "too large"},
		"a long thin PNG":              {pngClaiming(t, 400_000, 10), "too large"},
		"an MP4 that lasts for ever":   {poke(mp4, "mvhd", 4+4+4+4+4, 0x7f, 0xff, 0xff, 0xff), "more than 24 hours"},
		"an MP4 box larger than disks": {poke(mp4, "mdat", -4, huge...), "missing"},
		"an MP4 with a huge index":     {poke(mp4, "moov", -4, huge...), ""},
		"an MP4 with a box of 2^63":    {slices.Concat([]byte("\x00\x00\x00\x10ftypmp42\x00\x00\x00\x00"), []byte("\x00\x00\x00\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff")), "damaged"},
		"an MP4 of nothing but boxes":  {slices.Concat([]byte("\x00\x00\x00\x10ftypmp42\x00\x00\x00\x00"), bytes.Repeat([]byte("\x00\x00\x00\x08free"), 300_000)), "too many parts"},
		"boxes in boxes":               {slices.Concat([]byte("\x00\x00\x00\x10ftypmp42\x00\x00\x00\x00"), nested(100_000)), "damaged"},
		"an MKV that says 2^46 bytes":  {[]byte("\x1aE\xdf\xa3\x80\x18\x53\x80\x67\x01\x40\x00\x00\x00\x00\x00\x00"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			n := allocated(func() { _, err = s.add(name, c.content) })
			if reason := refusal(t, err); !strings.Contains(reason, c.words) {
				t.Errorf("%q does not say %q", reason, c.words)
			}
			// The file itself, buffers for it, the child's answers; a picture of what it claims would be hundreds of MB.
			if n > 24<<20 {
				t.Errorf("%d MB were allocated for a file of %d bytes", n>>20, len(c.content))
			}
		})
	}
}

// nested is a moov box in which boxes lie in each other as deep as wanted.
func nested(depth int) []byte {
	var b []byte
	for i := range depth {
		kind := "trak"
		if i == 0 {
			kind = "moov"
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(8*(depth-i))), kind...)
	}
	return b
}

// TestLargeButHonest: pictures up to the stated limits are taken, within bounded memory.
func TestLargeButHonest(t *testing.T) {
	s := newShelf(t)
	m := image.NewGray(image.Rect(0, 0, 5000, 3900)) // 19.5 megapixels
	n := allocated(func() {
		if got := s.mustAdd("large.png", pngOf(t, m)); got.Width != 5000 {
			t.Errorf("%+v", got)
		}
	})
	if n > 96<<20 {
		t.Errorf("%d MB for a grey picture of 19.5 megapixels", n>>20)
	}
	deep := image.NewNRGBA64(image.Rect(0, 0, 4000, 4000)) // 128 MB decoded
	if _, err := s.add("deep.png", pngOf(t, deep)); err == nil || !strings.Contains(refusal(t, err), "too much memory") {
		t.Errorf("16 bits a colour: %v", err)
	}
}

// TestManyFrames: ten thousand pictures in a GIF cost no more than one.
func TestManyFrames(t *testing.T) {
	s := newShelf(t)
	b := gifOf(t, 10_000)
	n := allocated(func() {
		if m := s.mustAdd("busy.gif", b); !m.Probe.Animated {
			t.Errorf("%+v", m)
		}
	})
	if n > 24<<20 {
		t.Errorf("%d MB", n>>20)
	}
}

// TestPolyglots: what is a picture and something else too is served as the picture, and nothing in it can run.
func TestPolyglots(t *testing.T) {
	s := newShelf(t)
	jpg, zip := jpegOf(t, picture(32, 32)), "PK\x03\x04\x14\x00\x00\x00\x08\x00"
	comment := slices.Concat(jpg[:2], []byte("\xff\xfe\x00\x33<html><script>alert(document.domain)</script></html>")[:4+0x31], jpg[2:])
	for _, c := range []struct {
		name string
		b    []byte
		mime string
	}{
		{"a.html", comment, "image/jpeg"},
		{"a.jpg.php", slices.Concat(jpg, []byte("<?php system($_GET['c']); ?>")), "image/jpeg"},
		{"a.zip", slices.Concat(jpg, []byte(zip)), "image/jpeg"},
		{"a.js", slices.Concat(gifOf(t, 1), []byte("/*\"*/=1;alert(1)//")), "image/gif"},
		{"../../etc/passwd", jpg, "image/jpeg"},
		{"C:\\x\u202egpj.exe", jpg, "image/jpeg"},
		{"a\x00\r\nSet-Cookie: x=y\r\n.jpg", jpg, "image/jpeg"},
		{"quote\"; filename=\"evil.html.jpg", jpg, "image/jpeg"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := s.mustAdd(c.name, c.b)
			if strings.ContainsAny(m.Name, "/\\\x00\r\n\"\u202e") {
				t.Errorf("name %q", m.Name)
			}
			w := httptest.NewRecorder()
			s.ServeFile(w, httptest.NewRequest("GET", "/media/1/file", nil), m)
			h := w.Result().Header
			if w.Code != 200 || h.Get("Content-Type") != c.mime || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "sandbox" ||
				!strings.HasPrefix(h.Get("Content-Disposition"), "inline;") || len(h["Content-Disposition"]) != 1 || h.Get("Set-Cookie") != "" || !bytes.Equal(w.Body.Bytes(), c.b) {
				t.Errorf("%d %v", w.Code, h)
			}
		})
	}
	// What somebody managed to get into the database as anything else is no page either.
	w := httptest.NewRecorder()
	m := s.index.all()[0]
	m.MIME = "text/html"
	s.ServeFile(w, httptest.NewRequest("GET", "/media/1/file", nil), m)
	if h := w.Result().Header; h.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("%v", h)
	}
}

// TestServe: ranges, conditions, HEAD, and what is said when the file has gone.
func TestServe(t *testing.T) {
	s := newShelf(t)
	b := padded(t, 100_000)
	m := s.mustAdd("a.jpg", b)
	get := func(method string, headers ...string) *http.Response {
		r := httptest.NewRequest(method, "/media/1/file", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeFile(w, r, m)
		return w.Result()
	}
	etag := fmt.Sprintf("%q", m.SHA256)
	for _, c := range []struct {
		res    *http.Response
		status int
		length int64
	}{
		{get("GET"), 200, 100_000},
		{get("HEAD"), 200, 100_000},
		{get("GET", "Range", "bytes=10-19"), 206, 10},
		{get("GET", "Range", "bytes=-5"), 206, 5},
		{get("GET", "Range", "bytes=10-19", "If-Range", etag), 206, 10},
		{get("GET", "Range", "bytes=10-19", "If-Range", `"other"`), 200, 100_000},
		{get("GET", "Range", "bytes=100000-"), 416, -1},
		{get("GET", "If-None-Match", etag), 304, -1},
	} {
		if c.res.StatusCode != c.status || c.length >= 0 && c.res.ContentLength != c.length || c.status != 416 && c.res.Header.Get("ETag") != etag {
			t.Errorf("%s, length %d, want %d and %d", c.res.Status, c.res.ContentLength, c.status, c.length)
		}
	}
	if cache := get("GET").Header.Get("Cache-Control"); !strings.Contains(cache, "immutable") || !strings.Contains(cache, "private") {
		t.Errorf("cache %q", cache)
	}
	w := httptest.NewRecorder()
	s.ServeThumb(w, httptest.NewRequest("GET", "/media/1/thumb.jpg", nil), m)
	if h := w.Result().Header; w.Code != 200 || h.Get("Content-Type") != "image/jpeg" || !strings.Contains(h.Get("Cache-Control"), "immutable") {
		t.Errorf("thumbnail: %d %v", w.Code, h)
	}
	s.lose("media/" + m.SHA256)
	s.lose("thumbs/" + m.SHA256 + ".jpg")
	if res := get("GET"); res.StatusCode != 404 || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("without its file: %s", res.Status)
	}
	if p := s.Problems(); len(p) != 1 || !strings.Contains(p[0], "not there any more") {
		t.Errorf("problems %q", p)
	}
	w = httptest.NewRecorder()
	s.ServeThumb(w, httptest.NewRequest("GET", "/media/1/thumb.jpg", nil), m)
	if w.Code != 200 || w.Result().Header.Get("Cache-Control") != "no-store" || w.Body.Len() == 0 {
		t.Errorf("placeholder: %d %v", w.Code, w.Result().Header)
	}
}

func TestBoards(t *testing.T) {
	video := func(codec string, w, h int, fps float64, depth int) signage.Media {
		return signage.Media{Kind: signage.Video, Width: w, Height: h, Probe: signage.Probe{Codec: codec, FPS: fps, BitDepth: depth}}
	}
	for _, c := range []struct {
		m    signage.Media
		want string // for Zero 2 W, 3, 4, 5: y plays, t tight, n not
	}{
		{video("h264", 1280, 720, 24, 8), "tyyy"},
		{video("h264", 1280, 720, 30, 8), "tyyy"},
		{video("h264", 1920, 1080, 24, 8), "ntyy"},
		{video("h264", 1920, 1080, 30, 8), "ntyy"},
		{video("h264", 1080, 1920, 30, 8), "ntyy"},
		{video("h264", 1920, 1080, 60, 8), "nnty"},
		{video("h264", 3840, 2160, 30, 8), "nnnt"},
		{video("hevc", 1920, 1080, 30, 8), "nnyy"},
		{video("hevc", 1920, 1080, 30, 10), "nnny"},
		{video("vp9", 3840, 2160, 60, 8), "nnnn"},
		{video("av1", 640, 360, 25, 8), "nnnn"},
		{video("h264", 640, 360, 0, 8), "yyyy"},
		{signage.Media{Kind: signage.Image, Width: 1920, Height: 1080}, "yyyy"},
		{signage.Media{Kind: signage.Image, Width: 8000, Height: 6000}, "ttyy"},
	} {
		got := ""
		for _, v := range library.Boards(c.m) {
			switch {
			case v.OK && v.Tight:
				got += "t"
			case v.OK:
				got += "y"
			default:
				got += "n"
			}
			if !strings.HasPrefix(v.Why, v.Board+": ") || !strings.HasSuffix(v.Why, ".") || !v.OK && !strings.Contains(v.Why, "H.264") {
				t.Errorf("%+v", v)
			}
		}
		if got != c.want {
			t.Errorf("%s %d×%d %v, %d bits: %s, want %s", c.m.Probe.Codec, c.m.Width, c.m.Height, c.m.Probe.FPS, c.m.Probe.BitDepth, got, c.want)
		}
	}
}
