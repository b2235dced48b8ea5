package stage

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/hw/display"
	"porthole/packages/internal/settings"
)

// TestModes: what the console offers is what the settings take, and what the display matches.
func TestModes(t *testing.T) {
	got := modes([]display.Mode{
		{Width: 1920, Height: 1080, RefreshMilliHz: 60000}, {Width: 1920, Height: 1080, RefreshMilliHz: 59940}, {Width: 1920, Height: 1080, RefreshMilliHz: 60001},
		{Width: 1920, Height: 1080, RefreshMilliHz: 50000, Interlaced: true}, {Width: 1360, Height: 768, RefreshMilliHz: 60015}, {Width: 800, Height: 600},
	})
	b, err := json.Marshal(got)
	if d := cmp.Diff(`["1920x1080@60","1920x1080@59.94","1360x768@60.02","800x600"]`, string(b)); d != "" || err != nil {
		t.Error(err, d)
	}
	for text := range strings.FieldsSeq(string(got)) {
		if m, ok := settings.ParseMode(text); !ok || m.String() != text {
			t.Errorf("%q is read as %v", text, m)
		}
	}
}
