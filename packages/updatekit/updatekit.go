// Package updatekit is what tools beside the appliance (imager, integration, bench) use of packages/internal/update, which
// Go lets nobody outside of packages import. It adds nothing.
package updatekit

import (
	"io"

	"aead.dev/minisign"

	"porthole/packages/internal/update"
)

// Manifest says what an update is.
type Manifest = update.Manifest

// ManifestPart is a part as it is written, and as it is stored in the bundle.
type ManifestPart = update.ManifestPart

// Bundle is an update in a file.
type Bundle = update.Bundle

// Version is what `git describe` says of a commit.
type Version = update.Version

// Status is how far an update has come.
type Status = update.Status

// Refusal is why an update is not taken.
type Refusal = update.Refusal

// Names and values; see package update.
const (
	Format        = update.Format
	Product       = update.Product
	Zstd          = update.Zstd
	PartBoot      = update.PartBoot
	PartRoot      = update.PartRoot
	SlotA         = update.SlotA
	SlotB         = update.SlotB
	KeysDir       = update.KeysDir
	CurrentKey    = update.CurrentKey
	NextKey       = update.NextKey
	ManifestFile  = update.ManifestFile
	SignatureFile = update.SignatureFile
	SupportEnds   = update.SupportEnds
)

// ParseVersion reads a version.
func ParseVersion(text string) (Version, error) { return update.ParseVersion(text) }

// ParseManifest reads a manifest without asking who made it.
func ParseManifest(text []byte) (Manifest, error) { return update.ParseManifest(text) }

// Verify checks a manifest's signature and reads it.
func Verify(manifest, signature []byte, keys []minisign.PublicKey) (Manifest, error) {
	return update.Verify(manifest, signature, keys)
}

// ReadKeys returns the keys in a device's folder.
func ReadKeys(dir string) ([]minisign.PublicKey, error) { return update.ReadKeys(dir) }

// KeyID names a key as minisign does.
func KeyID(id uint64) string { return update.KeyID(id) }

// OpenBundle finds the members of an update file.
func OpenBundle(r io.ReaderAt, size int64) (*Bundle, error) { return update.OpenBundle(r, size) }

// WriteBundle writes an update file.
func WriteBundle(w io.Writer, manifest, signature []byte, open func(ManifestPart) (io.ReadCloser, error)) error {
	return update.WriteBundle(w, manifest, signature, open)
}

// Compress writes the zstd form of a part.
func Compress(w io.Writer, r io.Reader) error { return update.Compress(w, r) }
