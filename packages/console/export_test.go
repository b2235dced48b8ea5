package main

import (
	"context"
	"net/http"
	"path/filepath"
)

// What tests look at besides the two sockets.
var (
	LocalPath    = localPath
	Printable    = printable
	Slug         = slug
	DurationText = durationText
	NewClaimCode = newClaimCode
	CleanName    = cleanName
	CheckAllowed = checkAllowed
	CheckOpen    = checkOpen
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
