package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"porthole/packages/console/signage"
)

func (a *apply) takePlaylists(ctx context.Context) error {
	for _, p := range a.st.Playlists {
		if err := a.takePlaylist(ctx, p); err != nil {
			return inFile("playlist", p.Name, err)
		}
	}
	return nil
}

func (a *apply) takePlaylist(ctx context.Context, p PlaylistState) error {
	draft, err := a.check(ctx, p.Draft)
	if err != nil {
		return err
	}
	live, err := a.check(ctx, p.Live)
	if err != nil {
		return err
	}
	id, err := a.idOf(ctx, "playlists", "name", p.Name)
	if err != nil {
		return err
	}
	if id != 0 && a.replace && p.Version == 0 {
		// It must not go on showing here what was never published there.
		if _, err := a.tx.ExecContext(ctx, "DELETE FROM playlists WHERE id = ? AND version > 0", id); err != nil {
			return fmt.Errorf("replace playlist: %w", err)
		}
		if id, err = a.idOf(ctx, "playlists", "name", p.Name); err != nil {
			return err
		}
	}
	fresh := id == 0
	if fresh {
		if id, err = createPlaylist(ctx, a.tx, p.Name); err != nil {
			return err
		}
	}
	a.playlists[p.ID] = id
	have, err := playlist(ctx, a.tx, id)
	if err != nil {
		return err
	}
	same, err := a.same(ctx, have, draft, live, p.Version > 0)
	if err != nil {
		return err
	}
	if same && !fresh && have.Transition == p.Transition {
		a.done.Playlists.Same++
		return nil
	}
	if fresh {
		a.done.Playlists.Added++
	} else {
		a.done.Playlists.Changed++
	}
	have.Transition = p.Transition
	if err := updatePlaylist(ctx, a.tx, have); err != nil || same {
		return err
	}
	// What is live is what was published last: so publish it, then put the draft back.
	if p.Version > 0 {
		if err := setDraft(ctx, a.tx, id, live); err != nil {
			return err
		}
		if err := publish(ctx, a.tx, id); err != nil {
			return err
		}
		if slices.EqualFunc(draft, live, sameItem) {
			return nil
		}
	}
	return setDraft(ctx, a.tx, id, draft)
}

// check returns items of the State with the ids of media here.
func (a *apply) check(ctx context.Context, items []signage.Item) ([]signage.Item, error) {
	if len(items) > MaxItems {
		return nil, wrong("items", fmt.Sprintf("a playlist has at most %d items", MaxItems))
	}
	var all []signage.Item
	for _, i := range items {
		if i.Kind == signage.ItemMedia {
			t, ok := a.media[i.MediaID]
			if !ok {
				return nil, wrong("items", "one shows a medium that is not in the file")
			}
			i.MediaID = t.ID
		}
		i, err := checkItem(ctx, a.tx, i)
		if err != nil {
			return nil, err
		}
		all = append(all, i)
	}
	return all, nil
}

// same reports whether a playlist has these items already.
func (a *apply) same(ctx context.Context, have signage.Playlist, draft, live []signage.Item, isPublished bool) (bool, error) {
	haveDraft, err := items(ctx, a.tx, have.ID, signage.Draft)
	if err != nil {
		return false, err
	}
	haveLive, err := items(ctx, a.tx, have.ID, signage.Live)
	if err != nil {
		return false, err
	}
	return isPublished == (have.Version > 0) && slices.EqualFunc(haveDraft, draft, sameItem) && slices.EqualFunc(haveLive, live, sameItem), nil
}

// sameItem reports whether two items show the same, whatever their ids.
func sameItem(a, b signage.Item) bool {
	return a.Kind == b.Kind && a.MediaID == b.MediaID && a.Camera == b.Camera && a.URL == b.URL && a.Text == b.Text &&
		a.Duration == b.Duration && a.Fit == b.Fit && a.Description == b.Description
}

// setDraft replaces the draft of a playlist by items that were checked.
func setDraft(ctx context.Context, tx *sql.Tx, playlist int64, items []signage.Item) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM playlist_items WHERE playlist = ? AND stage = 'draft'", playlist); err != nil {
		return fmt.Errorf("empty draft: %w", err)
	}
	return edit(ctx, tx, playlist, func(tx *sql.Tx, ids []int64) ([]int64, error) {
		if err := boundItems(ctx, tx, len(items)); err != nil {
			return nil, err
		}
		for n, i := range items {
			id, err := insertItem(ctx, tx, playlist, n+1, i)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	})
}
