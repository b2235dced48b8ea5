package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/transfer"
	"porthole/packages/internal/identity"
)

// transfers imports one file after another, and remembers how the last one went.
type transfers struct {
	jobs chan importJob

	mu sync.Mutex // guards what follows
	// busy is from the first byte of an upload to the end of its import.
	busy      bool
	done, all int64 // bytes of media
	outcome   string
	failed    bool
	ended     time.Time
}

// importJob is a file that came whole. It has no name any more: closing it removes it.
type importJob struct {
	file    *os.File
	replace bool
	by      string
}

func newTransfers() *transfers { return &transfers{jobs: make(chan importJob, 1)} }

// begin reports whether nobody else is at it.
func (t *transfers) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy {
		return false
	}
	t.busy, t.done, t.all, t.outcome = true, 0, 0, ""
	return true
}

func (t *transfers) end(outcome string, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy, t.outcome, t.failed, t.ended = false, outcome, failed, time.Now()
}

func (t *transfers) progress(done, all int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.all = done, all
}

// takeTransfers imports what was uploaded until ctx ends.
func (c *console) takeTransfers(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-c.transfers.jobs:
			c.transfers.end(c.takeTransfer(ctx, job))
		}
	}
}

func (c *console) takeTransfer(ctx context.Context, job importJob) (outcome string, failed bool) {
	defer job.file.Close()
	report, err := c.transfer().Import(ctx, job.file, transfer.ImportOptions{Replace: job.replace, By: job.by, Progress: c.transfers.progress})
	if err == nil {
		err = c.ownScreen(ctx)
	}
	var wrong *transfer.Problem
	switch {
	case errors.As(err, &wrong):
		c.log.Warn("import refused", "reason", wrong.Reason, "account", job.by)
		return wrong.Reason, true
	case err != nil:
		c.log.Error("import failed", "err", err, "account", job.by)
		return "It could not be imported, and nothing was changed; console’s log says why.", true
	}
	c.log.Info("signage imported", "bytes", report.Bytes, "replace", job.replace, "account", job.by)
	return "Imported: " + importWords(report) + ".", false
}

func (c *console) transfer() *transfer.Transfer { return transfer.New(c.signage, c.library) }

// transferView is the page that takes everything away and brings it back.
type transferView struct {
	Error         string
	Busy          bool
	Words         string
	Done, All     int64
	Outcome, Tone string
	Free          string
}

func (c *console) transferPage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	c.showTransfer(w, r, http.StatusOK, id, "")
}

func (c *console) showTransfer(w http.ResponseWriter, r *http.Request, status int, id identity.Identity, wrong string) {
	free, _ := c.library.Space()
	v := transferView{Error: wrong, Free: sizeText(int64(free))}
	t := c.transfers
	t.mu.Lock()
	v.Busy, v.Done, v.All = t.busy, t.done, t.all
	switch {
	case t.busy && t.all == 0:
		v.Words = "A file is being brought here, or looked at."
	case t.busy:
		v.Words = fmt.Sprintf("Importing: %s of %s of media.", sizeText(t.done), sizeText(t.all))
	case t.outcome != "":
		v.Outcome = t.outcome + " (" + durationText(time.Since(t.ended)) + " ago)"
		v.Tone = "good"
		if t.failed {
			v.Tone = "bad"
		}
	}
	t.mu.Unlock()
	if isFragment(r) {
		c.renderPart(w, r, "transfer", "state-of-it", v)
		return
	}
	c.render(w, r, status, "transfer", page{Title: "Transfer", User: id, Body: v})
}

// exportSignage hands everything out as one file.
func (c *console) exportSignage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	now := time.Now()
	out := &download{w: w, name: "porthole-" + now.UTC().Format("2006-01-02") + transfer.Extension}
	err := c.transfer().Export(r.Context(), out, transfer.ExportOptions{Secrets: r.URL.Query().Get("secrets") != "", Now: now})
	var wrong *transfer.Problem
	switch {
	case err == nil:
		c.log.Info("signage exported", "account", id.User)
	case out.begun:
		if r.Context().Err() == nil {
			c.log.Error("export broke off", "err", err)
		}
		// The file must not look whole.
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to end a connection
	case errors.As(err, &wrong):
		c.showTransfer(w, r, http.StatusConflict, id, wrong.Reason)
	default:
		c.failed(w, r, err)
	}
}

// download says what it is with its first byte.
type download struct {
	w     http.ResponseWriter
	name  string
	begun bool
}

// Write implements io.Writer.
func (d *download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.w.Header().Set("Content-Type", transfer.MediaType)
		d.w.Header().Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	}
	return d.w.Write(b)
}

// importSignage takes an uploaded file; what becomes of it stands on the page.
func (c *console) importSignage(w http.ResponseWriter, r *http.Request, id identity.Identity) {
	if !c.transfers.begin() {
		c.showTransfer(w, r, http.StatusConflict, id, "Another file is being imported. Wait for its end.")
		return
	}
	job, reason, err := c.receive(r)
	if err != nil || reason != "" {
		c.transfers.end("", false)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		c.showTransfer(w, r, http.StatusUnprocessableEntity, id, reason)
		return
	}
	job.by = id.User
	c.transfers.jobs <- job // there is room: nobody else is at it
	http.Redirect(w, r, "/settings/transfer", http.StatusSeeOther)
}

// receive reads the form: the switch, then the file. The reason is for a person.
func (c *console) receive(r *http.Request) (job importJob, reason string, err error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return job, "Choose a file first.", nil //nolint:nilerr // that is what it means
	}
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return job, "Choose a file first.", nil
		case err != nil:
			return job, "The file did not arrive whole. Send it again.", nil //nolint:nilerr // the connection broke off
		case part.FormName() == "replace":
			b, err := io.ReadAll(io.LimitReader(part, 16))
			if err != nil {
				return job, "The file did not arrive whole. Send it again.", nil //nolint:nilerr // the connection broke off
			}
			job.replace = len(b) > 0
		case part.FormName() == "file":
			job.file, reason, err = c.keepPart(part)
			return job, reason, err
		}
	}
}

// keepPart writes an upload to a file without a name.
func (c *console) keepPart(part *multipart.Part) (f *os.File, reason string, err error) {
	f, err = os.CreateTemp(filepath.Join(c.env.PermDir, "console"), "import-*")
	if err != nil {
		return nil, "", fmt.Errorf("make a file for an import: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, "", errors.Join(fmt.Errorf("take an import's name away: %w", err), f.Close())
	}
	free, _ := c.library.Space()
	n, err := io.Copy(f, io.LimitReader(part, int64(free)+1))
	var disk *os.PathError
	switch {
	case n > int64(free) || errors.Is(err, syscall.ENOSPC):
		reason = "There is no room for this file: " + sizeText(int64(free)) + " are free. Delete media that nobody needs, or use a larger card."
	case errors.As(err, &disk):
		return nil, "", errors.Join(fmt.Errorf("keep an import: %w", err), f.Close())
	case err != nil:
		reason = "The file did not arrive whole. Send it again."
	case n == 0:
		reason = "Choose a file first."
	default:
		return f, "", nil
	}
	return nil, reason, f.Close()
}

// importWords says what an import did.
func importWords(r transfer.Report) string {
	var added, changed, same, removed int
	var kinds []string
	for _, k := range []struct {
		one, many string
		t         db.Tally
	}{
		{"medium", "media", r.Media}, {"playlist", "playlists", r.Playlists}, {"group", "groups", r.Groups},
		{"screen", "screens", r.Players}, {"rule", "rules", r.Rules},
	} {
		added, changed, same, removed = added+k.t.Added, changed+k.t.Changed, same+k.t.Same, removed+k.t.Removed
		if n := k.t.Added + k.t.Changed; n > 0 {
			kinds = append(kinds, countText(n, k.one, k.many))
		}
	}
	text := "nothing new"
	if len(kinds) > 0 {
		text = strings.Join(kinds, ", ") + fmt.Sprintf(" (%d added, %d changed)", added, changed)
	}
	if same > 0 {
		text += fmt.Sprintf("; %d were the same already", same)
	}
	if removed > 0 {
		text += fmt.Sprintf("; %d removed", removed)
	}
	return text
}
