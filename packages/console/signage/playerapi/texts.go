package playerapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/png"
	"strings"
	"sync"

	"porthole/media/render"
	"porthole/packages/internal/program"
)

const (
	// maxTexts bounds how many texts are kept as pictures; each has some 50 kB.
	maxTexts = 32
	// maxKnownTexts bounds how many are known without their picture, so that a long playlist is not painted with every poll.
	maxKnownTexts = 8192
)

// textPicture is a text as a picture, for players that know files only.
type textPicture struct {
	id     uint64
	sha256 string
	size   int64
	png    []byte // nil when it has to be painted again
}

// texts paints texts. The same text is the same picture, byte by byte.
type texts struct {
	mu    sync.Mutex
	of    map[uint64]textPicture // guarded by mu
	order []uint64               // those with a picture, the oldest first; guarded by mu
}

func newTexts() *texts { return &texts{of: map[uint64]textPicture{}} }

// textID names a text on a screen of that orientation.
func textID(text, orientation string) uint64 {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%t %s", isPortrait(orientation), text)))
	return binary.BigEndian.Uint64(sum[:])
}

func isPortrait(orientation string) bool { return strings.HasPrefix(orientation, "portrait") }

// textOf returns the text with that id, if it stands in the program.
func textOf(p program.Program, orientation string, id uint64) (string, bool) {
	for _, i := range p.Interrupts {
		if i.Text != "" && textID(i.Text, orientation) == id {
			return i.Text, true
		}
	}
	for _, list := range p.Playlists {
		for _, i := range list.Items {
			if i.Text != "" && textID(i.Text, orientation) == id {
				return i.Text, true
			}
		}
	}
	return "", false
}

// byID returns a picture that is kept.
func (t *texts) byID(id uint64) (textPicture, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.of[id]
	return p, p.png != nil
}

// facts returns what is known of a text's picture; it may come without the picture.
func (t *texts) facts(text, orientation string) (textPicture, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.of[textID(text, orientation)]; ok {
		return p, nil
	}
	return t.paint(text, orientation)
}

// picture returns a text as a picture.
func (t *texts) picture(text, orientation string) (textPicture, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.of[textID(text, orientation)]; p.png != nil {
		return p, nil
	}
	return t.paint(text, orientation)
}

// paint paints a text and keeps its picture. The caller holds mu: one is painted at a time, as that takes memory.
func (t *texts) paint(text, orientation string) (textPicture, error) {
	w, h := 1920, 1080
	if isPortrait(orientation) {
		w, h = h, w
	}
	painted := render.NewImage(w, h)
	render.Text(painted, painted.Rect, text)
	gray := image.NewGray(painted.Rect)
	for y := range h {
		for x := range w {
			gray.Set(x, y, painted.At(x, y))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, gray); err != nil {
		return textPicture{}, fmt.Errorf("encode text as picture: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	p := textPicture{id: textID(text, orientation), png: b.Bytes(), sha256: hex.EncodeToString(sum[:]), size: int64(b.Len())}
	if len(t.of) >= maxKnownTexts {
		clear(t.of)
		t.order = nil
	}
	if len(t.order) >= maxTexts {
		oldest := t.of[t.order[0]]
		oldest.png = nil
		t.of[oldest.id] = oldest
		t.order = t.order[1:]
	}
	t.of[p.id] = p
	t.order = append(t.order, p.id)
	return p, nil
}
