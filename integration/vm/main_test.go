package vm_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/integration/vm"
)

// patience bounds each wait for a booting guest. It is far beyond what is usual, because the machine may be busy.
const patience = 10 * time.Minute

// updatePatience bounds what takes several starts, or the transfer of an update to a guest.
const updatePatience = 3 * patience

// showSerial prints what guests say as they say it.
var showSerial = flag.Bool("serial", false, "print the guests' serial consoles")

// serialLog is where a guest's serial console goes besides the failure report.
func serialLog() io.Writer {
	if *showSerial {
		return os.Stderr
	}
	return nil
}

// repo is the checkout.
const repo = "../.."

// workDir is where this run's images are built; TestMain makes it.
var workDir string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "porthole-image")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	workDir = dir
	return m.Run()
}

// progress writes what goes on while it goes on; go test shows it with -v.
func progress(t *testing.T) io.Writer { return lines{t} }

type lines struct{ t *testing.T }

func (l lines) Write(p []byte) (int, error) {
	l.t.Helper()
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// vmImage is the amd64 image with the test's agent in it; piImage is the Raspberry Pi's as it is shipped. Each is built
// once, when the first test needs it.
var vmImage, piImage built

type built struct {
	once sync.Once
	path string
	err  error
}

func (b *built) get(t *testing.T, o vm.ImageOptions) string {
	t.Helper()
	b.once.Do(func() {
		o.Repo, o.Out, o.Version, o.Progress = repo, filepath.Join(workDir, o.Board), vm.TestVersion, progress(t)
		o.KeysDir, o.Update = filepath.Join(workDir, "keys"), true
		// Not the test's context: other tests use the image too.
		b.path, b.err = vm.BuildImage(context.Background(), o)
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

func theVMImage(t *testing.T) string {
	t.Helper()
	return vmImage.get(t, vm.ImageOptions{Board: "vm", Packages: []string{vm.AgentPackage}})
}

func thePiImage(t *testing.T) string {
	t.Helper()
	return piImage.get(t, vm.ImageOptions{Board: "pi"})
}

// password is what the tests' porthole.toml sets.
const password = "correct horse battery"

// newDisk copies an image to a disk of the given size and writes a porthole.toml on it: the admin's password and what
// else is to stand there.
func newDisk(t *testing.T, image string, size int64, more ...string) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := vm.CopyDisk(image, disk, size); err != nil {
		t.Fatal(err)
	}
	boot, err := vm.OpenBoot(disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := boot.Write(t.Context(), "porthole.toml", []byte("[admin]\npassword = \""+password+"\"\n\n"+strings.Join(more, "\n"))); err != nil {
		t.Fatal(err)
	}
	return disk
}

// startVM boots a disk in QEMU's user network with https and the agent within reach.
func startVM(t *testing.T, disk string) *vm.Machine {
	t.Helper()
	return boot(t, vm.Options{Disk: disk, Forward: []int{443, vm.AgentPort}})
}

// boot starts a machine and powers it off with the test.
func boot(t *testing.T, o vm.Options) *vm.Machine {
	t.Helper()
	o.Log = serialLog()
	m, err := vm.StartVM(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	cleanUp(t, m)
	return m
}

func cleanUp(t *testing.T, m *vm.Machine) {
	t.Helper()
	t.Cleanup(func() {
		m.Kill()
		if t.Failed() {
			t.Logf("the serial console said:\n%s", m.Serial())
		}
	})
}

// processNames is the list that hostrun and the images share.
func processNames(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repo, "gokrazy-instance", "pi", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Packages, GokrazyPackages []string }
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range append(c.GokrazyPackages, c.Packages...) {
		names = append(names, filepath.Base(p))
	}
	if len(names) < 5 {
		t.Fatalf("the process list has only %q", names)
	}
	return names
}

// waitProcesses waits until init reports that every process runs.
func waitProcesses(t *testing.T, m *vm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for from := 0; ; {
		at, found, err := m.WaitSerial(ctx, from, `processes: running: (.*)\r?\n`)
		if err != nil {
			t.Fatal(err)
		}
		from = at
		running, down, _ := strings.Cut(found[1], ";")
		missing := ""
		for _, name := range processNames(t) {
			if !strings.Contains(" "+strings.TrimSpace(running)+" ", " "+name+" ") {
				missing += " " + name
			}
		}
		if missing == "" && down == "" {
			return
		}
		t.Logf("not up yet:%s (%s)", missing, strings.TrimSpace(found[1]))
	}
}

// eventually tries until ok reports success or patience ends.
func eventually(t *testing.T, what string, ok func(context.Context) error) {
	t.Helper()
	within(t, patience, what, ok)
}

// within tries until ok reports success or the time is over.
func within(t *testing.T, limit time.Duration, what string, ok func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		if pause(ctx) != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// pause waits a moment before the next try.
func pause(ctx context.Context) error {
	moment := time.NewTimer(200 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moment.C:
		return nil
	}
}

// readAt returns n bytes of a file.
func readAt(t *testing.T, path string, at int64, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite writes zeros into a file.
func overwrite(t *testing.T, path string, at int64, n int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0}, n), at); err != nil {
		t.Fatal(err)
	}
}
