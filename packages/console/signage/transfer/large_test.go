package transfer_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/transfer"
)

// thin keeps files without ever holding one in memory, and without their content: it is all zeros.
type thin struct{ *device }

func (d thin) Add(ctx context.Context, r io.Reader, name, by string) (signage.Media, error) {
	h := sha256.New()
	size, err := io.Copy(h, r)
	if err != nil {
		return signage.Media{}, err
	}
	sha := hex.EncodeToString(h.Sum(nil))
	f, err := os.Create(filepath.Join(d.dir, sha))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		return signage.Media{}, err
	}
	if err := f.Close(); err != nil {
		return signage.Media{}, err
	}
	return d.AddMedia(ctx, signage.Media{SHA256: sha, SizeBytes: size, Name: name, Kind: signage.Video, MIME: "video/mp4", By: by})
}

// zeros are size bytes of nothing.
func zeros(size int64) io.Reader { return io.LimitReader(zeroReader{}, size) }

type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestLarge: media pass through without being held in memory.
func TestLarge(t *testing.T) {
	const size = 150 << 20
	a, b := thin{newDevice(t)}, thin{newDevice(t)}
	must(a.Add(t.Context(), zeros(size), "film.mp4", "admin"))(t)
	path := filepath.Join(t.TempDir(), "export.zip")
	f := must(os.Create(path))(t)
	defer f.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ok(t, transfer.New(a.Store, a).Export(t.Context(), f, transfer.ExportOptions{Now: made}))
	var progress int64
	r, err := transfer.New(b.Store, b).Import(t.Context(), f, transfer.ImportOptions{Progress: func(done, _ int64) { progress = done }})
	runtime.ReadMemStats(&after)
	if err != nil || r.Media.Added != 1 || r.Bytes != size || progress != size {
		t.Errorf("%+v, %v, progress %d", r, err, progress)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 20<<20 {
		t.Errorf("%d MB were allocated for a film of %d MB", used>>20, size>>20)
	}
}
