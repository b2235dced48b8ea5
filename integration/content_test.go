package integration_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestContentInBrowser goes the way of a shop owner through the real front door: a picture larger than one part of an upload,
// a playlist with it and a live camera, a preview in which the camera moves, and out to the device's own screen.
func TestContentInBrowser(t *testing.T) {
	s := start(t, "")
	b := newBrowser(t, s)
	photo := image.NewRGBA(image.Rect(0, 0, 640, 360))
	for i := range photo.Pix {
		photo.Pix[i] = color.RGBA{R: 200, G: 30, B: 90, A: 255}.R
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, photo, nil); err != nil {
		t.Fatal(err)
	}
	// Nobody looks at what stands behind a picture's end; it makes the upload three parts.
	file.Write(make([]byte, 20<<20))
	path := filepath.Join(t.TempDir(), "Sale.jpg")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(t, chromedp.Click(chromedp.CSS(`.nav a[href="/media"]`)), chromedp.WaitVisible(chromedp.CSS(".drop")),
		chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{path}))
	eventually(t, "the upload ends", func() error {
		if eval[bool](t, b, `document.querySelector('.uploads li[data-state=ready], .uploads li[data-state=refused]') !== null`) {
			return nil
		}
		return fmt.Errorf("it says %q; console: %q", eval[string](t, b, `document.querySelector('.uploads').textContent`), b.problems())
	})
	if said := eval[string](t, b, `document.querySelector('.uploads').textContent`); !strings.Contains(said, "Ready. Plays on every board.") {
		t.Fatalf("the upload says %q", said)
	}
	b.do(t, chromedp.Click(chromedp.CSS(`.nav a[href="/playlists"]`)), chromedp.WaitVisible(chromedp.CSS("#name")),
		chromedp.SendKeys(chromedp.CSS("#name"), "Window\r"), chromedp.WaitVisible(chromedp.CSS(".picker label")),
		chromedp.Click(chromedp.CSS(".picker label")), chromedp.Click(chromedp.CSS("#add details:nth-of-type(1) .primary")),
		chromedp.WaitVisible(chromedp.CSS(".item:nth-child(1) .handle")),
		chromedp.Click(chromedp.CSS("#add details:nth-of-type(2) summary")), chromedp.WaitVisible(chromedp.CSS("#camera")),
		chromedp.Click(chromedp.CSS("#add details:nth-of-type(2) .primary")), chromedp.WaitVisible(chromedp.CSS(".item:nth-child(2) .handle")))
	list := eval[string](t, b, `location.pathname`)
	if total := eval[string](t, b, `document.querySelector('[data-part=total]').textContent`); !strings.Contains(total, "40 s") {
		t.Errorf("the playlist says %q", total)
	}
	b.do(t, chromedp.Click(chromedp.CSS(`.actions a[href$="/preview"]`)), chromedp.WaitVisible(chromedp.CSS(".stage img.layer")),
		chromedp.Click(chromedp.CSS(`[data-do=next]`)), chromedp.WaitVisible(chromedp.CSS(".stage video.layer")))
	b.plays(t, "the camera in the preview")

	b.do(t, chromedp.Navigate(s.URL(list)), chromedp.WaitVisible(chromedp.CSS("[data-op=publish] button")), chromedp.Click(chromedp.CSS("[data-op=publish] button")),
		chromedp.WaitVisible(chromedp.CSS(`[data-part=state] .pill.good`)))
	b.do(t, chromedp.Navigate(s.URL("/interrupt")), chromedp.WaitVisible(chromedp.CSS("#what-playlist")), chromedp.Click(chromedp.CSS("#what-playlist")),
		chromedp.Click(chromedp.CSS("form .primary")), chromedp.WaitVisible(chromedp.CSS(".running")))
	if said := eval[string](t, b, `document.querySelector('.running').textContent`); !strings.Contains(said, "the playlist “Window” on all screens until") {
		t.Errorf("the interruption says %q", said)
	}
	if p := b.problems(); len(p) > 0 {
		t.Errorf("the page's console: %q", p)
	}
}
