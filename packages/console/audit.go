package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"

	"porthole/packages/internal/identity"
)

// The areas of the audit log.
const (
	auditCertificates = "certificates" // issued, renewed, imported, removed
	auditTrust        = "trust"        // what this device trusts: pins and their changes
	auditAccounts     = "accounts"
	auditSettings     = "settings"
	auditDevice       = "device"
)

// maxAudit bounds the audit log, in entries.
const maxAudit = 5000

// auditEntry is a line of the audit log.
type auditEntry struct {
	At time.Time
	// Who is an account or a process of ours, Remote the address it came from, empty for processes.
	Who, Remote string
	Area        string
	// What is a sentence's predicate: "added the account anna as viewer".
	What string
}

// audited writes an entry in the transaction of what it tells of.
func audited(ctx context.Context, tx *sql.Tx, e auditEntry) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO audit (at, who, remote, area, what) VALUES (?, ?, ?, ?, ?)",
		time.Now().Unix(), e.Who, e.Remote, e.Area, e.What)
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?", maxAudit); err != nil {
		return fmt.Errorf("bound audit log: %w", err)
	}
	return nil
}

// auditMark is in the context of requests that change something: that an entry was made of it.
type auditMark struct{ made bool }

type auditKey struct{}

// byPerson is the entry of something a person did; the request is then not noted in general words too.
func byPerson(r *http.Request, id identity.Identity, area, what string) auditEntry {
	if mark, ok := r.Context().Value(auditKey{}).(*auditMark); ok {
		mark.made = true
	}
	return auditEntry{Who: id.User, Remote: remoteOf(r), Area: area, What: what}
}

// note writes an entry on its own, for what happens outside the database; that it could not be written is logged.
func (c *console) note(ctx context.Context, e auditEntry) {
	err := c.store.write(context.WithoutCancel(ctx), func(tx *sql.Tx) error { return audited(ctx, tx, e) })
	if err != nil {
		c.log.Error("cannot write the audit log", "err", err, "area", e.Area, "what", e.What)
	}
}

// auditLog returns the latest entries of an area, or of all for an empty one, the newest first.
func (s *store) auditLog(ctx context.Context, q querier, area string, limit int) ([]auditEntry, error) {
	rows, err := q.QueryContext(ctx, "SELECT at, who, remote, area, what FROM audit WHERE ?1 = '' OR area = ?1 ORDER BY id DESC LIMIT ?2", area, limit)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	defer rows.Close()
	var list []auditEntry
	for rows.Next() {
		var e auditEntry
		var at int64
		if err := rows.Scan(&at, &e.Who, &e.Remote, &e.Area, &e.What); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		e.At = time.Unix(at, 0).UTC()
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return list, nil
}
