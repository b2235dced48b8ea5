package main

import (
	"context"
	"net/http"
	"path/filepath"

	"porthole/packages/internal/identity"
)

// What tests look at besides the two sockets.
var (
	LocalPath    = localPath
	Printable    = printable
	Slug         = slug
	DurationText = durationText
	CleanName    = cleanName
	CheckAllowed = checkAllowed
	CheckOpen    = checkOpen
	LogPath      = logPath
)

// CameraFlag is cameraFlag.
type CameraFlag = cameraFlag

// Public is console's public handler without its socket, for tests that turn the clock. The caller calls done.
func Public(ctx context.Context, o Options) (h http.Handler, claim func() (string, error), done func() error, err error) {
	s, err := openStore(ctx, filepath.Join(o.Env.PermDir, "console", "porthole.db"))
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := newConsole(ctx, o, s)
	if err != nil {
		return nil, nil, nil, err
	}
	return c.publicHandler(), func() (string, error) { return s.claimCode(ctx, s.r) }, s.close, nil
}

// Route is a page: its pattern and who may see it, "anyone", "user", "editor" or "admin".
type Route struct{ Pattern, Who string }

// Routes are all pages.
func Routes() []Route {
	names := map[access]string{anyone: "anyone", user: "user", editor: "editor", admin: "admin"}
	var all []Route
	for _, r := range new(console).routes() {
		all = append(all, Route{r.pattern, names[r.who]})
	}
	return all
}

// PlainRoutes are the patterns of what is served without a session.
func PlainRoutes() []string {
	var all []string
	for _, r := range new(console).plainRoutes() {
		all = append(all, r.pattern)
	}
	return all
}

// CheckRoute is checkRoutes of one page.
func CheckRoute(who int) error {
	return checkRoutes([]route{{"GET /x", access(who), public(http.NotFound)}})
}

// May is may.
func May(role identity.Role, who string) bool {
	return may(role, map[string]access{"anyone": anyone, "user": user, "editor": editor, "admin": admin}[who])
}
