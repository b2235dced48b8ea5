package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/library"
	"porthole/packages/internal/identity"
)

func (c *console) mediaRoutes() []route {
	return []route{
		{"GET /media", editor, c.mediaPage},
		{"GET /fragments/media", editor, c.mediaPage},
		{"POST /media/upload", editor, c.plainUpload},
		{"POST /media/selected", editor, c.selectedMedia},
		{"POST /media/delete", editor, c.dropMedia},
		{"GET /media/{id}", editor, c.mediumPage},
		{"POST /media/{id}", editor, c.renameMedium},
		{"POST /media/{id}/playlist", editor, c.mediumToPlaylist},
		{"GET /media/{id}/delete", editor, c.dropMediumPage},
	}
}

// mediaPageSize is how many media a page lists.
const mediaPageSize = 48

// mediaView is the page of all media.
type mediaView struct {
	Items     []mediumCard
	Query     string
	Kinds     []choice
	Filtered  bool
	Count     string
	Space     *spaceView
	Playlists []choice
	Pages     []navItem
	Fragment  string
}

// mediumCard is a picture or video in the list.
type mediumCard struct {
	ID           int64
	Name, Detail string
	Boards       state
}

// spaceView says how much room is left.
type spaceView struct {
	UsedPercent int
	Low         bool
	Text        string
}

// lowSpace is how little room is worth a warning, in bytes.
const lowSpace = 1 << 30

func (c *console) spaceView() *spaceView {
	free, total := c.library.Space()
	if total == 0 {
		return nil
	}
	v := &spaceView{UsedPercent: int((total - min(free, total)) * 100 / total), Low: free < lowSpace || free < total/20}
	v.Text = fmt.Sprintf("%s of %s are free.", sizeText(int64(free)), sizeText(int64(total)))
	switch {
	case free == 0:
		v.Text = "There is no room left. Delete what you no longer need, or use a larger card."
	case v.Low:
		v.Text = fmt.Sprintf("Only %s of %s are free. Delete what you no longer need, or use a larger card.", sizeText(int64(free)), sizeText(int64(total)))
	}
	return v
}

// mediaDetail is what one says of a file in a line.
func mediaDetail(m signage.Media) string {
	parts := []string{"Picture"}
	if m.Kind == signage.Video {
		parts[0] = "Video"
	}
	if m.Width > 0 {
		parts = append(parts, fmt.Sprintf("%d×%d", m.Width, m.Height))
	}
	if m.Duration > 0 {
		parts = append(parts, lengthText(m.Duration))
	}
	return strings.Join(append(parts, sizeText(m.SizeBytes)), " · ")
}

// boards says in a few words what can play a file.
func (c *console) boards(m signage.Media) state {
	switch text, on := library.Summary(m); on {
	case len(library.Boards(m)):
		return state{text, toneGood}
	case 0:
		return state{text, toneBad}
	default:
		return state{text, toneBusy}
	}
}

// inWords is "a", "a and b", "a, b and c".
func inWords(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// mediaPage and its fragment list the media.
func (c *console) mediaPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	all, err := c.signage.AllMedia(r.Context())
	if err != nil {
		c.failed(w, r, err)
		return
	}
	q := r.URL.Query()
	kind := q.Get("kind")
	v := mediaView{Query: strings.TrimSpace(q.Get("q")), Space: c.spaceView(), Count: countText(len(all), "file", "files")}
	v.Kinds = []choice{{Value: "", Text: "Pictures and videos"}, {Value: "image", Text: "Pictures", Chosen: kind == "image"}, {Value: "video", Text: "Videos", Chosen: kind == "video"}}
	v.Filtered = v.Query != "" || kind != ""
	found := slices.DeleteFunc(all, func(m signage.Media) bool {
		return !matches(m.Name, v.Query) || kind != "" && string(m.Kind) != kind
	})
	if v.Filtered {
		v.Count = countText(len(found), "file fits", "files fit")
	}
	number, err := strconv.Atoi(q.Get("page"))
	pages := (len(found) + mediaPageSize - 1) / mediaPageSize
	if err != nil || number < 1 {
		number = 1
	}
	number = min(number, max(pages, 1))
	address := func(path string, page int) string {
		u := url.Values{}
		for k, val := range map[string]string{"q": v.Query, "kind": kind} {
			if val != "" {
				u.Set(k, val)
			}
		}
		if page > 1 {
			u.Set("page", strconv.Itoa(page))
		}
		if len(u) == 0 {
			return path
		}
		return path + "?" + u.Encode()
	}
	if pages > 1 {
		for n := range pages {
			v.Pages = append(v.Pages, navItem{Path: address("/media", n+1), Text: strconv.Itoa(n + 1), Here: n+1 == number})
		}
	}
	v.Fragment = address("/fragments/media", number)
	from := (number - 1) * mediaPageSize
	for _, m := range found[from:min(from+mediaPageSize, len(found))] {
		v.Items = append(v.Items, mediumCard{m.ID, m.Name, mediaDetail(m), c.boards(m)})
	}
	if v.Playlists, err = c.playlistChoices(r, true); err != nil {
		c.failed(w, r, err)
		return
	}
	if isFragment(r) {
		c.renderPart(w, r, "media", "refreshed", v)
		return
	}
	c.render(w, r, http.StatusOK, "media", page{Title: "Media", User: id, Body: v})
}

// playlistChoices are the playlists to choose from, with a new one where that makes sense.
func (c *console) playlistChoices(r *http.Request, orNew bool) ([]choice, error) {
	all, err := c.signage.Playlists(r.Context())
	if err != nil {
		return nil, err
	}
	list := make([]choice, 0, len(all)+1)
	for _, p := range all {
		list = append(list, choice{Value: strconv.FormatInt(p.ID, 10), Text: p.Name})
	}
	if orNew {
		list = append(list, choice{Value: "new", Text: "A new playlist"})
	}
	return list, nil
}

// plainUpload takes files from a browser without scripts. What it takes is bounded by the room there is.
func (c *console) plainUpload(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	parts, err := r.MultipartReader()
	if err != nil {
		c.sorry(w, r, http.StatusBadRequest, "Not understood", "The form did not arrive whole. Go back and send it again.")
		return
	}
	var added, refused []string
	for {
		part, err := parts.NextPart()
		if err != nil {
			// The end, or a connection that broke: what came whole is kept.
			break
		}
		name := part.FileName()
		if name == "" {
			continue
		}
		m, err := c.library.Add(r.Context(), part, name, id.User)
		if reason, ok := asRefusal(err); ok {
			refused = append(refused, name+": "+reason)
			continue
		}
		if err != nil {
			c.failed(w, r, err)
			return
		}
		c.log.Info("medium added", "medium", m.ID, "account", id.User)
		added = append(added, m.Name)
	}
	switch {
	case len(refused) > 0:
		text := ""
		if len(added) > 0 {
			text = countText(len(added), "file was added.", "files were added.") + " "
		}
		c.sorry(w, r, http.StatusUnprocessableEntity, "Not taken", text+strings.Join(refused, " "))
	case len(added) == 0:
		c.sorry(w, r, http.StatusUnprocessableEntity, "Nothing came", "No file arrived. Choose one or more on the page Media, then send them again.")
	default:
		c.back(w, r, "/media", inWords(added)+" can be used now.")
	}
}

// selectedMedia adds the marked media to a playlist, or asks whether to delete them.
func (c *console) selectedMedia(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.form(w, r) {
		return
	}
	var ids []int64
	for _, v := range r.PostForm["media"] {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			ids = append(ids, n)
		}
	}
	if len(ids) == 0 {
		c.back(w, r, "/media", "Mark the pictures and videos first.")
		return
	}
	if r.PostFormValue("do") == "delete" {
		c.askDrop(w, r, id, ids)
		return
	}
	c.toPlaylist(w, r, id, ids, "/media")
}

// toPlaylist adds media to the playlist that the form names.
func (c *console) toPlaylist(w http.ResponseWriter, r *http.Request, id identity.Identity, ids []int64, from string) {
	var list signage.Playlist
	var err error
	if chosen := r.PostFormValue("playlist"); chosen == "new" {
		list, err = c.newNumbered(r.Context(), "New playlist")
	} else {
		n, _ := strconv.ParseInt(chosen, 10, 64)
		list, err = c.signage.Playlist(r.Context(), n)
	}
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	items := make([]signage.Item, len(ids))
	for i, m := range ids {
		items[i] = signage.Item{Kind: signage.ItemMedia, MediaID: m}
	}
	_, err = c.signage.AddItems(r.Context(), list.ID, 0, items)
	if fe, ok := asFieldError(err); ok {
		c.back(w, r, from, "Nothing was added: "+fe.Reason+".")
		return
	}
	if err != nil {
		c.signageFailed(w, r, err)
		return
	}
	c.log.Info("media put into playlist", "playlist", list.ID, "count", len(items), "account", id.User)
	c.back(w, r, playlistPath(list.ID), countText(len(items), "item was added", "items were added")+" at the end. Publish when it is as you want it.")
}

// newNumbered makes a playlist with that name, or with a number behind it when it is taken.
func (c *console) newNumbered(ctx context.Context, name string) (signage.Playlist, error) {
	for n := 1; ; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s %d", name, n)
		}
		p, err := c.signage.CreatePlaylist(ctx, try)
		if !errors.Is(err, signage.ErrTaken) {
			return p, err
		}
	}
}
