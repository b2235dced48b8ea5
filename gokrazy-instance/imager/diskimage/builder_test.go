package diskimage_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/gokrazy-instance/imager/diskimage"
)

// TestVersionRefused: an image whose version devices cannot compare with others is not built, nor one with an impossible
// minimum.
func TestVersionRefused(t *testing.T) {
	board, err := diskimage.BoardByName("vm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"", ""}, {"test", ""}, {"dd5ce25", ""}, {"v1.2.3", "old"}} {
		out := t.TempDir()
		b := &diskimage.Builder{Board: board, Repo: t.TempDir(), Out: out, Cache: t.TempDir(), Version: c[0], Minimum: c[1], Time: time.Unix(1.8e9, 0), Progress: io.Discard}
		if _, err := b.Image(t.Context()); err == nil || !strings.Contains(err.Error(), "is no version") {
			t.Errorf("version %q, minimum %q: %v", c[0], c[1], err)
		}
		if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
			t.Errorf("version %q: it left %v (%v)", c[0], left, err)
		}
	}
}

// TestUpdateNeedsKey: without a key there is no update, rather than one that no device takes.
func TestUpdateNeedsKey(t *testing.T) {
	out := t.TempDir()
	b := &diskimage.Builder{Out: out, Version: "v1.2.3", Progress: io.Discard}
	if _, err := b.Update(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make keys") {
		t.Errorf("without a key: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(left) > 0 {
		t.Errorf("it left %q (%v)", left, err)
	}
}

// TestArgs: a flag for a test comes behind those the process has anyway.
func TestArgs(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "pi", "config.json"), `{"Packages":["porthole/packages/system","porthole/packages/proxy"],
		"PackageConfig":{"porthole/packages/system":{"CommandLineFlags":["-a"]}}}`)
	list, err := diskimage.InstanceWith(dir, map[string][]string{"system": {"-b=1", "-c"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"-a", "-b=1", "-c"}; !slices.Equal(list[0].Args, want) || len(list[1].Args) != 0 {
		t.Errorf("the processes are started with %q and %q", list[0].Args, list[1].Args)
	}
	if _, err := diskimage.InstanceWith(dir, map[string][]string{"toaster": {"-x"}}); err == nil || !strings.Contains(err.Error(), `no process "toaster"`) {
		t.Errorf("a flag for no process: %v", err)
	}
}
