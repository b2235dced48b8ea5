package library

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"porthole/packages/internal/retry"
)

// scrubPause follows each 256 KiB that are checked.
const scrubPause = 15 * time.Millisecond

// clean removes what nobody uses, at start and now and then.
func (l *Library) clean(ctx context.Context) {
	for {
		if n, err := l.Collect(ctx); err != nil && ctx.Err() == nil {
			l.log.Warn("cannot remove files that nobody uses", "err", err)
		} else if n > 0 {
			l.log.Info("files that nobody uses were removed", "files", n)
		}
		for _, u := range l.uploads.expire(l.opts.Expire) {
			l.log.Info("upload expired", "upload", u.id, "name", u.info.Name)
			l.removeUpload(u)
		}
		if !retry.Pause(ctx, cleanEvery) {
			return
		}
	}
}

// Collect removes the files of contents that no medium has (any more), and thumbnails of none, and says how many. What
// somebody is about to put into the index stays: who adopts a content while the index is being read has a later turn.
func (l *Library) Collect(ctx context.Context) (int, error) {
	l.mu.Lock()
	start, pinned := l.turn, maps.Clone(l.pins)
	l.mu.Unlock()
	keep := l.uploads.stored()
	used, err := l.index.HashesInUse(ctx)
	if err != nil {
		return 0, fmt.Errorf("read which files are in use: %w", err)
	}
	maps.Copy(keep, used)
	removed := 0
	for _, dir := range []string{"media", "thumbs"} {
		entries, err := os.ReadDir(l.path(dir))
		if err != nil {
			return removed, fmt.Errorf("read folder: %w", err)
		}
		for _, e := range entries {
			sha := strings.TrimSuffix(e.Name(), ".jpg")
			if strings.HasPrefix(sha, ".new-") || keep[sha] || pinned[sha] > 0 {
				continue
			}
			if l.removeUnused(dir, e.Name(), sha, start) && dir == "media" {
				removed++
			}
		}
	}
	l.mu.Lock()
	maps.DeleteFunc(l.adopted, func(_ string, turn uint64) bool { return turn <= start })
	l.mu.Unlock()
	return removed, nil
}

// removeUnused removes a file unless its content was adopted after start.
func (l *Library) removeUnused(dir, name, sha string, start uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pins[sha] > 0 || l.adopted[sha] > start {
		return false
	}
	if dir == "media" {
		delete(l.sizes, sha)
		delete(l.problems, sha)
	}
	return os.RemoveAll(l.path(dir, name)) == nil
}

// Forget removes the file of a content at once, if no medium has it any more. Call it after a medium was deleted.
func (l *Library) Forget(ctx context.Context, sha string) error {
	if !isHash(sha) {
		return nil
	}
	l.mu.Lock()
	start, pinned := l.turn, l.pins[sha] > 0
	l.mu.Unlock()
	if pinned || l.uploads.stored()[sha] {
		return nil // Collect looks again
	}
	used, err := l.index.HashesInUse(ctx)
	if err != nil {
		return fmt.Errorf("read which files are in use: %w", err)
	}
	if !used[sha] {
		l.removeUnused("media", sha, sha, start)
		l.removeUnused("thumbs", sha+".jpg", sha, start)
	}
	return nil
}

// scrub reads one stored file after the other, slowly and now and then, and reports one that is not what its name says.
func (l *Library) scrub(ctx context.Context) {
	last := ""
	for retry.Pause(ctx, scrubEvery) {
		if last = l.nextContent(last); last == "" {
			continue
		}
		if err := l.Verify(ctx, last); err != nil && ctx.Err() == nil {
			l.log.Warn("cannot check a stored file", "sha256", last, "err", err)
		}
	}
}

// nextContent is the content after last in alphabetical order, the first after the end; empty when there is none.
func (l *Library) nextContent(last string) string {
	l.mu.Lock()
	all := slices.Sorted(maps.Keys(l.sizes))
	l.mu.Unlock()
	if len(all) == 0 {
		return ""
	}
	if i, found := slices.BinarySearch(all, last); found && i+1 < len(all) {
		return all[i+1]
	} else if !found && i < len(all) {
		return all[i]
	}
	return all[0]
}

// Verify reads a stored file and reports it if its content is not what its name says: it is not served from then on. The
// error says only why that could not be found out.
func (l *Library) Verify(ctx context.Context, sha string) error {
	f, err := l.Open(sha)
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	err = hashFile(ctx, io.MultiWriter(h, slow(func() bool { return retry.Pause(ctx, scrubPause) })), f)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		l.report(sha, "it cannot be read")
	case hex.EncodeToString(h.Sum(nil)) != sha:
		l.report(sha, "its content has changed")
	}
	return nil
}

// slow leaves time for others: a card reads 20 MB/s, of which it takes less than half.
type slow func() bool

func (s slow) Write(b []byte) (int, error) { s(); return len(b), nil }
