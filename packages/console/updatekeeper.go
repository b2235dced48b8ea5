package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"porthole/packages/console/updates"
)

const (
	// settingUpdateNoted marks what the audit log has of updates, settingUpdateSeen the notice that somebody has read.
	settingUpdateNoted = "update_noted"
	settingUpdateSeen  = "update_seen"
	// noticeUpdate is system's area of what is wrong with updates, and how its notices' IDs begin.
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

// updateNotice is what system says of an update; false if somebody has read it.
func (c *console) updateNotice(ctx context.Context, text string) (notice, bool, error) {
	sum := sha256.Sum256([]byte(text))
	digest := hex.EncodeToString(sum[:8])
	seen, err := setting(ctx, c.store.r, settingUpdateSeen)
	n := notice{ID: noticeUpdate + "-" + digest, Title: "An update was rolled back", Problem: text, Seen: true, Link: "/settings/updates"}
	return n, seen != digest, err
}

// dismissUpdate puts a notice away, until system says something else.
func (c *console) dismissUpdate(w http.ResponseWriter, r *http.Request, digest string) {
	if _, err := hex.DecodeString(digest); err != nil || len(digest) != 16 {
		c.notFound(w, r)
		return
	}
	err := c.store.write(r.Context(), func(tx *sql.Tx) error { return setSetting(r.Context(), tx, settingUpdateSeen, digest) })
	if err != nil {
		c.failed(w, r, err)
		return
	}
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
