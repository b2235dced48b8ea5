// Package pixel converts colours, for what shows video without display hardware: the off-screen display and the test card.
package pixel

// RGB converts one YCbCr pixel. full says that Y reaches from 0 to 255 and U, V likewise, else Y from 16 to 235 and U, V
// from 16 to 240; bt709 chooses the matrix of ITU-R BT.709-6 section 3, else BT.601-7 section 2.5.
func RGB(y, u, v byte, full, bt709 bool) (r, g, b byte) {
	kr, kb := 0.299, 0.114
	if bt709 {
		kr, kb = 0.2126, 0.0722
	}
	luma, pb, pr := float64(y)/255, (float64(u)-128)/255, (float64(v)-128)/255
	if !full {
		luma, pb, pr = (float64(y)-16)/219, (float64(u)-128)/224, (float64(v)-128)/224
	}
	red := luma + 2*(1-kr)*pr
	blue := luma + 2*(1-kb)*pb
	green := (luma - kr*red - kb*blue) / (1 - kr - kb)
	return clamp(red), clamp(green), clamp(blue)
}

func clamp(v float64) byte {
	return byte(min(max(v*255+0.5, 0), 255))
}
