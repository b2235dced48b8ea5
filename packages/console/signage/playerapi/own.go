package playerapi

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"porthole/packages/internal/program"
)

// ownAddress is where the device's own screen is said to come from.
const ownAddress = "this device"

// mediaName is a SHA-256 in hex, as files of media are called.
var mediaName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Own returns the handler for the device's own screen, which needs no credentials: the caller serves it on a socket that
// only that process can open, and id says which player it is. The calls are those of docs/architecture.md:
// GET /signage/program, GET /signage/media/SHA256, POST /signage/feedback.
func (a *API) Own(id func(context.Context) (int64, error)) http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *player) error{
		"GET /signage/program":        a.ownProgram,
		"GET /signage/media/{sha256}": a.ownMedia,
		"POST /signage/feedback":      a.ownFeedback,
	} {
		mux.HandleFunc(pattern, a.answer(func(w http.ResponseWriter, r *http.Request) error {
			own, err := id(r.Context())
			if err != nil {
				return err
			}
			p, err := a.known.byID(r.Context(), own)
			if err != nil {
				return err
			}
			a.presence.seen(p, ownAddress, r.UserAgent(), false)
			return h(w, r, p)
		}))
	}
	return mux
}

// ownProgram is program, with addresses of media on the same socket.
func (a *API) ownProgram(w http.ResponseWriter, r *http.Request, me *player) error {
	return a.serveProgram(w, r, me.ID, func(i program.Item, _ time.Time) string { return "/signage/media/" + i.SHA256 })
}

// ownMedia serves a file by its content.
func (a *API) ownMedia(w http.ResponseWriter, r *http.Request, _ *player) error {
	sum := r.PathValue("sha256")
	missing := &problem{status: http.StatusNotFound, text: "there is no medium with this content (any more)"}
	if !mediaName.MatchString(sum) {
		return missing
	}
	f, err := a.c.Files.Open(sum)
	if isGone(err) {
		return missing
	}
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", strconv.Quote(sum))
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// ownFeedback is feedback.
func (a *API) ownFeedback(w http.ResponseWriter, r *http.Request, me *player) error {
	f, err := read(w, r)
	if err != nil {
		return err
	}
	return a.report(w, r, me.ID, f)
}
