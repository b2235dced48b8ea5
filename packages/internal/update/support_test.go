package update_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/packages/internal/update"
)

// TestSupportEnds: the date that is published is the one the console shows, and no earlier one than was promised first.
func TestSupportEnds(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "until "+update.SupportEnds) {
		t.Errorf("SECURITY.md does not say %s", update.SupportEnds)
	}
	day, err := time.Parse(time.DateOnly, update.SupportEnds)
	if err != nil || day.Before(time.Date(2031, 12, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%s, %v", update.SupportEnds, err)
	}
}
