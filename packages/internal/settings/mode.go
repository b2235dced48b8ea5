package settings

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Mode is PlayerSettings.Mode, read.
type Mode struct {
	// Width and Height are in pixels, 160 to 8192.
	Width, Height int
	// RefreshMilliHz is the rate in thousandths of a hertz, 1,000 to 500,000; 0 means any.
	RefreshMilliHz int
}

var modeText = regexp.MustCompile(`^([0-9]{3,4})[x×]([0-9]{3,4})(?:@([0-9]{1,3}(?:\.[0-9]{1,3})?)(?:[Hh][Zz])?)?$`)

// ParseMode reads a mode as "1920x1080@59.94" or "1920x1080".
func ParseMode(text string) (m Mode, ok bool) {
	found := modeText.FindStringSubmatch(strings.ReplaceAll(text, " ", ""))
	if found == nil {
		return Mode{}, false
	}
	sides := [2]int{}
	for i := range sides {
		n, err := strconv.Atoi(found[i+1])
		if err != nil || n < 160 || n > 8192 {
			return Mode{}, false
		}
		sides[i] = n
	}
	m.Width, m.Height = sides[0], sides[1]
	if found[3] != "" {
		hz, err := strconv.ParseFloat(found[3], 64)
		if err != nil || hz < 1 || hz > 500 {
			return Mode{}, false
		}
		m.RefreshMilliHz = int(math.Round(hz * 1000))
	}
	return m, true
}

// String writes it as ParseMode reads it.
func (m Mode) String() string {
	s := fmt.Sprintf("%dx%d", m.Width, m.Height)
	if m.RefreshMilliHz == 0 {
		return s
	}
	return s + "@" + strconv.FormatFloat(float64(m.RefreshMilliHz)/1000, 'f', -1, 64)
}
