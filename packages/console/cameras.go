package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"porthole/packages/internal/settings"
)

// errNoCamera means that no camera has that id.
var errNoCamera = errors.New("no such camera")

// storedCameras returns the household's own cameras in the order of their addition.
func storedCameras(ctx context.Context, q querier) ([]settings.Camera, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, name, url, more_urls, user, password, transport, auth, always_on, options FROM cameras ORDER BY rowid")
	if err != nil {
		return nil, fmt.Errorf("read cameras: %w", err)
	}
	defer rows.Close()
	var list []settings.Camera
	for rows.Next() {
		var c settings.Camera
		var more, options string
		if err := rows.Scan(&c.ID, &c.Name, &c.URL, &more, &c.User, &c.Password, &c.Transport, &c.Auth, &c.AlwaysOn, &options); err != nil {
			return nil, fmt.Errorf("read camera: %w", err)
		}
		err := json.Unmarshal([]byte(more), &c.MoreURLs)
		if err == nil {
			err = json.Unmarshal([]byte(options), &c.Options)
		}
		if err != nil {
			return nil, fmt.Errorf("decode camera %s: %w", c.ID, err)
		}
		if len(c.MoreURLs) == 0 {
			c.MoreURLs = nil
		}
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read cameras: %w", err)
	}
	return list, nil
}

// cameras returns the built-in cameras and then the household's. A built-in one hides another of the same id.
func (c *console) cameras(ctx context.Context, q querier) ([]settings.Camera, error) {
	stored, err := storedCameras(ctx, q)
	if err != nil {
		return nil, err
	}
	list := slices.Clone(c.builtin)
	for _, cam := range stored {
		if !c.isBuiltin(cam.ID) {
			list = append(list, cam)
		}
	}
	return list, nil
}

func (c *console) isBuiltin(id string) bool {
	return slices.ContainsFunc(c.builtin, func(b settings.Camera) bool { return b.ID == id })
}

// checkID refuses the ids that a camera of the household cannot have. The error is a *settings.FieldError.
func (c *console) checkID(id string) error {
	if id == "new" {
		return &settings.FieldError{Field: "id", Reason: `"new" is taken by the page that adds cameras; choose another`}
	}
	if c.isBuiltin(id) {
		return &settings.FieldError{Field: "id", Reason: fmt.Sprintf("%q is the built-in camera; choose another", id)}
	}
	return nil
}

// addCamera keeps a new camera; a *settings.FieldError when its id is taken.
func (c *console) addCamera(ctx context.Context, cam settings.Camera) error {
	if err := c.checkID(cam.ID); err != nil {
		return err
	}
	return c.store.change(ctx, func(tx *sql.Tx) error {
		var name string
		switch err := tx.QueryRowContext(ctx, "SELECT name FROM cameras WHERE id = ?", cam.ID).Scan(&name); {
		case err == nil:
			return &settings.FieldError{Field: "id", Reason: fmt.Sprintf("%q is taken by the camera %q; choose another", cam.ID, name)}
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("look for camera %s: %w", cam.ID, err)
		}
		return putCamera(ctx, tx, cam)
	})
}

// updateCamera changes a camera; errNoCamera when somebody deleted it meanwhile.
func (c *console) updateCamera(ctx context.Context, cam settings.Camera) error {
	return c.store.change(ctx, func(tx *sql.Tx) error {
		var one int
		switch err := tx.QueryRowContext(ctx, "SELECT 1 FROM cameras WHERE id = ?", cam.ID).Scan(&one); {
		case errors.Is(err, sql.ErrNoRows):
			return errNoCamera
		case err != nil:
			return fmt.Errorf("look for camera %s: %w", cam.ID, err)
		}
		return putCamera(ctx, tx, cam)
	})
}

// deleteCamera forgets a camera; errNoCamera when there is none.
func (c *console) deleteCamera(ctx context.Context, id string) error {
	return c.store.change(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, "DELETE FROM cameras WHERE id = ?", id)
		if err != nil {
			return fmt.Errorf("delete camera %s: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(errNoCamera, err)
		}
		if err := forgetCamera(ctx, tx, id); err != nil {
			return err
		}
		return dropTokens(ctx, tx, id)
	})
}

// putCamera adds or replaces; a replaced camera keeps its place and the tokens of the streams it still has.
func putCamera(ctx context.Context, tx *sql.Tx, cam settings.Camera) error {
	more, err := json.Marshal(cam.MoreURLs)
	if err != nil {
		return fmt.Errorf("encode camera %s: %w", cam.ID, err)
	}
	options, err := json.Marshal(cam.Options)
	if err != nil {
		return fmt.Errorf("encode camera %s: %w", cam.ID, err)
	}
	if cam.Auth == "" {
		cam.Auth = settings.AnyAuth
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO cameras (id, name, url, more_urls, user, password, transport, auth, always_on, options)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, url = excluded.url, more_urls = excluded.more_urls, user = excluded.user,
			password = excluded.password, transport = excluded.transport, auth = excluded.auth, always_on = excluded.always_on,
			options = excluded.options`,
		cam.ID, cam.Name, cam.URL, string(more), cam.User, cam.Password, cam.Transport, cam.Auth, cam.AlwaysOn, string(options))
	if err != nil {
		return fmt.Errorf("keep camera %s: %w", cam.ID, err)
	}
	return completeTokens(ctx, tx, cam)
}
