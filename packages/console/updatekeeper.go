package main

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"porthole/packages/console/updates"
	"porthole/packages/internal/identity"
)

const (
	// settingUpdateNoted marks what the audit log has of updates.
	settingUpdateNoted = "update_noted"
	// noticeUpdate is system's area of what is wrong with updates, and its notice.
	noticeUpdate = "update"
)

// updateKeeper keeps what updates need in console's database.
type updateKeeper struct{ store *store }

// Noted implements updates.Keeper.
func (k updateKeeper) Noted(ctx context.Context) (string, error) {
	return setting(ctx, k.store.r, settingUpdateNoted)
}

// Note implements updates.Keeper.
func (k updateKeeper) Note(ctx context.Context, mark string, e updates.Entry) error {
	return k.store.write(ctx, func(tx *sql.Tx) error {
		if err := setSetting(ctx, tx, settingUpdateNoted, mark); err != nil {
			return err
		}
		return audited(ctx, tx, auditEntry{Who: e.Who, Remote: e.Remote, Area: auditDevice, What: e.What})
	})
}

// dismissUpdate has system forget that an update went wrong.
func (c *console) dismissUpdate(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if err := c.updates.Seen(r.Context(), by(r, id)); err != nil {
		var p *updates.Problem
		if !errors.As(err, &p) {
			c.failed(w, r, err)
			return
		}
		c.sorry(w, r, p.Status, "Not done", p.Text)
		return
	}
	c.backends.problems.forget()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// hostOf is an address without what may be secret in it.
func hostOf(address string) string {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" {
		return "an address"
	}
	return printable(u.Host)
}
