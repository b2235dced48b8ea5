package transfer

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"porthole/packages/console/signage/db"
)

// ParseManifest is readManifest.
func ParseManifest(b []byte) (db.State, error) {
	m, err := readManifest(bytes.NewReader(b))
	if err != nil {
		return db.State{}, err
	}
	return m.state(), nil
}

// WriteManifest is newManifest.
func WriteManifest(t testing.TB, st db.State, made time.Time) []byte {
	t.Helper()
	b, err := json.Marshal(newManifest(st, made, true))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// OpenArchive is openArchive.
func OpenArchive(b []byte) error {
	_, err := openArchive(bytes.NewReader(b), int64(len(b)))
	return err
}
