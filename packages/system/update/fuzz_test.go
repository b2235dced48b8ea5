package update_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"porthole/packages/system/update"
)

// FuzzRecord: whatever lies on the card, it is a record that makes sense or an error.
func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"format":1,"phase":"trying","target_slot":"slot-b","try":1,"before":{"screen":true},"parts":[{"name":"root","size":1}]}`))
	f.Add([]byte(`{"format":1,"phase":"idle"}`))
	f.Add([]byte(`{"format":1,"phase":"restarting","try":4}`))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := update.ParseRecord(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(rec)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", rec, err)
		}
		if _, err := update.ParseRecord(again); err != nil {
			t.Errorf("what was written is refused: %v", err)
		}
	})
}

// FuzzHistory reads what may lie on the card.
func FuzzHistory(f *testing.F) {
	f.Add([]byte(`{"format":1,"events":[{"id":"1","at":"2026-11-01T00:00:00Z","what":"kept"}]}`))
	f.Add([]byte(`{"format":1,"events":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := update.ParseHistory(b); err != nil && h != nil || len(h) > 100 {
			t.Errorf("%d events, %v", len(h), err)
		}
	})
}

// FuzzJournal reads a journal that several processes wrote to, and a power cut may have ended.
func FuzzJournal(f *testing.F) {
	f.Add("{\"slot\":\"slot-b\",\"try\":1}\nsystem: try 1 of 3 is about to begin\ninit: storage is up\n")
	f.Add("{\n\x00\x00\xff\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		_, lines := update.ParseJournal([]byte(text))
		for _, l := range lines {
			if l == "" || strings.ContainsAny(l, "\n\x00") || !utf8.ValidString(l) {
				t.Errorf("line %q", l)
			}
		}
		if far := update.HowFar(lines); far == "" || len(far) > 400 || !utf8.ValidString(far) {
			t.Errorf("how far: %q", far)
		}
		if p := update.PanicLine(text); len(p) > 200 || !utf8.ValidString(p) {
			t.Errorf("panic: %q", p)
		}
	})
}
