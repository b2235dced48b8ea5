package library

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"porthole/packages/console/signage"
	"porthole/packages/internal/retry"
)

const (
	// finishTries is how often an upload that is complete is tried to be kept when something here fails.
	finishTries = 5
	leastRetry  = time.Second
	mostRetry   = 20 * time.Second
)

// work takes complete uploads, one after the other, until ctx ends.
func (l *Library) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-l.uploads.queue:
			l.complete(ctx, u)
		}
	}
}

// complete makes a medium of an upload, or refuses it. What ctx interrupts goes on at the next start.
func (l *Library) complete(ctx context.Context, u *upload) {
	for failures := 1; ; failures++ {
		m, notes, err := l.finishUpload(ctx, u)
		reason, refused := AsRefusal(err)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errGone):
			l.removeUpload(u)
			l.uploads.drop(u)
			return
		case err == nil:
			l.removeUpload(u)
			l.uploads.finish(u, Ready, m, notes, "")
			l.log.Info("medium uploaded", "id", m.ID, "name", m.Name, "bytes", m.SizeBytes, "account", u.info.By)
			return
		case !refused && failures < finishTries:
			l.log.Warn("cannot keep an upload yet", "upload", u.id, "err", err)
			retry.Pause(ctx, retry.Backoff(failures, leastRetry, mostRetry))
			continue
		case !refused:
			l.log.Error("cannot keep an upload", "upload", u.id, "err", err)
			reason = "Porthole could not keep this file; console's log says why. Upload it again."
		}
		l.removeUpload(u)
		l.uploads.finish(u, Refused, signage.Media{}, nil, reason)
		return
	}
}

// errGone says that an upload has become a medium before the power went.
var errGone = errors.New("the upload is a medium already")

func (l *Library) finishUpload(ctx context.Context, u *upload) (signage.Media, []string, error) {
	path := l.uploadPath(u.id)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) && u.info.SHA256 != "" {
		used, err := l.index.HashesInUse(ctx)
		if err != nil {
			return signage.Media{}, nil, fmt.Errorf("finish upload: %w", err)
		}
		if used[u.info.SHA256] {
			return signage.Media{}, nil, errGone
		}
		path = l.path("media", u.info.SHA256)
		f, err = os.Open(path)
		if err != nil {
			return signage.Media{}, nil, errGone
		}
	} else if err != nil {
		return signage.Media{}, nil, fmt.Errorf("finish upload: %w", err)
	}
	defer f.Close()
	sha := u.info.SHA256
	if sha == "" {
		if sha, err = u.contentHash(ctx, f); err != nil {
			return signage.Media{}, nil, err
		}
		l.uploads.mu.Lock()
		u.info.SHA256 = sha
		l.uploads.mu.Unlock()
		if err := l.saveInfo(u); err != nil {
			return signage.Media{}, nil, fmt.Errorf("finish upload: %w", err)
		}
	}
	return l.take(ctx, path, sha, signage.Media{Name: u.info.Name, By: u.info.By})
}
