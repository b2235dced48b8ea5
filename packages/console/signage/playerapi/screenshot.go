package playerapi

import (
	"bytes"
	"image/jpeg"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"
)

const (
	// maxPicture bounds a picture of a screen, in bytes, maxPictures all of them together.
	maxPicture  = 4 << 20
	maxPictures = 24 << 20
	maxSide     = 8192 // pixels
)

// pictures holds the last picture of each screen, as many as fit.
type pictures struct {
	mu    sync.Mutex
	of    map[int64]picture // guarded by mu
	bytes int               // guarded by mu
}

type picture struct {
	jpeg []byte
	at   time.Time
}

func newPictures() *pictures { return &pictures{of: map[int64]picture{}} }

func (p *pictures) put(id int64, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(id)
	for p.bytes+len(b) > maxPictures {
		var oldest int64
		for id, have := range p.of {
			if o, ok := p.of[oldest]; !ok || have.at.Before(o.at) {
				oldest = id
			}
		}
		p.drop(oldest)
	}
	p.of[id] = picture{b, time.Now()}
	p.bytes += len(b)
}

func (p *pictures) drop(id int64) {
	p.bytes -= len(p.of[id].jpeg)
	delete(p.of, id)
}

// Screenshot returns the last picture of a screen, a JPEG, and when it came; nil when there is none. The caller must not
// change it.
func (a *API) Screenshot(id int64) ([]byte, time.Time) {
	a.pictures.mu.Lock()
	defer a.pictures.mu.Unlock()
	p := a.pictures.of[id]
	return p.jpeg, p.at
}

// screenshot is POST /api/players/{id}/screenshot.
func (a *API) screenshot(w http.ResponseWriter, r *http.Request) error {
	c, err := a.self(r, tells)
	if err != nil {
		return err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "image/jpeg" {
		return &problem{status: http.StatusUnsupportedMediaType, text: "send the picture as image/jpeg"}
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPicture))
	if err != nil {
		return unreadable(err)
	}
	head, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil || head.Width < 1 || head.Height < 1 || head.Width > maxSide || head.Height > maxSide {
		return bad("this is no JPEG of at most 8192 × 8192 pixels")
	}
	a.pictures.put(c.ID, b)
	a.presence.on(c.ID, func(l *live) { l.Screenshot, l.dirty = time.Now(), true })
	w.WriteHeader(http.StatusNoContent)
	return nil
}
