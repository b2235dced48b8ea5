package update_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// cards is a folder in memory: where nothing but the order of writing matters, waiting for a disk takes long. That writes reach a disk,
// and are read from it, is hw/block's to test.
var cards string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cards")
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256m,mode=0700")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "these tests mount a file system, run them as root, as CI does: %v\n", err)
		os.Exit(1)
	}
	cards = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Remove(dir)
		os.Exit(code)
	}))
}
