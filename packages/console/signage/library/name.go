package library

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxName is the longest name, in bytes: with what db adds to make it unique it stays below the 255 of a file system.
const maxName = 200

// CleanName makes of what somebody calls a file a name that is safe in any folder, header and page: the last part of a path in
// either style, in Unicode's NFC, without control, formatting and direction characters and what file systems refuse, not
// hidden, at most 200 bytes, its extension kept. What is left of nothing is "file".
func CleanName(name string) string {
	name = norm.NFC.String(strings.ToValidUTF8(name, ""))
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	var b strings.Builder
	space := false
	for _, r := range name {
		switch {
		case unicode.IsSpace(r):
			space = true
			continue
		case r == '\u200d' || unicode.In(r, unicode.Variation_Selector):
			// What joins emoji, and how they look.
		case strings.ContainsRune(`<>:"|?*`, r), !unicode.IsGraphic(r), r == utf8.RuneError:
			continue
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	name = strings.TrimRight(strings.TrimLeft(norm.NFC.String(b.String()), ". -\u200d"), ". \u200d")
	if name == "" || isReserved(name) {
		name = "file" + extension(name)
	}
	return shorten(name)
}

// shorten cuts the stem, not the extension, between characters.
func shorten(name string) string {
	if len(name) <= maxName {
		return name
	}
	ext := extension(name)
	stem := strings.TrimSuffix(name, ext)
	at := maxName - len(ext)
	for at > 0 && !utf8.RuneStart(stem[at]) {
		at--
	}
	return norm.NFC.String(strings.TrimRight(stem[:at], ". \u200d")) + ext
}

// extension is that of a name, with its dot, if it looks like one.
func extension(name string) string {
	ext := path.Ext(name)
	if len(ext) < 2 || len(ext) > 8 {
		return ""
	}
	for _, r := range ext[1:] {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return ""
		}
	}
	return ext
}

// isReserved names devices of Windows (learn.microsoft.com, "Naming Files, Paths, and Namespaces"), where players may keep files.
func isReserved(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimSpace(stem)
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}

// withExtension gives a name the extension of what the file is, unless it has one of those: players go by it.
func withExtension(name, mime string) string {
	f, ok := formatOf(mime)
	if !ok {
		return name
	}
	have := strings.ToLower(strings.TrimPrefix(extension(name), "."))
	for _, e := range f.extensions {
		if have == e {
			return name
		}
	}
	if _, other := mediaExtensions[have]; other || have == "html" || have == "htm" || have == "svg" || have == "js" || have == "exe" {
		name = name[:len(name)-len(have)-1]
	}
	if name == "" {
		name = "file"
	}
	return shorten(name + "." + f.extensions[0])
}
