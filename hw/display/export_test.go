package display

import (
	"image"

	"porthole/hw/internal/drm"
)

// ParseEDID is parseEDID.
func ParseEDID(p []byte) (monitor string, sizeMM image.Point, err error) {
	e, err := parseEDID(p)
	return e.monitor(), e.sizeMM, err
}

// Candidates is candidates, as Modes.
func Candidates(modes []drm.ModeInfo, wanted Mode, silent bool) []Mode {
	var list []Mode
	for _, m := range candidates(modes, wanted, silent) {
		list = append(list, mode(m))
	}
	return list
}
