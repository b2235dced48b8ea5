// Package paint draws what the stage shows, with media/render.
package paint

import (
	"image"
	"image/color"
	"time"

	"porthole/hw/display"
	"porthole/media/render"
	"porthole/packages/internal/daemon"
	"porthole/packages/player/stage"
)

// Painter is a stage.Painter.
type Painter struct{}

// clockSet is a time before which a clock is not set: a device without network starts in 1970.
func clockSet() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// Status implements stage.Painter.
func (Painter) Status(dst *display.Image, s stage.Status) {
	r := render.Status{
		Name: s.Name, URL: s.URL, Addresses: s.Addresses, Fingerprint: s.Fingerprint, ClaimCode: s.ClaimCode, Messages: s.Messages,
		Unreachable: s.Unreachable, Version: "Porthole " + daemon.Version(),
	}
	if s.Minute.After(clockSet()) {
		r.Time = s.Minute
	}
	render.StatusScreen((*render.Image)(dst), r)
}

// Picture implements stage.Painter.
func (Painter) Picture(dst *display.Image, r image.Rectangle, m image.Image, fit render.Mode, turn render.Turn) {
	if d, ok := m.(*display.Image); ok {
		m = (*render.Image)(d)
	}
	render.Draw((*render.Image)(dst).SubImage(r), m, fit, turn, color.RGBA{A: 0xff})
}

// Text implements stage.Painter.
func (Painter) Text(dst *display.Image, text string) {
	render.Text((*render.Image)(dst), dst.Rect, text)
}

// Log implements stage.Painter.
func (Painter) Log(dst *display.Image, lines []render.Line) { render.Log((*render.Image)(dst), lines) }

// Video implements stage.Painter.
func (Painter) Video(dst *display.Image, r image.Rectangle, v *display.YUV) {
	matrix := render.BT601
	if v.BT709 {
		matrix = render.BT709
	}
	m := &image.YCbCr{
		Y: v.Y, Cb: v.U, Cr: v.V, YStride: v.YStride, CStride: v.UVStride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, v.Width, v.Height),
	}
	render.NewConverter(matrix, v.FullRange).Draw((*render.Image)(dst), r, m, m.Rect)
}

// Strip implements stage.Painter.
func (Painter) Strip(dst *display.Image, r image.Rectangle, text string) {
	render.Strip((*render.Image)(dst), r, text)
}

// Banner implements stage.Painter.
func (Painter) Banner(dst *display.Image, text string) { render.Banner((*render.Image)(dst), text) }

// Note implements stage.Painter.
func (Painter) Note(dst *display.Image, r image.Rectangle, text string) {
	render.Note((*render.Image)(dst), r, text)
}
