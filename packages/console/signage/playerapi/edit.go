package playerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/program"
)

const (
	// maxEdit bounds an edited picture with what is said of it, in bytes; editMemory is what of it stays in memory.
	maxEdit    = 32 << 20
	editMemory = 1 << 20
)

// metadata is what a player says of a picture that it has edited. Its own count of versions does not count here.
type metadata struct {
	Modified     word `json:"time_of_modification"`
	OriginalName word `json:"original_name"`
	NewName      word `json:"new_name"`
	Version      word `json:"version"`
	User         word `json:"user"`
}

// readMetadata reads the metadata field of an edit.
func readMetadata(text string) (metadata, error) {
	var m metadata
	if len(text) > maxBody || json.Unmarshal([]byte(text), &m) != nil {
		return m, bad("metadata is not the JSON object that this call takes: time_of_modification, original_name, new_name, version")
	}
	if m.OriginalName == "" {
		return m, bad("metadata needs original_name: the file_name that the playlist has")
	}
	return m, nil
}

// name is what the edited picture is called: the last part of a path, whatever system it came from.
func (m metadata) name(file string) string {
	for _, n := range []word{m.NewName, word(file), m.OriginalName} {
		s := n.short(maxWord)
		if i := strings.LastIndexAny(s, `/\`); i >= 0 {
			s = s[i+1:]
		}
		s = strings.TrimLeft(strings.Map(func(r rune) rune {
			if strings.ContainsRune(`:*?"<>|`, r) {
				return '_'
			}
			return r
		}, s), ". ")
		if s != "" {
			return s
		}
	}
	return "edited.jpg"
}

type editAnswer struct {
	Success            bool   `json:"success"`
	Message            string `json:"message"`
	EditID             int64  `json:"edit_id"`
	Version            int    `json:"version"`
	NewPlaylistVersion int64  `json:"new_playlist_version"`
}

// edit is POST /api/player-edit-media: an edited picture takes the place of the one it was made of.
func (a *API) edit(w http.ResponseWriter, r *http.Request) error {
	c, err := a.authenticate(r, fields{}, tells)
	if err != nil {
		return err
	}
	if !c.MayEdit {
		return a.refuse(r, c.Hostname, whyEdit)
	}
	// One at a time: what does not fit into memory lies in the run folder, which is memory too.
	select {
	case <-r.Context().Done():
		return r.Context().Err()
	case a.edits <- struct{}{}:
	}
	defer func() { <-a.edits }()
	m, picture, err := readEdit(w, r)
	if err != nil {
		return err
	}
	defer r.MultipartForm.RemoveAll() //nolint:errcheck // they are temporary
	old, err := a.ownPicture(r.Context(), c.ID, string(m.OriginalName))
	if err != nil {
		return err
	}
	if old == 0 {
		return a.refuse(r, c.Hostname, whyNotShown)
	}
	made, err := a.replace(r.Context(), c.player, old, m, picture)
	if isGone(err) {
		return a.refuse(r, c.Hostname, whyNotShown)
	}
	if err != nil {
		return err
	}
	now, err := a.playlist(r, c.player)
	if err != nil {
		return err
	}
	a.c.Log.Info("a screen sent an edited picture", "player", c.Name, "medium", made.Name, "version", made.Version)
	writeJSON(w, http.StatusOK, editAnswer{
		Success: true, Message: "Edited picture received", EditID: made.ID, Version: made.Version, NewPlaylistVersion: now.Version,
	})
	return nil
}

// readEdit reads the form of an edit. Where there is no error the caller removes the form's files.
func readEdit(w http.ResponseWriter, r *http.Request) (metadata, *multipart.FileHeader, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxEdit)
	if err := r.ParseMultipartForm(editMemory); err != nil {
		if errors.Is(err, http.ErrNotMultipart) {
			err = &problem{status: http.StatusUnsupportedMediaType, text: "send image_file and metadata as multipart/form-data"}
		} else {
			err = unreadable(err)
		}
		return metadata{}, nil, err
	}
	m, err := readMetadata(r.FormValue("metadata"))
	files := r.MultipartForm.File["image_file"]
	if err == nil && len(files) != 1 {
		err = bad("send one file as image_file")
	}
	if err != nil {
		r.MultipartForm.RemoveAll() //nolint:errcheck // they are temporary
		return m, nil, err
	}
	return m, files[0], nil
}

// ownPicture returns the id of the picture that a player calls so, of those in its own playlists; 0 when there is none.
func (a *API) ownPicture(ctx context.Context, player int64, name string) (int64, error) {
	p, err := a.c.Store.Program(ctx, player, time.Now())
	if err != nil {
		return 0, err
	}
	return pictureNamed(p, name), nil
}

func pictureNamed(p program.Program, name string) int64 {
	for _, list := range p.Playlists {
		for _, i := range list.Items {
			if i.Kind == string(signage.Image) && (fileName(i.FileName, i.SHA256) == name || i.FileName == name) {
				return i.MediaID
			}
		}
	}
	return 0
}

// replace keeps an edited picture and puts it into the place of old.
func (a *API) replace(ctx context.Context, p *player, old int64, m metadata, file *multipart.FileHeader) (signage.Media, error) {
	was, err := a.c.Store.Media(ctx, old)
	if err != nil {
		return was, err
	}
	f, err := file.Open()
	if err != nil {
		return was, fmt.Errorf("open edited picture: %w", err)
	}
	defer f.Close()
	by := p.Name
	if user := m.User.short(maxWord); user != "" {
		by = user + " at " + p.Name
	}
	made, err := a.c.Adder.AddVersion(ctx, f, signage.Media{Name: m.name(file.Filename), By: by, Parent: old, Version: was.Version + 1})
	if why, refused := a.c.Refused(err); refused {
		return made, bad("the picture was not taken: " + why)
	}
	if err != nil {
		return made, fmt.Errorf("keep edited picture: %w", err)
	}
	if made.Kind != signage.Image {
		err = bad("this is no picture")
	} else {
		_, err = a.c.Store.ReplaceMedia(ctx, p.ID, old, made.ID)
	}
	if err != nil {
		// Nobody waits for it any more; its file goes with the next collection.
		if gone := a.c.Store.DeleteMedia(context.WithoutCancel(ctx), made.ID); gone != nil {
			a.c.Log.Warn("cannot remove an edited picture that was not wanted", "medium", made.Name, "err", gone)
		}
	}
	return made, err
}
