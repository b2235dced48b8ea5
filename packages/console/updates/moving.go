package updates

import (
	"errors"
	"io"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// moving is a body that gives its timer time with each byte that is taken.
type moving struct {
	r     io.Reader
	timer *time.Timer

	mu   sync.Mutex // the transport reads in a goroutine of its own
	left int64
	err  error // not io.EOF
}

func (m *moving) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	if m.left <= 0 {
		m.timer.Reset(readBackWithin)
	} else if n > 0 {
		m.timer.Reset(stallWithin)
	}
	return n, err
}

// failed is why no more could be read.
func (m *moving) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// sentence begins with a capital letter and ends with a stop.
func sentence(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return text
	}
	text = string(unicode.ToUpper(first)) + text[n:]
	if last, _ := utf8.DecodeLastRuneInString(text); !unicode.IsPunct(last) {
		text += "."
	}
	return text
}
