package transfer

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/console/signage/library"
	"porthole/packages/internal/settings"
)

// ImportOptions say what an import does.
type ImportOptions struct {
	// Replace removes everything that the file does not have. Without it the file's things are added, and take the place of
	// those of the same name.
	Replace bool
	// By is the account that imports.
	By string
	// Progress, if there is one, hears of bytes of media that were taken, of all that are to be taken.
	Progress func(done, all int64)
}

// Report says what an import did.
type Report struct {
	db.Applied
	// Bytes of media that came with the file and were not here yet.
	Bytes int64
}

// maxDirectory bounds what is read of the archive before its contents are known, in bytes: some 100 for each medium.
const maxDirectory = 12 << 20

// Import takes an exported file. Media come first, each checked against its SHA-256; then everything else in one
// transaction. When something is wrong, nothing is changed, and the error is a *Problem that says what.
func (t *Transfer) Import(ctx context.Context, f *os.File, o ImportOptions) (Report, error) {
	st, err := f.Stat()
	if err != nil {
		return Report{}, fmt.Errorf("import: %w", err)
	}
	a, err := openArchive(f, st.Size())
	if err != nil {
		return Report{}, err
	}
	var report Report
	media, fresh, err := t.takeMedia(ctx, a, o, &report)
	if err == nil {
		report.Applied, err = t.store.Apply(ctx, a.manifest.state(), media, o.Replace)
		err = explain(err)
	}
	if err != nil {
		// The media that came are nobody's now. ctx may be over.
		ctx := context.WithoutCancel(ctx)
		for _, m := range fresh {
			err = errors.Join(err, t.store.DeleteMedia(ctx, m.ID), t.files.Forget(ctx, m.SHA256))
		}
		return Report{}, err
	}
	return report, nil
}

// explain makes a *Problem of what a person can mend in a file.
func explain(err error) error {
	var f *settings.FieldError
	if errors.As(err, &f) || errors.Is(err, signage.ErrTaken) || errors.Is(err, signage.ErrNotFound) {
		return problem("Nothing was imported, as one thing in the file is not possible: %v.", err)
	}
	return err
}

// archive is an exported file that was opened.
type archive struct {
	manifest manifest
	files    map[string]*zip.File // by SHA-256
}

// openArchive reads what is in an archive, without the media themselves. Every error is a *Problem.
func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	guard := &bounded{r: r, left: maxDirectory}
	z, err := zip.NewReader(guard, size)
	switch {
	case errors.Is(err, errTooMuch):
		return nil, problem("This file has more parts than any that Porthole exports.")
	case err != nil:
		return nil, problem("This is not a file that Porthole exported, or it is not complete (%v). Copy or download it again.", err)
	}
	guard.open = true
	if len(z.File) > db.MaxMedia+1 {
		return nil, problem("This file has %d parts; at most %d are taken.", len(z.File), db.MaxMedia+1)
	}
	a := &archive{files: map[string]*zip.File{}}
	var list *zip.File
	for _, f := range z.File {
		sha, isMedium := strings.CutPrefix(f.Name, mediaFolder)
		switch {
		case f.Name == manifestName && list == nil && f.UncompressedSize64 <= maxManifest:
			list = f
		case isMedium && sha256Hex.MatchString(sha) && a.files[sha] == nil && f.Mode().IsRegular():
			a.files[sha] = f
		default:
			return nil, problem("This file has a part, %.80q, that none exported by Porthole has; nothing was taken of it.", f.Name)
		}
	}
	if list == nil {
		return nil, problem("This is not a file that Porthole's signage server exported: it has no list of contents.")
	}
	r2, err := list.Open()
	if err != nil {
		return nil, problem("The list of contents in this file cannot be read: %v.", err)
	}
	defer r2.Close()
	if a.manifest, err = readManifest(r2); err != nil {
		return nil, err
	}
	return a, a.checkFiles(size)
}

// checkFiles compares what the archive has with what its list says.
func (a *archive) checkFiles(size int64) error {
	listed := map[string]bool{}
	for _, m := range a.manifest.Media {
		if !listed[m.SHA256] {
			size -= m.Size
		}
		listed[m.SHA256] = true
		f := a.files[m.SHA256]
		switch {
		case f == nil:
			return problem("The file of %q is missing in this file, so it is not complete. Export it again.", m.Name)
		case f.UncompressedSize64 != uint64(m.Size):
			return problem("The file of %q has %d bytes, and should have %d. Export it again.", m.Name, f.UncompressedSize64, m.Size)
		case f.Method != zip.Store:
			return problem("The file of %q is compressed, which Porthole's own never are. Import the file as it was exported.", m.Name)
		}
	}
	if size < 0 {
		return problem("The media of this file would be larger than the file itself; nothing was taken of it.")
	}
	for sha := range a.files {
		if !listed[sha] {
			return problem("This file has a part, %q, that is not in its list of contents; nothing was taken of it.", mediaFolder+sha)
		}
	}
	return nil
}

// takeMedia brings the media of the archive into the library: those that are not there with the same name and content. It
// returns what Apply needs, and those that came, also with an error.
func (t *Transfer) takeMedia(ctx context.Context, a *archive, o ImportOptions, report *Report) (map[int64]db.Taken, []signage.Media, error) {
	have, err := t.store.AllMedia(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("import: %w", err)
	}
	taken, missing := match(a.manifest.Media, have, o.Replace)
	var all, done int64
	for _, m := range missing {
		all += m.Size
	}
	var fresh []signage.Media
	for _, m := range missing {
		added, err := t.takeMedium(ctx, a.files[m.SHA256], m, o.By)
		if added.ID != 0 {
			fresh = append(fresh, added)
		}
		if err != nil {
			return nil, fresh, err
		}
		taken[m.ID] = db.Taken{ID: added.ID, Fresh: true, Rename: true}
		done += m.Size
		report.Bytes = done
		if o.Progress != nil {
			o.Progress(done, all)
		}
	}
	return taken, fresh, nil
}

// match finds the media of a file among those that are here: by name and content, else by content alone. Each stands for
// one of the file's; when everything is replaced it gets that one's name.
func match(listed []medium, have []signage.Media, replace bool) (taken map[int64]db.Taken, missing []medium) {
	type key struct{ name, sha string }
	exact, content := map[key]int64{}, map[string][]int64{}
	for _, m := range have {
		exact[key{m.Name, m.SHA256}] = m.ID
	}
	taken, used := map[int64]db.Taken{}, map[int64]bool{}
	for _, m := range listed {
		if id, ok := exact[key{m.Name, m.SHA256}]; ok {
			taken[m.ID], used[id] = db.Taken{ID: id}, true
		}
	}
	for _, m := range have {
		if !used[m.ID] {
			content[m.SHA256] = append(content[m.SHA256], m.ID)
		}
	}
	for _, m := range listed {
		if taken[m.ID].ID != 0 {
			continue
		}
		if ids := content[m.SHA256]; len(ids) > 0 {
			taken[m.ID], content[m.SHA256] = db.Taken{ID: ids[0], Rename: replace}, ids[1:]
			continue
		}
		missing = append(missing, m)
	}
	return taken, missing
}

func (t *Transfer) takeMedium(ctx context.Context, f *zip.File, m medium, by string) (signage.Media, error) {
	r, err := f.Open()
	if err != nil {
		return signage.Media{}, problem("The file of %q cannot be read: %v.", m.Name, err)
	}
	defer r.Close()
	checked := &checkedReader{r: io.LimitReader(r, m.Size+1), hash: sha256.New(), want: m.SHA256}
	added, err := t.files.Add(ctx, &stoppable{ctx, checked}, m.Name, by)
	switch {
	case checked.wrong != nil:
		return added, problem("The file of %q is damaged: its content is not what the list of contents says (%v). Copy or export the file again; nothing was imported.", m.Name, checked.wrong)
	case err != nil:
		if reason, ok := library.AsRefusal(err); ok {
			return added, problem("Nothing was imported, as %q was refused: %s", m.Name, reason)
		}
		return added, fmt.Errorf("import %q: %w", m.Name, err)
	case added.SHA256 != m.SHA256:
		return added, fmt.Errorf("import %q: it was kept as something else", m.Name)
	}
	return added, nil
}

var errNotTheSame = errors.New("its SHA-256 differs")

// checkedReader ends with an error when what was read is not what its hash says.
type checkedReader struct {
	r     io.Reader
	hash  hash.Hash
	want  string
	wrong error
}

func (c *checkedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.hash.Write(b[:n])
	switch {
	case errors.Is(err, io.EOF):
		if hex.EncodeToString(c.hash.Sum(nil)) != c.want {
			c.wrong = errNotTheSame
			return n, c.wrong
		}
	case err != nil:
		c.wrong = err
	}
	return n, err
}

var errTooMuch = errors.New("too much to read")

// bounded bounds what is read of a file until it is open.
type bounded struct {
	r    io.ReaderAt
	left int64
	open bool
}

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if b.open {
		return b.r.ReadAt(p, off)
	}
	if b.left < int64(len(p)) {
		return 0, errTooMuch
	}
	n, err := b.r.ReadAt(p, off)
	b.left -= int64(n)
	return n, err
}
