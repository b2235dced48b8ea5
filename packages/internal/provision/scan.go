package provision

import (
	"bytes"
	"iter"

	"github.com/pelletier/go-toml/v2/unstable"
)

// blank is what surrounds an expression on its line.
const blank = " \t\r"

// expression is a section header or a `key = value`, or a line that is neither.
type expression struct {
	// line counts from 1; raw is that first line.
	line int
	raw  []byte
	// start and end are where a key and its value lie in the text.
	start, end int
	kind       unstable.Kind // Table, ArrayTable, KeyValue, or Invalid for what cannot be read
	key        []string
	value      unstable.Kind
	text       string // of a String or Bool
	number     string // of an Integer
}

// scan yields the expressions of text one by one. After a line that cannot be read it goes on with the next one: the
// TOML parser alone would give up there.
func scan(text []byte) iter.Seq[expression] {
	return func(yield func(expression) bool) {
		var p unstable.Parser
		line := 1
		for off := 0; off < len(text); {
			e := expression{line: line, raw: firstLine(text[off:]), start: off}
			next := min(off+len(e.raw)+1, len(text))
			bare := bytes.Trim(e.raw, blank)
			// A comment in another encoding hurts nobody, so comments do not reach the parser.
			if len(bare) == 0 || bare[0] == '#' {
				off = next
				line++
				continue
			}
			p.Reset(text[off:])
			if p.NextExpression() {
				e.fill(&p, off)
				next = min(e.end+len(firstLine(text[e.end:]))+1, len(text))
			}
			if !yield(e) {
				return
			}
			line += max(1, bytes.Count(text[off:next], []byte("\n")))
			off = next
		}
	}
}

func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i]
	}
	return b
}

// fill takes over the parser's expression, which began looking at off.
func (e *expression) fill(p *unstable.Parser, off int) {
	n := p.Expression()
	e.kind = n.Kind
	last := unstable.Range{}
	for it := n.Key(); it.Next(); {
		e.key = append(e.key, string(it.Node().Data))
		last = it.Node().Raw
	}
	e.end = off + int(last.Offset+last.Length)
	if n.Kind == unstable.KeyValue {
		e.start = off + int(n.Raw.Offset)
		e.end = e.start + int(n.Raw.Length)
		e.value = n.Value().Kind
		switch e.value {
		case unstable.String, unstable.Bool:
			e.text = string(n.Value().Data)
		case unstable.Integer:
			e.number = string(n.Value().Data)
		}
	}
}
