package livelog

import (
	"encoding/json"
	"time"

	"porthole/media/render"
)

// Fill puts lines into what a Caller is to fill, by way of JSON.
func Fill(out, lines any) error {
	b, err := json.Marshal(map[string]any{"lines": lines})
	if err != nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// Line is line for a text.
func Line(text string) render.Line { return line(entry{Text: text}, time.UTC) }
