// Package samples holds the clip of the built-in demo camera.
package samples

import _ "embed"

//go:embed demo.ts
var demo []byte

// Demo returns the demo camera's clip: MPEG-TS with H.264 and AAC, made to be looped. Callers must not change it.
func Demo() []byte { return demo }
