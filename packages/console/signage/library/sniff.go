package library

import (
	"bytes"
	"encoding/binary"
	"strings"

	"porthole/packages/console/signage"
)

// format is a kind of file that is taken.
type format struct {
	name       string // as signage.Probe.Container has it
	mime       string
	kind       signage.MediaKind
	extensions []string // the first is the usual one
}

var formats = []format{
	{"jpeg", "image/jpeg", signage.Image, []string{"jpg", "jpeg", "jpe", "jfif"}},
	{"png", "image/png", signage.Image, []string{"png", "apng"}},
	{"gif", "image/gif", signage.Image, []string{"gif"}},
	{"webp", "image/webp", signage.Image, []string{"webp"}},
	{"bmp", "image/bmp", signage.Image, []string{"bmp", "dib"}},
	{"mp4", "video/mp4", signage.Video, []string{"mp4", "m4v", "3gp"}},
	{"mov", "video/quicktime", signage.Video, []string{"mov", "qt"}},
	{"matroska", "video/x-matroska", signage.Video, []string{"mkv"}},
	{"webm", "video/webm", signage.Video, []string{"webm"}},
	{"mpegts", "video/mp2t", signage.Video, []string{"ts", "m2ts", "mts"}},
	{"avi", "video/x-msvideo", signage.Video, []string{"avi"}},
}

// mediaExtensions are all of the formats' extensions.
var mediaExtensions = func() map[string]bool {
	m := map[string]bool{}
	for _, f := range formats {
		for _, e := range f.extensions {
			m[e] = true
		}
	}
	return m
}()

func formatOf(mime string) (format, bool) {
	for _, f := range formats {
		if f.mime == mime {
			return f, true
		}
	}
	return format{}, false
}

func named(name string) format {
	for _, f := range formats {
		if f.name == name {
			return f
		}
	}
	return format{}
}

// headSize is how much of a file sniff wants to see, in bytes.
const headSize = 4096

// sniff says what a file is by its first bytes, whatever it is called; what is not taken is a *Refusal that says what to do.
func sniff(head []byte) (format, error) {
	has := func(at int, s string) bool { return len(head) >= at+len(s) && string(head[at:at+len(s)]) == s }
	switch {
	case len(head) == 0:
		return format{}, refuse("The file is empty.")
	case has(0, "\xff\xd8\xff"):
		return named("jpeg"), nil
	case has(0, "\x89PNG\r\n\x1a\n"):
		return named("png"), nil
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return named("gif"), nil
	case has(0, "RIFF") && has(8, "WEBP"):
		return named("webp"), nil
	case has(0, "RIFF") && has(8, "AVI "):
		return named("avi"), nil
	case has(0, "BM") && len(head) >= 18 && head[15] == 0 && head[16] == 0 && head[17] == 0:
		// The second header's size, below 256 in all of its versions.
		return named("bmp"), nil
	case has(0, "\x1aE\xdf\xa3"):
		if strings.Contains(string(head[:min(len(head), 64)]), "webm") {
			return named("webm"), nil
		}
		return named("matroska"), nil
	case has(4, "ftyp"):
		return sniffBrands(head)
	case has(4, "moov"), has(4, "mdat"), has(4, "wide"), has(4, "free"), has(4, "skip"):
		// QuickTime from before there were brands.
		return named("mov"), nil
	case isTransportStream(head):
		return named("mpegts"), nil
	}
	return format{}, sniffOther(head)
}

// sniffBrands tells pictures from videos, both of which begin with a list of brands (ISO/IEC 14496-12 section 4.3).
func sniffBrands(head []byte) (format, error) {
	size := min(int(min(binary.BigEndian.Uint32(head), headSize)), len(head))
	var brands []string
	for at := 8; at+4 <= size; at += 4 {
		if at != 12 { // the minor version
			brands = append(brands, string(head[at:at+4]))
		}
	}
	if len(brands) == 0 {
		return format{}, refuse("The file is damaged: it ends after its first bytes. Copy it once more from where it comes.")
	}
	for _, b := range brands {
		switch b {
		case "avif", "avis":
			return format{}, refuse("This is an AVIF picture, which screens do not show. Export it as JPEG or PNG.")
		case "heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1":
			if brands[0] != "isom" && !strings.HasPrefix(brands[0], "mp4") && brands[0] != "qt  " {
				return format{}, refuse("Your phone saved this photo as HEIC, which screens do not show. Share or export it as JPEG " +
					"(on an iPhone: Settings, Camera, Formats, Most Compatible).")
			}
		}
	}
	switch brands[0] {
	case "qt  ":
		return named("mov"), nil
	case "M4A ", "M4B ", "M4P ":
		return format{}, refuse("This is sound without a picture. Screens show pictures and videos.")
	case "crx ":
		return format{}, refuse("This is a camera's raw photo. Export it as JPEG.")
	}
	return named("mp4"), nil
}

// isTransportStream looks for packets of 188 bytes, or 192 with a time before each as on discs (ISO/IEC 13818-1 section 2.4.3.2).
func isTransportStream(head []byte) bool {
	const sync, least = 0x47, 5
	for _, p := range []struct{ first, size int }{{0, 188}, {4, 192}} {
		n := 0
		for at := p.first; at < len(head) && head[at] == sync; at += p.size {
			n++
		}
		if n >= least || n > 0 && p.first+n*p.size >= len(head) && len(head) >= 2*p.size {
			return true
		}
	}
	return false
}

// known are files that people send by mistake, and what to do with them.
var known = []struct {
	at           int
	magic, words string
}{
	{0, "%PDF-", "This is a PDF, which screens do not show. Export its pages as PNG or JPEG."},
	{0, "II*\x00", "This is a TIFF picture or a camera's raw photo, which screens do not show. Export it as JPEG or PNG."},
	{0, "MM\x00*", "This is a TIFF picture or a camera's raw photo, which screens do not show. Export it as JPEG or PNG."},
	{0, "8BPS", "This is a Photoshop file. Export it as PNG or JPEG."},
	{0, "\xff\x0a", "This is a JPEG XL picture, which screens do not show. Export it as JPEG or PNG."},
	{0, "\x00\x00\x00\x0cJXL ", "This is a JPEG XL picture, which screens do not show. Export it as JPEG or PNG."},
	{0, "\x00\x00\x00\x0cjP  ", "This is a JPEG 2000 picture, which screens do not show. Export it as JPEG or PNG."},
	{0, "\xd0\xcf\x11\xe0", "This is an Office document. Export its pages as PNG or JPEG, or save it as a video."},
	{0, "Rar!", "This is an archive. Unpack it and upload the pictures and videos in it."},
	{0, "7z\xbc\xaf\x27\x1c", "This is an archive. Unpack it and upload the pictures and videos in it."},
	{0, "\x1f\x8b", "This is a compressed file. Unpack it and upload the pictures and videos in it."},
	{0, "\xfd7zXZ", "This is a compressed file. Unpack it and upload the pictures and videos in it."},
	{0, "BZh", "This is a compressed file. Unpack it and upload the pictures and videos in it."},
	{0, "ID3", "This is sound without a picture. Screens show pictures and videos."},
	{0, "\xff\xfb", "This is sound without a picture. Screens show pictures and videos."},
	{0, "OggS", "This is an Ogg file, which screens do not show. Convert it to MP4 with H.264."},
	{0, "fLaC", "This is sound without a picture. Screens show pictures and videos."},
	{0, "FLV\x01", "This is a Flash video, which screens do not show. Convert it to MP4 with H.264."},
	{0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", "This is a Windows Media video, which screens do not show. Convert it to MP4 with H.264."},
	{0, "\x00\x00\x01\xba", "This is an MPEG-1 or MPEG-2 video, as on DVDs, which screens do not show. Convert it to MP4 with H.264."},
	{0, "\x00\x00\x01\xb3", "This is an MPEG-1 or MPEG-2 video, which screens do not show. Convert it to MP4 with H.264."},
	{0, "\x7fELF", "This is a program."},
	{0, "MZ", "This is a program."},
}

// sniffOther says why a file is not taken.
func sniffOther(head []byte) error {
	if bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("PK\x05\x06")) {
		for _, s := range []string{"word/", "ppt/", "xl/", "[Content_Types].xml", "mimetypeapplication/vnd.oasis"} {
			if bytes.Contains(head, []byte(s)) {
				return refuse("This is an Office document. Export its pages as PNG or JPEG, or save it as a video.")
			}
		}
		return refuse("This is a zip archive. Unpack it and upload the pictures and videos in it.")
	}
	for _, k := range known {
		if len(head) >= k.at+len(k.magic) && string(head[k.at:k.at+len(k.magic)]) == k.magic {
			return refuse("%s", k.words)
		}
	}
	text := strings.ToLower(string(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")))
	switch {
	case strings.Contains(text, "<svg") && strings.HasPrefix(text, "<"):
		return refuse("This is an SVG drawing, which screens do not show. Export it as PNG.")
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"), strings.HasPrefix(text, "<script"), strings.HasPrefix(text, "<head"):
		return refuse("This is a web page, whatever it is called: something went wrong when it was downloaded. Save the picture or video itself.")
	case len(bytes.Trim(head, "\x00")) == 0:
		return refuse("The file holds nothing but zeros: it was not copied completely. Copy it once more from where it comes.")
	}
	return refuse("This is no picture or video that screens show. Export it as JPEG or PNG, or as MP4 with H.264.")
}
