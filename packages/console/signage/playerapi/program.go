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

// program is GET /api/players/{id}/program: all that a player needs to decide by itself.
func (a *API) program(w http.ResponseWriter, r *http.Request) error {
	c, err := a.self(r, fetches)
	if err != nil {
		return err
	}
	return a.serveProgram(w, r, c.ID, func(i program.Item, now time.Time) string {
		return a.mediaURL(r, capability{player: c.ID, media: i.MediaID}, fileName(i.FileName, i.SHA256), now)
	})
}

// serveProgram answers with the program of a player, in which media have the addresses that address says. With If-None-Match
// and ?wait=SECONDS it answers when there is another one, or 304 when there was none.
func (a *API) serveProgram(w http.ResponseWriter, r *http.Request, id int64, address func(program.Item, time.Time) string) error {
	patience, err := patience(r.URL.Query().Get("wait"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(patience, a.c.LongPoll))
	defer cancel()
	for {
		next := a.news.next()
		// Whoever was switched off meanwhile is told so at once.
		if p, err := a.known.byID(r.Context(), id); isGone(err) || (err == nil && !p.Enabled) {
			return a.refuse(r, "", whyDisabled)
		}
		p, tag, err := a.programNow(r.Context(), id, address)
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

// programNow returns a player's program and its ETag: that of all but the time.
func (a *API) programNow(ctx context.Context, id int64, address func(program.Item, time.Time) string) (program.Program, string, error) {
	now := time.Now()
	p, err := a.c.Store.Program(ctx, id, now)
	if err != nil {
		return p, "", err
	}
	for _, list := range p.Playlists {
		for n, i := range list.Items {
			if i.MediaID != 0 {
				list.Items[n].URL = address(i, now)
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
