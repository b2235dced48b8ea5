package provision

import (
	"cmp"
	"slices"
)

// Redact returns the contents of a porthole.toml without the secrets that Parse takes from it: a line that sets one
// becomes a comment, and credentials leave a camera's URL. Lines that Parse refuses stay, for their owner to mend. The
// result is UTF-8; changed is false when there was no secret.
func Redact(b []byte) (out []byte, changed bool) {
	r := read(b)
	if len(r.redact) == 0 {
		return b, false
	}
	slices.SortFunc(r.redact, func(a, b replacement) int { return cmp.Compare(a.start, b.start) })
	text := decode(b)
	at := 0
	for _, p := range r.redact {
		out = append(out, text[at:p.start]...)
		out = append(out, p.text...)
		at = p.end
	}
	return append(out, text[at:]...), true
}
