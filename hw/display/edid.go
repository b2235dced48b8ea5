package display

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"strings"
)

// errEDID is a display's self-description that is missing or damaged.
var errEDID = errors.New("no usable EDID")

// edid is what we use of a display's self-description.
type edid struct {
	maker  string // three letters, the PNP id
	name   string
	sizeMM image.Point
}

// Layout of the base block: VESA Enhanced EDID Standard release A revision 2 (EDID 1.4), section 3.
const (
	edidBlock       = 128
	edidMaker       = 8
	edidSizeCM      = 21
	edidDescriptors = 54 // four of 18 bytes
	descriptorSize  = 18
	tagName         = 0xfc // section 3.10.3.4
)

// parseEDID reads the base block; extensions are the kernel's to read. It returns errEDID when header or checksum are
// wrong.
func parseEDID(p []byte) (edid, error) {
	if len(p) < edidBlock || !bytes.Equal(p[:8], []byte{0, 255, 255, 255, 255, 255, 255, 0}) {
		return edid{}, errEDID
	}
	p = p[:edidBlock]
	var sum byte
	for _, b := range p {
		sum += b
	}
	if sum != 0 {
		return edid{}, errEDID
	}
	e := edid{
		maker:  makerID(binary.BigEndian.Uint16(p[edidMaker:])),
		sizeMM: image.Pt(int(p[edidSizeCM])*10, int(p[edidSizeCM+1])*10),
	}
	if e.sizeMM.X == 0 || e.sizeMM.Y == 0 {
		e.sizeMM = image.Point{} // one of them 0 means an aspect ratio instead (section 3.6.2)
	}
	for i := range 4 {
		d := p[edidDescriptors+i*descriptorSize:][:descriptorSize]
		switch {
		case d[0] != 0 || d[1] != 0: // a detailed timing
			if mm := image.Pt(int(d[12])|int(d[14]&0xf0)<<4, int(d[13])|int(d[14]&0x0f)<<8); i == 0 && mm.X > 0 && mm.Y > 0 {
				e.sizeMM = mm
			}
		case d[3] == tagName:
			e.name = descriptorText(d[5:])
		}
	}
	return e, nil
}

// makerID unpacks three letters of five bits each, A is 1 (section 3.4.1).
func makerID(v uint16) string {
	id := make([]byte, 3)
	for i := range id {
		c := byte(v>>(10-5*i)) & 31
		if c < 1 || c > 26 {
			return ""
		}
		id[i] = 'A' + c - 1
	}
	return string(id)
}

// descriptorText is up to 13 characters, ended by a line feed and padded with spaces.
func descriptorText(p []byte) string {
	p, _, _ = bytes.Cut(p, []byte{'\n'})
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(p)))
}

func (e edid) monitor() string {
	return strings.TrimSpace(e.maker + " " + e.name)
}
