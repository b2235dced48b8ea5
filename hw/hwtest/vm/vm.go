// Package vm boots a Go program as the only one on a real kernel, in QEMU, for tests of hardware code: no image, no
// distribution, a serial line to talk over and the screen to look at.
package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Kernel is the path of a module that holds a kernel. Its version and checksum are those of the images.
type Kernel string

// The kernels of the two images.
const (
	AMD64 Kernel = "github.com/gokrazy/kernel.amd64"
	RPi   Kernel = "github.com/gokrazy/kernel.rpi"
)

// pins is the module, below this one, whose go.mod and go.sum name the parts of the images.
const pins = "gokrazy-instance/imager/parts"

// Dir downloads the module, unless it is in the module cache, and returns its folder: vmlinuz, *.dtb.
func (k Kernel) Dir(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find this module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(root, pins), "mod", "download", "-json", string(k))
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if err := errors.Join(err, json.Unmarshal(out, &answer)); err != nil {
		return "", fmt.Errorf("download %s: %w %s", k, err, answer.Error)
	}
	return answer.Dir, nil
}

// Config describes a machine.
type Config struct {
	// Arch is amd64 or arm64 (GOARCH).
	Arch string
	// Kernel is booted with the program at the package path Init as /init.
	Kernel Kernel
	Init   string
	// Append is added to the kernel's command line.
	Append string
	// Args are added to QEMU's.
	Args []string
}

// Machine is a running one.
type Machine struct {
	tb      testing.TB
	dir     string
	stdin   io.WriteCloser
	qmp     *qmp
	screens int

	mu    sync.Mutex // guards what follows
	log   []string   // all lines of the serial console
	next  int        // the first one that no Expect has seen
	more  chan struct{}
	ended bool
}

// Start builds the program, boots it and stops the machine when the test ends. It fails the test when something needed
// is missing, and says what to install.
func Start(tb testing.TB, c Config) *Machine {
	tb.Helper()
	ctx := tb.Context()
	qemu := map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[c.Arch]
	if _, err := exec.LookPath(qemu); err != nil {
		tb.Fatalf("%v: install the Debian packages qemu-system-x86 and qemu-system-arm", err)
	}
	kernel, err := c.Kernel.Dir(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	m := &Machine{tb: tb, dir: tb.TempDir(), more: make(chan struct{})}
	initrd := filepath.Join(m.dir, "initrd")
	if err := buildInitrd(ctx, initrd, c.Init, c.Arch); err != nil {
		tb.Fatal(err)
	}
	console := "ttyS0"
	args := []string{
		"-nodefaults", "-no-reboot", "-display", "none", "-accel", "tcg,thread=multi", "-m", "512",
		"-chardev", "stdio,id=serial,signal=off",
		"-qmp", "unix:" + m.qmpSocket() + ",server=on,wait=off",
		"-kernel", filepath.Join(kernel, "vmlinuz"), "-initrd", initrd,
	}
	if c.Arch == "amd64" {
		// With more processors tcg now and then runs into the int3 that the kernel patches its own code with.
		args = append(args, "-machine", "q35", "-cpu", "max", "-smp", "1", "-serial", "chardev:serial")
	} else {
		// The mini UART is the second serial port of this board; its memory is fixed.
		args = append(args, "-machine", "raspi3b", "-dtb", filepath.Join(kernel, "bcm2710-rpi-3-b.dtb"),
			"-serial", "null", "-serial", "chardev:serial", "-m", "1024")
	}
	args = append(args, "-append", strings.TrimSpace("console="+console+",115200 quiet panic=-1 "+c.Append))
	m.run(exec.Command(qemu, append(args, c.Args...)...))
	return m
}

// A unix socket's path may have 107 bytes: t.TempDir's are longer with long test names.
func (m *Machine) qmpSocket() string { return filepath.Join(m.dir, "qmp") }

// Dir is the machine's folder, removed with it.
func (m *Machine) Dir() string { return m.dir }

func (m *Machine) run(cmd *exec.Cmd) {
	m.tb.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		m.tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		m.tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.tb.Fatal(err)
	}
	m.stdin = stdin
	var wg sync.WaitGroup
	wg.Go(func() { m.read(stdout) })
	m.tb.Cleanup(func() {
		if m.qmp != nil {
			m.qmp.close()
		}
		_ = cmd.Process.Kill() // it may have ended by itself
		wg.Wait()
		_ = cmd.Wait()
		if m.tb.Failed() {
			m.tb.Logf("QEMU: %s\nserial console:\n%s", stderr.String(), strings.Join(m.lines(), "\n"))
		}
	})
}

func (m *Machine) lines() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log
}

// read collects the serial console's lines. Carriage returns and the screen control of firmware are left out.
func (m *Machine) read(r io.Reader) {
	var line []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		m.mu.Lock()
		for _, b := range buf[:n] {
			switch {
			case b == '\n':
				m.log, line = append(m.log, string(line)), nil
			case b >= ' ' || b == '\t':
				line = append(line, b)
			}
		}
		if err != nil {
			m.log, m.ended = append(m.log, string(line)), true
		}
		close(m.more)
		m.more = make(chan struct{})
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Send writes a line to the serial console.
func (m *Machine) Send(line string) {
	m.tb.Helper()
	if _, err := io.WriteString(m.stdin, line+"\n"); err != nil {
		m.tb.Fatalf("send %q: %v", line, err)
	}
}

// patience is how long a machine without hardware help may take for one answer.
const patience = 5 * time.Minute

// Expect waits for a line that contains text, after those that were seen already, and returns what follows the text.
func (m *Machine) Expect(text string) string {
	m.tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		m.mu.Lock()
		for m.next < len(m.log) {
			line := m.log[m.next]
			m.next++
			if _, rest, ok := strings.Cut(line, text); ok {
				m.mu.Unlock()
				return strings.TrimSpace(rest)
			}
		}
		more, ended := m.more, m.ended
		m.mu.Unlock()
		if ended {
			m.tb.Fatalf("the machine ended without saying %q", text)
		}
		select {
		case <-more:
		case <-deadline.C:
			m.tb.Fatalf("the machine did not say %q", text)
		}
	}
}

// Ask sends a command to the program and returns its answer (package guest).
func (m *Machine) Ask(command string) string {
	m.tb.Helper()
	m.Send(command)
	answer := m.Expect("answer: ")
	if problem, failed := strings.CutPrefix(answer, "error: "); failed {
		m.tb.Fatalf("%s: %s", command, problem)
	}
	return answer
}

// buildInitrd compiles the program at a package path and packs it as /init.
func buildInitrd(ctx context.Context, file, pkg, arch string) error {
	bin := file + ".bin"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", bin, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	if err := noteSources(ctx, pkg); err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range []entry{
		{name: "dev", mode: modeDir | 0o755},
		{name: "dev/console", mode: modeChar | 0o600, major: 5, minor: 1},
		{name: "proc", mode: modeDir | 0o755},
		{name: "sys", mode: modeDir | 0o755},
		{name: "mnt", mode: modeDir | 0o755},
		{name: "init", mode: modeFile | 0o755, data: program},
		{name: "TRAILER!!!"},
	} {
		e.write(&b)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the initial file system: %w", err)
	}
	return nil
}

// noteSources looks at every source file of the program: go test caches results by the files that a test looks at, and
// what the compiler read does not count.
func noteSources(ctx context.Context, pkg string) error {
	out, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.Dir}}{{end}}", pkg).Output()
	if err != nil {
		return fmt.Errorf("list the sources of %s: %w", pkg, err)
	}
	for _, dir := range strings.Fields(string(out)) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return fmt.Errorf("list the sources in %s: %w", dir, err)
		}
		for _, f := range files {
			if _, err := os.Stat(f); err != nil {
				return fmt.Errorf("look at a source: %w", err)
			}
		}
	}
	return nil
}
