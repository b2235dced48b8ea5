package render

import (
	"fmt"
	"image"
	"image/color"

	"rsc.io/qr"
)

// quietZone is the white border of a QR code in modules, ISO/IEC 18004 section 9.1.
const quietZone = 4

// QR draws a code that says text into the square at the top left of r, as large as it fits, with its white border.
// It fails if the text is too long or r too small for it.
func QR(dst *Image, r image.Rectangle, text string) error {
	side := QRSide(text, min(r.Dx(), r.Dy()))
	dst.Fill(image.Rectangle{Min: r.Min, Max: r.Min.Add(image.Pt(side, side))}, colorWhite)
	return qrModules(dst, r, text)
}

// qrModules draws the black parts of QR.
func qrModules(dst *Image, r image.Rectangle, text string) error {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return fmt.Errorf("encode QR code of %d bytes: %w", len(text), err)
	}
	side := code.Size + 2*quietZone
	module := min(r.Dx(), r.Dy()) / side
	if module < 1 {
		return fmt.Errorf("draw QR code: it needs %d pixels, there are %d", side, min(r.Dx(), r.Dy()))
	}
	at := r.Min.Add(image.Pt(quietZone*module, quietZone*module))
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				corner := at.Add(image.Pt(x*module, y*module))
				dst.Fill(image.Rectangle{Min: corner, Max: corner.Add(image.Pt(run*module, module))}, color.RGBA{0, 0, 0, 0xff})
				x += run
			}
		}
	}
	return nil
}

// QRSide is the side in pixels of the largest code for the text that is at most limit wide, border included: 0 if there is none.
func QRSide(text string, limit int) int {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return 0
	}
	side := code.Size + 2*quietZone
	return limit / side * side
}
