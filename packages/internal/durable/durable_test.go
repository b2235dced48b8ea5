package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"porthole/packages/internal/durable"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	// What a power cut has left is in nobody's way.
	if err := os.WriteFile(path+durable.Suffix, []byte("something longer than what comes"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"one", "the second one", ""} {
		if err := durable.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		st, errStat := os.Stat(path)
		if err != nil || errStat != nil || string(b) != content || st.Mode().Perm() != 0o600 {
			t.Errorf("%q, %v, %v, %v", b, st.Mode(), err, errStat)
		}
	}
	if err := durable.WriteFile(filepath.Join(dir, "none", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into a folder that is not there: %v", err)
	}
	// A folder is in the way: it stays, and nothing is left over.
	if err := os.MkdirAll(filepath.Join(dir, "taken", "by"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.WriteFile(filepath.Join(dir, "taken"), nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if all, err := filepath.Glob(filepath.Join(dir, "*"+durable.Suffix)); err != nil || len(all) != 0 {
		t.Errorf("left over: %v, %v", all, err)
	}
}
