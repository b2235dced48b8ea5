package transfer

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// ExportOptions say what an exported file has.
type ExportOptions struct {
	// Secrets adds the hashes of screens' quick-connect codes and passwords. Auth codes are never exported.
	Secrets bool
	// Now is written into the file and onto its parts.
	Now time.Time
}

// Export writes everything to w. It first looks whether all files are there: an error before the first byte is a *Problem
// that names the medium; one after it leaves a file that Import refuses.
func (t *Transfer) Export(ctx context.Context, w io.Writer, o ExportOptions) error {
	st, err := t.store.State(ctx)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	m := newManifest(st, o.Now, o.Secrets)
	for _, x := range m.Media {
		if err := t.checkFile(x); err != nil {
			return err
		}
	}
	z := zip.NewWriter(w)
	list, err := z.CreateHeader(&zip.FileHeader{Name: manifestName, Method: zip.Deflate, Modified: o.Now})
	if err != nil {
		return fmt.Errorf("export list of contents: %w", err)
	}
	enc := json.NewEncoder(list)
	enc.SetIndent("", " ")
	if err := enc.Encode(m); err != nil {
		return fmt.Errorf("export list of contents: %w", err)
	}
	done := map[string]bool{}
	for _, x := range m.Media {
		if done[x.SHA256] {
			continue
		}
		done[x.SHA256] = true
		if err := t.exportFile(ctx, z, x, o.Now); err != nil {
			return fmt.Errorf("export %q: %w", x.Name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("end export: %w", err)
	}
	return nil
}

func (t *Transfer) checkFile(m medium) error {
	f, err := t.files.Open(m.SHA256)
	if err != nil {
		return problem("The file of %q is missing or damaged, so there would be a hole in the export. Upload it again, or delete it.", m.Name)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() != m.Size {
		return problem("The file of %q is damaged: it does not have the size it should have. Upload it again, or delete it.", m.Name)
	}
	return nil
}

func (t *Transfer) exportFile(ctx context.Context, z *zip.Writer, m medium, now time.Time) error {
	f, err := t.files.Open(m.SHA256)
	if err != nil {
		return err
	}
	defer f.Close()
	// Stored: pictures and films are compressed already.
	w, err := z.CreateHeader(&zip.FileHeader{Name: mediaFolder + m.SHA256, Method: zip.Store, Modified: now})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, &stoppable{ctx, f})
	return err
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	//nolint:containedctx // it lives as long as the call that it is read in
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}
