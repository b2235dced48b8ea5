package link

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"path"
	"strconv"
	"strings"

	"porthole/packages/internal/program"
)

// What an item of an original server is shown for where it says nothing, and at most.
const (
	defaultMS = 10_000
	maxMS     = 24 * 60 * 60 * 1000
)

// number is a whole number that may come as a text, with a fraction, or as null or "" for none.
type number int64

// UnmarshalJSON takes a number, a text with one in it, or null.
func (n *number) UnmarshalJSON(b []byte) error {
	f, err := parseNumber(b)
	*n = number(f)
	return err
}

func parseNumber(b []byte) (float64, error) {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return 0, fmt.Errorf("read number: %w", err)
		}
	}
	if text = strings.TrimSpace(text); text == "" || text == "null" {
		return 0, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("%.20q is no number", text)
	}
	return f, nil
}

// seconds are a duration as original servers write it: 10, "10", 7.5, "00:01:30".
type seconds float64

// UnmarshalJSON takes them; what cannot be read is none, so that one item does not cost the playlist.
func (s *seconds) UnmarshalJSON(b []byte) error {
	*s = 0
	if f, err := parseNumber(b); err == nil {
		*s = seconds(f)
		return nil
	}
	var text string
	if json.Unmarshal(b, &text) != nil {
		return nil
	}
	total := 0.0
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(text), "s"), ":") {
		f, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || f < 0 || f > maxMS {
			return nil
		}
		total = total*60 + f
	}
	*s = seconds(total)
	return nil
}

// text is a text that may come as a number or null.
type text string

// UnmarshalJSON takes a text, a number or a truth value; anything else is none.
func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case json.Unmarshal(b, &s) == nil:
	case len(b) > 0 && (b[0] == '{' || b[0] == '['), bytes.Equal(b, []byte("null")):
	default:
		s = string(b)
	}
	*t = text(s)
	return nil
}

// playlist is what an original server answers: the playlist now. Ours answer it, too.
type playlist struct {
	PlayerID   int64
	PlayerName string
	Version    int64
	Items      []listItem
	// leftOut are items that the server says it left out.
	leftOut []string
}

type listItem struct {
	ID          number  `json:"id"`
	FileName    text    `json:"file_name"`
	Filename    text    `json:"filename"`
	Type        text    `json:"type"`
	Duration    seconds `json:"duration"`
	URL         text    `json:"url"`
	Description text    `json:"description"`
	SHA256      text    `json:"sha256"`
	Size        number  `json:"size"`
}

// parsePlaylist reads the answer: an object with the items in playlist, or the items alone. The error is a *formatError.
func parsePlaylist(b []byte) (playlist, error) {
	var said struct {
		Success  *bool           `json:"success"`
		PlayerID number          `json:"player_id"`
		Name     text            `json:"player_name"`
		Version  number          `json:"playlist_version"`
		Playlist json.RawMessage `json:"playlist"`
		Items    json.RawMessage `json:"items"`
		LeftOut  []struct {
			Type, Reason string
		} `json:"left_out"`
	}
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '[' {
		said.Playlist = b
	} else if err := json.Unmarshal(b, &said); err != nil {
		return playlist{}, &formatError{"its playlist cannot be read"}
	}
	raw := said.Playlist
	if raw == nil {
		raw = said.Items
	}
	var inner struct {
		Playlist json.RawMessage `json:"playlist"`
		Items    json.RawMessage `json:"items"`
	}
	if len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, &inner) == nil {
		if raw = inner.Items; raw == nil {
			raw = inner.Playlist
		}
	}
	p := playlist{PlayerID: int64(said.PlayerID), PlayerName: oneLine(string(said.Name)), Version: max(int64(said.Version), 0)}
	for _, l := range said.LeftOut {
		p.leftOut = append(p.leftOut, oneLine(l.Type+": "+l.Reason))
	}
	switch {
	case raw == nil && said.PlayerID == 0 && said.Version == 0:
		return playlist{}, &formatError{"its answer has no playlist"}
	case raw == nil:
		return p, nil
	}
	if err := json.Unmarshal(raw, &p.Items); err != nil {
		return playlist{}, &formatError{"its playlist cannot be read"}
	}
	if len(p.Items) > program.MaxItems {
		return playlist{}, &formatError{fmt.Sprintf("its playlist has %d items; at most %d are taken", len(p.Items), program.MaxItems)}
	}
	return p, nil
}

// listID is the id of the one playlist of an original server's program.
const listID = 1

// program makes a program of the playlist: it always plays. leftOut says what is not in it, and why, for the first of them.
func (p playlist) program() (out program.Program, leftOut []string) {
	list := program.Playlist{ID: listID, Name: "Playlist", Version: p.Version, Transition: "cut", Items: []program.Item{}}
	leftOut = p.leftOut
	ids, spare := map[int64]bool{}, int64(1<<53)
	for n, i := range p.Items {
		item, why := i.item()
		if why != "" {
			name := oneLine(string(i.FileName + i.Filename))
			if name == "" {
				name = "item " + strconv.Itoa(n+1)
			}
			leftOut = append(leftOut, name+": "+why)
			continue
		}
		// The same medium may be there twice; reports name items.
		for item.ID <= 0 || ids[item.ID] {
			spare++
			item.ID = spare
		}
		ids[item.ID] = true
		list.Items = append(list.Items, item)
	}
	const most = 20
	return program.Program{
		Timezone: "UTC", PlayerName: p.PlayerName, Playlists: []program.Playlist{list}, Base: listID, Rules: []program.Rule{}, Interrupts: []program.Interrupt{},
	}, leftOut[:min(len(leftOut), most)]
}

// The kinds of files by their names' ends, for servers that say another type or none.
var kindsByEnd = map[string]string{
	".jpg": "image", ".jpeg": "image", ".png": "image", ".gif": "image", ".webp": "image", ".bmp": "image",
	".mp4": "video", ".m4v": "video", ".mkv": "video", ".ts": "video", ".m2ts": "video", ".mov": "video", ".webm": "video", ".avi": "video", ".mpg": "video", ".mpeg": "video",
}

// item is an item of ours, or why there is none.
func (i listItem) item() (program.Item, string) {
	address := strings.TrimSpace(string(i.URL))
	name := strings.TrimSpace(string(i.FileName))
	if name == "" {
		name = strings.TrimSpace(string(i.Filename))
	}
	u, err := url.Parse(address)
	if err != nil || len(address) > 4096 || strings.ContainsFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return program.Item{}, "its address cannot be read"
	}
	if name == "" {
		name = path.Base(u.Path)
	}
	item := program.Item{
		ID: int64(i.ID), URL: address, Description: oneLine(string(i.Description)), Fit: "fit", DurationMS: defaultMS,
		FileName: fileName(name), SizeBytes: max(int64(i.Size), 0),
	}
	if i.Duration > 0 {
		item.DurationMS = int64(min(max(float64(i.Duration)*1000, 1), maxMS))
	}
	if sum := strings.ToLower(strings.TrimSpace(string(i.SHA256))); isSHA256(sum) {
		item.SHA256 = sum
	}
	kind := strings.ToLower(strings.TrimSpace(string(i.Type)))
	switch {
	case u.Scheme == "rtsp" || u.Scheme == "rtsps":
		item.Kind, item.FileName, item.SHA256, item.SizeBytes = "stream", "", "", 0
		return item, ""
	case kind == "image" || kind == "video":
		item.Kind = kind
	case kindsByEnd[strings.ToLower(path.Ext(name))] != "":
		item.Kind = kindsByEnd[strings.ToLower(path.Ext(name))]
	case kind == "":
		return program.Item{}, "nothing says what it is"
	default:
		return program.Item{}, "this screen does not play " + oneLine(kind)
	}
	switch {
	case address == "":
		return program.Item{}, "it has no address"
	case u.Scheme != "" && u.Scheme != "https" && u.Scheme != "http":
		return program.Item{}, "its address is not one of a web server"
	}
	return item, ""
}

// fileName is a name to show, without folders.
func fileName(name string) string {
	name = oneLine(path.Base(strings.ReplaceAll(name, `\`, "/")))
	if name == "" || name == "." || name == "/" {
		return "file"
	}
	return name
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
