// Package units says quantities to people.
package units

import (
	"fmt"
	"math"
)

// Bytes is a size in decimal units, rounded up, so that what is asked for suffices: "1.3 GB", "13 MB", "640 bytes".
func Bytes(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if n >= u.size {
			v := math.Ceil(float64(n)/float64(u.size)*10) / 10
			if v >= 10 {
				return fmt.Sprintf("%.0f %s", math.Ceil(v), u.name)
			}
			return fmt.Sprintf("%.1f %s", v, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
