package camera

import (
	"porthole/media/decode"
	"porthole/media/rtsp"
)

// Convert runs units of one track through a converter.
func Convert(t rtsp.Track, units []rtsp.Unit) (out []decode.Unit, reordered bool) {
	c := newConverter(t)
	for _, u := range units {
		if d, ok := c.convert(u); ok {
			out = append(out, d)
		}
	}
	return out, c.reordered
}
