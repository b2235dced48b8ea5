package update

import (
	"errors"
	"fmt"
)

// Kinds of refusals, for errors.Is.
var (
	// ErrSignature: it is not signed by a key that this device trusts, or it was changed since.
	ErrSignature = errors.New("signature of update")
	// ErrManifest: the manifest is signed, or not looked at yet, but is not one that this version understands.
	ErrManifest = errors.New("manifest of update")
	// ErrBundle: the file is not an update, is damaged or cut short, or holds something else than its manifest says.
	ErrBundle = errors.New("update file")
)

// Refusal is why an update is not taken.
type Refusal struct {
	// Kind is one of the Err values of this package.
	Kind error
	// Sentence is for the owner: what is wrong and what to do.
	Sentence string
}

// Error returns the sentence.
func (r *Refusal) Error() string { return r.Sentence }

// Unwrap returns the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{Kind: kind, Sentence: fmt.Sprintf(format, args...)}
}
