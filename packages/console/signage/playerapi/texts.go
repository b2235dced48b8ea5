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

// maxTexts bounds how many texts are kept as pictures; each has some 50 kB.
const maxTexts = 32

// textPicture is a text as a picture, for players that know files only.
type textPicture struct {
	id     uint64
	png    []byte
	sha256 string
}

// texts paints texts. The same text is the same picture, byte by byte.
type texts struct {
	mu    sync.Mutex
	of    map[uint64]textPicture // guarded by mu
	order []uint64               // the oldest first; guarded by mu
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

func (t *texts) byID(id uint64) (textPicture, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.of[id]
	return p, ok
}

// picture returns a text as a picture. One is painted at a time: it takes memory.
func (t *texts) picture(text, orientation string) (textPicture, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := textID(text, orientation)
	if p, ok := t.of[id]; ok {
		return p, nil
	}
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
	p := textPicture{id: id, png: b.Bytes(), sha256: hex.EncodeToString(sum[:])}
	if len(t.order) >= maxTexts {
		delete(t.of, t.order[0])
		t.order = t.order[1:]
	}
	t.of[id] = p
	t.order = append(t.order, id)
	return p, nil
}
