// Package transfer makes one file of everything the signage server keeps, and takes such a file: a ZIP archive with
// manifest.json and the files of media as media/SHA256, stored as they are. Nothing of any size is held in memory.
package transfer

import (
	"context"
	"io"
	"os"

	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
)

// Store is where the signage server keeps what people made; db.Store is one.
type Store interface {
	State(ctx context.Context) (db.State, error)
	Apply(ctx context.Context, st db.State, media map[int64]db.Taken, replace bool) (db.Applied, error)
	AllMedia(ctx context.Context) ([]signage.Media, error)
	DeleteMedia(ctx context.Context, id int64) error
}

// Files are the contents of media; library.Library has them.
type Files interface {
	// Open opens the file with that content, given its SHA-256 in hex.
	Open(sha256 string) (*os.File, error)
	// Add looks at a file, stores it and keeps it as a medium, or refuses it with an error for a person.
	Add(ctx context.Context, r io.Reader, name, by string) (signage.Media, error)
	// Forget removes the file of a content that no medium has any more.
	Forget(ctx context.Context, sha256 string) error
}

// Transfer exports and imports.
type Transfer struct {
	store Store
	files Files
}

// New returns a Transfer of what is in store and files.
func New(store Store, files Files) *Transfer { return &Transfer{store, files} }

// Problem is what is wrong with a file or with what is to be exported, in words for a person.
type Problem struct{ Reason string }

func (p *Problem) Error() string { return p.Reason }

const (
	manifestName = "manifest.json"
	mediaFolder  = "media/"
	// MediaType is what an exported file is called in HTTP.
	MediaType = "application/zip"
	// Extension is that of an exported file's name.
	Extension = ".porthole-signage.zip"
)
