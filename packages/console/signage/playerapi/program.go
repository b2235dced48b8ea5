package playerapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/packages/internal/program"
)

// program is GET /api/players/{id}/program: all that a player needs to decide by itself. With If-None-Match and
// ?wait=SECONDS it answers when there is another one, or 304 when there was none.
func (a *API) program(w http.ResponseWriter, r *http.Request) error {
	c, err := a.self(r, fetches)
	if err != nil {
		return err
	}
	patience, err := patience(r.URL.Query().Get("wait"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(patience, a.c.LongPoll))
	defer cancel()
	for {
		next := a.news.next()
		p, tag, err := a.programNow(r, c.ID)
		if err != nil {
			return err
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "private, no-cache")
		if !matchesTag(r.Header.Get("If-None-Match"), tag) {
			writeJSON(w, http.StatusOK, p)
			return nil
		}
		if patience == 0 || !wait(ctx, next) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		// Whoever was switched off meanwhile is told so at once.
		p2, err := a.known.byID(r.Context(), c.ID)
		if isGone(err) || (err == nil && !p2.Enabled) {
			return a.refuse(r, c.Hostname, whyDisabled)
		}
		if err != nil {
			return err
		}
	}
}

func patience(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 3600 {
		return 0, bad("wait is a number of seconds, at most 55")
	}
	return time.Duration(n) * time.Second, nil
}

// programNow returns a player's program with the addresses of its media, and its ETag: that of all but the time.
func (a *API) programNow(r *http.Request, id int64) (program.Program, string, error) {
	now := time.Now()
	p, err := a.c.Store.Program(r.Context(), id, now)
	if err != nil {
		return p, "", err
	}
	for _, list := range p.Playlists {
		for n, i := range list.Items {
			if i.MediaID != 0 {
				list.Items[n].URL = a.mediaURL(r, capability{player: id, media: i.MediaID}, fileName(i.FileName, i.SHA256), now)
			}
		}
	}
	a.presence.on(id, func(l *live) {
		l.Follows = true
		if l.IdentifyUntil.After(now) {
			p.IdentifyUntil = l.IdentifyUntil.UTC().Truncate(time.Second)
		}
		if !l.ScreenshotAsked.IsZero() {
			p.Screenshot = l.ScreenshotAsked.UnixMilli()
		}
	})
	p.Time = time.Time{}
	b, err := json.Marshal(p)
	if err != nil {
		return p, "", fmt.Errorf("encode program: %w", err)
	}
	p.Time = now.UTC()
	sum := sha256.Sum256(b)
	return p, `W/"` + hex.EncodeToString(sum[:16]) + `"`, nil
}

// matchesTag reports whether a list of entity tags has tag, by weak comparison (RFC 9110 section 13.1.2).
func matchesTag(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}
