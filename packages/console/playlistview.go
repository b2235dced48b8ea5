package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/identity"
)

// pickerSize is how many media the editor of a playlist offers at once.
const pickerSize = 24

// playlistEditor is the page of one playlist.
type playlistEditor struct {
	ID                    int64
	Colour                int
	Name, Detail, Total   string
	State                 state
	Rev                   string
	CanPublish, CanRevert bool
	Reach                 string
	Screens               []signage.Player
	Removed               string
	Problem               string
	Items                 []itemRow
	Transitions           []choice
	Query                 string
	Picker                []signage.Media
	PickerMore            string
	Cameras               []choice
	URL, Text             string
	CameraSeconds         string
	StreamSeconds         string
	TextSeconds           string
	Adding                adding
	Errors                fieldErrors
}

// adding says which part of the form that adds things is open.
type adding struct{ Media, Camera, Stream, Text bool }

// itemRow is an item in the editor.
type itemRow struct {
	ID, List     int64
	Position, Of int
	Kind         signage.ItemKind
	Name, Detail string
	Warning      string
	Thumb, Sign  string
	Video        bool
	Seconds      string
	Fits         []choice
	Description  string
	Text, URL    string
	Rev          string
	Open         bool
	First, Last  bool
	Up, Down     int
	Errors       fieldErrors
}

// itemRev tells one state of an item from another, so that nobody overwrites what he has not seen.
func itemRev(i signage.Item) string {
	b, err := json.Marshal([]any{i.Kind, i.MediaID, i.Camera, i.URL, i.Text, i.Duration, i.Fit, i.Description})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// draftRev tells one state of a draft from another.
func draftRev(p signage.Playlist, items []signage.Item) string {
	h := sha256.New()
	fmt.Fprintln(h, p.Transition, p.Version)
	for _, i := range items {
		fmt.Fprintln(h, i.ID, itemRev(i))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// colourOf is the number of the colour in which a playlist is drawn everywhere, 0 to 7.
func colourOf(playlist int64) int { return int(playlist % 8) }

// lengthText says how long something plays.
func lengthText(d time.Duration) string {
	s := int64(math.Round(d.Seconds()))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d h", s/3600, s/60%60, s%60)
	}
	if s >= 60 {
		return fmt.Sprintf("%d:%02d min", s/60, s%60)
	}
	return fmt.Sprintf("%d s", s)
}

// countText is "1 item", "2 items".
func countText(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func playlistState(p signage.Playlist) state {
	switch {
	case p.Version == 0:
		return state{"never published", toneMuted}
	case p.Changed:
		return state{"changed since publishing", toneBusy}
	}
	return state{fmt.Sprintf("published, version %d", p.Version), toneGood}
}

func fitChoices(chosen string) []choice {
	list := []choice{{Value: "fit", Text: "Whole picture"}, {Value: "fill", Text: "Fill, cut the edges"}, {Value: "stretch", Text: "Stretch"}}
	for i := range list {
		list[i].Chosen = list[i].Value == chosen
	}
	return list
}

// secondsText is a duration as a number of seconds, empty for a video's own.
func secondsText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}

// secondsOf reads a typed number of seconds; empty is 0.
func secondsOf(typed string) (time.Duration, string) {
	typed = strings.Replace(strings.TrimSpace(typed), ",", ".", 1)
	if typed == "" {
		return 0, ""
	}
	s, err := strconv.ParseFloat(typed, 64)
	if err != nil || math.IsNaN(s) || s < 1 || s > 86400 {
		return 0, "give the seconds as a number from 1 to 86400, for example 10"
	}
	return time.Duration(s * float64(time.Second)).Truncate(time.Millisecond), ""
}

func (c *console) itemRow(list int64, i signage.Item, of int, cameras map[string]string) itemRow {
	v := itemRow{
		ID: i.ID, List: list, Position: i.Position, Of: of, Kind: i.Kind, Seconds: secondsText(i.Duration), Fits: fitChoices(i.Fit),
		Description: i.Description, Text: i.Text, URL: i.URL, Rev: itemRev(i),
		First: i.Position <= 1, Last: i.Position >= of, Up: max(i.Position-1, 1), Down: min(i.Position+1, of),
	}
	switch i.Kind {
	case signage.ItemMedia:
		if m := i.Media; m != nil {
			v.Name, v.Thumb, v.Video = m.Name, fmt.Sprintf("/media/%d/thumb.jpg", m.ID), m.Duration > 0
			v.Detail = mediaDetail(*m)
			if b := c.boards(*m); b.Tone != toneGood {
				v.Warning = b.Text
			}
		}
	case signage.ItemCamera:
		v.Name, v.Detail = cameras[i.Camera], "Camera, live"
		v.Thumb = "/cameras/" + url.PathEscape(i.Camera) + "/snapshot.jpg?w=320"
		if v.Name == "" {
			v.Name, v.Thumb, v.Sign, v.Warning = i.Camera, "", "Camera", "This device has no such camera any more: the screens skip it."
		}
	case signage.ItemStream:
		v.Name, v.Detail, v.Sign = streamAddress(i.URL), "Stream from elsewhere, live", "RTSP"
	case signage.ItemText:
		v.Name, v.Detail, v.Sign = firstLine(i.Text), "Text", "Aa"
	}
	if i.Description != "" {
		v.Detail += " · " + i.Description
	}
	return v
}

// streamName is an address as one may show it: without the password in it.
func streamAddress(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "stream"
	}
	return u.Host + u.Path
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return line
}

// cameraNames are the names of the cameras by id.
func (c *console) cameraNames(ctx context.Context) (map[string]string, []choice, error) {
	list, err := c.cameras(ctx, c.store.r)
	if err != nil {
		return nil, nil, err
	}
	names, choices := map[string]string{}, make([]choice, 0, len(list))
	for _, cam := range list {
		names[cam.ID] = cam.Name
		choices = append(choices, choice{Value: cam.ID, Text: cam.Name})
	}
	return names, choices, nil
}

// editorOf gathers the page of a playlist. typed has what was typed into the forms that add things.
func (c *console) editorOf(r *http.Request, id int64, typed playlistEditor) (playlistEditor, error) {
	ctx, v := r.Context(), typed
	p, err := c.signage.Playlist(ctx, id)
	if err != nil {
		return v, err
	}
	items, err := c.signage.Items(ctx, id, signage.Draft)
	if err != nil {
		return v, err
	}
	names, choices, err := c.cameraNames(ctx)
	if err != nil {
		return v, err
	}
	for i := range choices {
		choices[i].Chosen = choices[i].Value == r.PostFormValue("camera")
	}
	if v.Screens, err = c.screensOf(ctx, id); err != nil {
		return v, err
	}
	v.ID, v.Name, v.Colour, v.State, v.Rev, v.Cameras = p.ID, p.Name, colourOf(p.ID), playlistState(p), draftRev(p, items), choices
	v.CanPublish = len(items) > 0 && (p.Changed || p.Version == 0)
	v.CanRevert = p.Changed && p.Version > 0
	v.Detail = countText(p.Items, "item", "items") + ", " + lengthText(p.Total)
	v.Total = "Everything once takes " + lengthText(p.Total) + "; then it begins again."
	if len(items) == 0 {
		v.Total = ""
	}
	v.Reach = reachText(len(v.Screens), p)
	if len(v.Screens) > 6 {
		v.Screens = v.Screens[:6]
	}
	for _, i := range items {
		v.Items = append(v.Items, c.itemRow(id, i, len(items), names))
	}
	v.Transitions = []choice{{Value: "cut", Text: "Cut: the next is there at once", Chosen: p.Transition == "cut"}, {Value: "crossfade", Text: "Crossfade", Chosen: p.Transition == "crossfade"}}
	if removed, ok := c.removedOf(ctx, id); ok {
		v.Removed = c.itemRow(id, removed.Item, len(items), names).Name
	}
	for _, s := range []*string{&v.CameraSeconds, &v.StreamSeconds} {
		if *s == "" {
			*s = "30"
		}
	}
	if v.TextSeconds == "" {
		v.TextSeconds = "10"
	}
	v.Query = strings.TrimSpace(r.URL.Query().Get("q"))
	if v.Adding == (adding{}) {
		v.Adding.Media = true
	}
	return v, c.pick(ctx, &v)
}

// pick fills the list of media to choose from.
func (c *console) pick(ctx context.Context, v *playlistEditor) error {
	all, err := c.signage.AllMedia(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m signage.Media) bool { return !matches(m.Name, v.Query) })
	if n := len(all) - pickerSize; n > 0 {
		v.PickerMore = fmt.Sprintf("The newest %d are shown. There are %d more: find them by name.", pickerSize, n)
		all = all[:pickerSize]
	}
	v.Picker = all
	return nil
}

// matches reports whether a name has every word of the query in it.
func matches(name, query string) bool {
	name = strings.ToLower(name)
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(name, word) {
			return false
		}
	}
	return true
}

// reachText says whom a publication reaches.
func reachText(screens int, p signage.Playlist) string {
	if screens == 0 {
		return "No screen shows it yet: choose it for a screen or a group under Screens, or plan it in the Schedule."
	}
	if p.Version == 0 {
		return "Publishing gives it to " + countText(screens, "screen:", "screens:")
	}
	if p.Changed {
		return fmt.Sprintf("What you changed is not on the screens yet. Publishing gives it to %s", countText(screens, "screen:", "screens:"))
	}
	return "It is on " + countText(screens, "screen:", "screens:")
}

// reach is what says which screens a playlist reaches.
type reach struct {
	players  []signage.Player
	ofGroup  map[int64]int64 // a group's playlist
	rules    []signage.Rule
	fallback int64
}

func (c *console) readReach(ctx context.Context) (reach, error) {
	v := reach{ofGroup: map[int64]int64{}}
	var err error
	if v.players, err = c.signage.Players(ctx); err != nil {
		return v, err
	}
	groups, err := c.signage.Groups(ctx)
	if err != nil {
		return v, err
	}
	for _, g := range groups {
		v.ofGroup[g.ID] = g.Playlist
	}
	if v.rules, err = c.signage.Rules(ctx); err != nil {
		return v, err
	}
	v.fallback, err = c.signage.DefaultPlaylist(ctx)
	return v, err
}

// screens returns the screens that the playlist reaches: as their own, their group's, by a rule, or as what plays when
// nothing else does.
func (v reach) screens(playlist int64) []signage.Player {
	var list []signage.Player
	for _, p := range v.players {
		if cmp.Or(p.Playlist, v.ofGroup[p.Group], v.fallback) == playlist || slices.ContainsFunc(v.rules, func(r signage.Rule) bool {
			return r.Enabled && r.Playlist == playlist && concerns(r.Target, p)
		}) {
			list = append(list, p)
		}
	}
	return list
}

func (c *console) screensOf(ctx context.Context, playlist int64) ([]signage.Player, error) {
	v, err := c.readReach(ctx)
	return v.screens(playlist), err
}

// concerns reports whether a player is meant by a target.
func concerns(t signage.Target, p signage.Player) bool {
	switch {
	case t.Player != 0:
		return t.Player == p.ID
	case t.Group != 0:
		return t.Group == p.Group
	}
	return true
}

// playlistPage and its fragment show the editor.
func (c *console) playlistPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if n, ok := c.pathID(w, r, "id"); ok {
		c.showEditor(w, r, http.StatusOK, id, n, playlistEditor{})
	}
}

func (c *console) showEditor(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, playlist int64, typed playlistEditor) {
	v, err := c.editorOf(r, playlist, typed)
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	if isFragment(r) {
		c.execute(w, r, status, "playlist", "editor", v)
		return
	}
	c.render(w, r, status, "playlist", page{Title: v.Name, User: id, Body: v})
}
