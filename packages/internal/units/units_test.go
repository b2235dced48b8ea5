package units_test

import (
	"testing"

	"porthole/packages/internal/units"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 1001: "1.1 kB", 9_999: "10 kB", 12_300_000: "13 MB", 1_250_000_000: "1.3 GB", 52_500_000_001: "53 GB",
	} {
		if got := units.Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
