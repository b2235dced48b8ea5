package db

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName     = 100  // characters
	maxFileName = 200  // bytes
	maxText     = 1000 // characters
	maxURL      = 2000 // bytes
)

// cleanName returns a name without space around it, or what is wrong with it.
func cleanName(field, name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", wrong(field, "must not be empty")
	}
	return cleanText(field, name, maxName)
}

// cleanText returns a text without space around it; lines are kept, other control characters are refused.
func cleanText(field, text string, most int) (string, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && (r != '\n' || most == maxName)
	}) {
		return "", wrong(field, "has characters that cannot be shown")
	}
	if utf8.RuneCountInString(text) > most {
		return "", wrong(field, fmt.Sprintf("use at most %d characters", most))
	}
	return text, nil
}

// cleanFileName is cleanName for names that any file system takes.
func cleanFileName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "" || len(name) > maxFileName || !utf8.ValidString(name):
		return "", wrong("name", fmt.Sprintf("use 1 to %d bytes", maxFileName))
	case strings.HasPrefix(name, ".") || strings.HasSuffix(name, "."):
		return "", wrong("name", "must not begin or end with a dot")
	case strings.ContainsAny(name, `/\:*?"<>|`) || strings.ContainsFunc(name, unicode.IsControl):
		return "", wrong("name", `must not have any of / \ : * ? " < > |`)
	}
	return name, nil
}

// numbered is a name with a number: "a.jpg" becomes "a (2).jpg". It stays within most bytes.
func numbered(name string, n, most int) string {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 10 {
		stem, ext = name[:i], name[i:]
	}
	tail := fmt.Sprintf(" (%d)%s", n, ext)
	for len(stem)+len(tail) > most {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return stem + tail
}
