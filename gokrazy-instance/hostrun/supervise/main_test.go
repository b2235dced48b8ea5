//go:build linux

package supervise_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary plays the supervised programs: each is a link to it, and the link's name says what it does.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "exit0":
		os.Exit(0)
	case "exit125":
		os.Exit(125)
	case "exit1":
		fmt.Fprintln(os.Stdout, "about to fail")
		os.Exit(1)
	case "forever":
		fmt.Fprintln(os.Stdout, "here", os.Getenv("HOME"), os.Getenv("GOKRAZY_FIRST_START"), os.Getenv("GREETING"), len(os.Args))
		wait()
	case "talker":
		for i := range 150 {
			fmt.Fprintf(os.Stdout, "out %d\n", i)
			fmt.Fprintf(os.Stderr, "err %d\n", i)
		}
		wait()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprintln(os.Stdout, "ready")
		wait()
	case "family":
		child := exec.Command(filepath.Join(filepath.Dir(os.Args[0]), "stubborn"))
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stdout, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, "child", child.Process.Pid)
		wait()
	}
	goleak.VerifyTestMain(m)
}

// wait ends by itself should everything else fail.
func wait() {
	<-time.After(2 * time.Minute)
	os.Exit(3)
}
