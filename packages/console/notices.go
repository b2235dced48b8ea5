package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"porthole/packages/internal/identity"
	"porthole/packages/internal/provision"
)

// noticeTrust is the hint about our own certificate authority.
const noticeTrust = "trust"

// notice stands on top of the home page until an admin has read it, or for as long as it holds.
type notice struct {
	// ID is part of a path.
	ID    string
	Title string
	// Problem is what is wrong with the device now: nobody can put it away.
	Problem string
	// Seen says that somebody may put it away all the same, as it is about something that is over; Link leads to more.
	Seen bool
	Link string
	// Trust says that this is the hint on certificates; else Problems says what was wrong in porthole.toml.
	Trust    bool
	Problems []provision.Problem
}

// problemTitles are the headings of what system says is wrong with the device, by area. What it says of the lines of
// porthole.toml is known here already.
var problemTitles = map[string]string{
	"storage":     "The storage needs a look",
	"certificate": "The certificate needs a look",
	"processes":   "Something has stopped working",
	"processor":   "The processor needs a look",
	"boot":        "The card needs a look",
	noticeUpdate:  "An update did not stay",
}

// notices returns what admins have to read.
func (c *console) notices(ctx context.Context, ca *certificateView, now problemList) ([]notice, error) {
	var list []notice
	for i, p := range now.Problems {
		if title, ok := problemTitles[p.Area]; ok {
			n := notice{ID: fmt.Sprintf("problem-%s-%d", p.Area, i), Title: title, Problem: p.Text}
			if p.Area == noticeUpdate {
				n.ID, n.Seen, n.Link = noticeUpdate, true, "/settings/updates"
			}
			list = append(list, n)
		}
	}
	if n, ok := c.acmeNotice(); ok {
		list = append(list, n)
	}
	for i, text := range c.library.Problems() {
		list = append(list, notice{ID: fmt.Sprintf("problem-media-%d", i), Title: "A stored file needs a look", Problem: text})
	}
	past, err := provisionNotices(ctx, c.store.r)
	if err != nil {
		return nil, err
	}
	list = append(list, past...)
	read, err := dismissed(ctx, c.store.r, noticeTrust)
	if err != nil {
		return nil, err
	}
	if ca != nil && !read {
		list = append(list, notice{ID: noticeTrust, Title: "Did your browser warn you?", Trust: true})
	}
	return list, nil
}

func provisionNotices(ctx context.Context, q querier) ([]notice, error) {
	rows, err := q.QueryContext(ctx, "SELECT digest, problems FROM provisions WHERE dismissed = 0 ORDER BY applied DESC")
	if err != nil {
		return nil, fmt.Errorf("read provisioning notices: %w", err)
	}
	defer rows.Close()
	var list []notice
	for rows.Next() {
		var digest, problems string
		if err := rows.Scan(&digest, &problems); err != nil {
			return nil, fmt.Errorf("read provisioning notice: %w", err)
		}
		n := notice{ID: "provision-" + digest, Title: "Some of " + provision.Name + " was not taken"}
		if err := json.Unmarshal([]byte(problems), &n.Problems); err != nil {
			return nil, fmt.Errorf("decode provisioning notice: %w", err)
		}
		list = append(list, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read provisioning notices: %w", err)
	}
	return list, nil
}

// refusals are the provisioning notices for the screen, a line each. They hold no values from the file.
func refusals(ctx context.Context, q querier) ([]string, error) {
	list, err := provisionNotices(ctx, q)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, n := range list {
		for _, p := range n.Problems {
			if p.Line == 0 {
				// Found here, not by who read the file.
				lines = append(lines, p.Key+": "+p.Reason)
				continue
			}
			lines = append(lines, p.String())
		}
	}
	return lines, nil
}

// dismissed reports whether an admin has put away the named notice.
func dismissed(ctx context.Context, q querier, name string) (bool, error) {
	v, err := setting(ctx, q, "dismissed/"+name)
	return v != "", err
}

// dismiss puts a notice away.
func (c *console) dismiss(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	name := r.PathValue("notice")
	if name == noticeUpdate {
		c.dismissUpdate(w, r, id)
		return
	}
	digest, isProvision := strings.CutPrefix(name, "provision-")
	if !isProvision && name != noticeTrust {
		c.notFound(w, r)
		return
	}
	// The screen shows the notices on porthole.toml too.
	store := c.store.write
	if isProvision {
		store = c.store.change
	}
	err := store(r.Context(), func(tx *sql.Tx) error {
		if !isProvision {
			return setSetting(r.Context(), tx, "dismissed/"+name, time.Now().UTC().Format(time.RFC3339))
		}
		_, err := tx.ExecContext(r.Context(), "UPDATE provisions SET dismissed = 1 WHERE digest = ?", digest)
		if err != nil {
			return fmt.Errorf("put notice away: %w", err)
		}
		return nil
	})
	if err != nil {
		c.failed(w, r, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
