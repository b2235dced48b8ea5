package factoryreset_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"porthole/gokrazy-instance/init/factoryreset"
)

// The test's own program is the one that is killed.
const permVariable, bootVariable = "FACTORYRESET_PERM", "FACTORYRESET_BOOT"

func TestMain(m *testing.M) {
	if perm := os.Getenv(permVariable); perm != "" {
		fmt.Fprintln(os.Stdout, "resetting")
		by, problem := factoryreset.Reset{PermDir: perm, BootDir: os.Getenv(bootVariable)}.Run()
		fmt.Fprintln(os.Stdout, by, problem)
		return
	}
	os.Exit(m.Run())
}

// used makes a storage that was in use, with files deep down, one that nobody may write, and a link that leads out of it.
func used(t *testing.T, files int) (perm, boot, outside string) {
	t.Helper()
	dir := t.TempDir()
	perm, boot, outside = filepath.Join(dir, "perm"), filepath.Join(dir, "boot"), filepath.Join(dir, "outside.txt")
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("secret"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tls/device/privkey.pem", "console/porthole.db", "console/porthole.db-wal", ".hidden/x", "lost+found/#12/key"} {
		write(filepath.Join(perm, name))
	}
	for i := range files {
		write(filepath.Join(perm, "console", "media", strconv.Itoa(i%7), strconv.Itoa(i)))
	}
	write(outside)
	write(filepath.Join(boot, "porthole.toml"))
	if err := os.Symlink(outside, filepath.Join(perm, "link")); err != nil {
		t.Fatal(err)
	}
	return perm, boot, outside
}

// have lists all that is below dir.
func have(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if path != dir {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		marker string
		files  []string
		by     string
	}{
		"nobody asks":          {},
		"another file":         {files: []string{"factory-reset.pdf", "my factory-reset.txt", "._factory-reset.txt"}},
		"from the console":     {marker: "anna\n", by: "anna"},
		"by nobody in words":   {marker: "\n", by: "somebody"},
		"by a file":            {files: []string{"factory-reset.txt"}, by: "the file factory-reset.txt on the card"},
		"by several":           {files: []string{"FACTORY-RESET.TXT", "factory-reset.txt.txt"}, by: "the file FACTORY-RESET.TXT on the card"},
		"without an ending":    {files: []string{"Factory-Reset"}, by: "the file Factory-Reset on the card"},
		"cut while it began":   {marker: "the file x", files: []string{"factory-reset"}, by: "the file x"},
		"cut in the first try": {marker: "", files: []string{"factory-reset"}, by: "the file factory-reset on the card"},
	} {
		t.Run(name, func(t *testing.T) {
			perm, boot, outside := used(t, 0)
			if c.marker != "" {
				if err := os.WriteFile(filepath.Join(perm, factoryreset.Marker), []byte(c.marker), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range c.files {
				if err := os.WriteFile(filepath.Join(boot, f), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := have(t, perm)
			by, problem := factoryreset.Reset{PermDir: perm, BootDir: boot}.Run()
			if by != c.by || problem != "" {
				t.Errorf("by %q, want %q; problem %q", by, c.by, problem)
			}
			want, wantBoot := []string{"lost+found"}, []string{"porthole.toml"}
			if c.by == "" {
				want, wantBoot = before, slices.Sorted(slices.Values(append(wantBoot, c.files...)))
			}
			if got := have(t, perm); !slices.Equal(got, want) {
				t.Errorf("left: %q, want %q", got, want)
			}
			if got := have(t, boot); !slices.Equal(got, wantBoot) {
				t.Errorf("left on the boot partition: %q, want %q", got, wantBoot)
			}
			if b, err := os.ReadFile(outside); err != nil || string(b) != "secret" {
				t.Errorf("what a link leads to: %q, %v", b, err)
			}
			// Once is enough.
			if by, problem := (factoryreset.Reset{PermDir: perm, BootDir: boot}).Run(); by != "" || problem != "" {
				t.Errorf("again: %q, %q", by, problem)
			}
		})
	}
}

// TestUnlock: the file is removed while the boot partition is writable, and not if it cannot be.
func TestUnlock(t *testing.T) {
	perm, boot, _ := used(t, 0)
	file := filepath.Join(boot, "factory-reset.txt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before := have(t, perm)
	locked := factoryreset.Reset{PermDir: perm, BootDir: boot, Unlock: func() (func() error, error) { return nil, errors.New("the card is read-only") }}
	// However often it is started.
	for range 3 {
		by, problem := locked.Run()
		if by != "" || !strings.Contains(problem, "Nothing was reset: factory-reset.txt cannot be removed") || !strings.Contains(problem, "the card is read-only") || !strings.Contains(problem, "lock switch") {
			t.Errorf("a locked card: by %q, %q", by, problem)
		}
		if got := have(t, perm); !slices.Equal(got, before) {
			t.Errorf("a locked card: left %q, want %q", got, before)
		}
	}
	var order []string
	open := factoryreset.Reset{PermDir: perm, BootDir: boot, Unlock: func() (func() error, error) {
		order = append(order, "open")
		return func() error {
			_, err := os.Stat(file)
			order = append(order, "close", strconv.FormatBool(errors.Is(err, os.ErrNotExist)), strconv.Itoa(len(have(t, perm))-len(before)))
			return nil
		}, nil
	}}
	if by, problem := open.Run(); by == "" || problem != "" {
		t.Errorf("by %q, %q", by, problem)
	}
	// Gone before anything else is; the marker is one more.
	if want := []string{"open", "close", "true", "1"}; !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}
}

// TestInTheWay: what cannot be removed is told, and tried again at the next start.
func TestInTheWay(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this needs root: run the tests as root, as CI does")
	}
	perm, boot, _ := used(t, 0)
	busy := filepath.Join(perm, "console", "busy")
	if err := os.Mkdir(busy, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", busy, "tmpfs", 0, ""); err != nil {
		t.Fatalf("mount for the test: %v: run it where mounting is allowed", err)
	}
	unmount := func() {
		if err := unix.Unmount(busy, 0); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(filepath.Join(perm, factoryreset.Marker), []byte("anna\n"), 0o600); err != nil {
		unmount()
		t.Fatal(err)
	}
	r := factoryreset.Reset{PermDir: perm, BootDir: boot}
	by, problem := r.Run()
	unmount()
	if by != "" || !strings.Contains(problem, "not complete") || !strings.Contains(problem, "busy") {
		t.Errorf("by %q, %q", by, problem)
	}
	if _, err := os.Stat(filepath.Join(perm, "tls")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the rest is still there: %v", err)
	}
	if by, problem := r.Run(); by != "anna" || problem != "" {
		t.Errorf("again: by %q, %q", by, problem)
	}
	if got := have(t, perm); !slices.Equal(got, []string{"lost+found"}) {
		t.Errorf("left: %q", got)
	}
}

// TestKilled: cut at any moment, the next start completes it.
func TestKilled(t *testing.T) {
	cut := 0
	for round := range 40 {
		perm, boot, _ := used(t, 300)
		if err := os.WriteFile(filepath.Join(boot, "factory-reset.txt"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		all := len(have(t, perm))
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), permVariable+"="+perm, bootVariable+"="+boot)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		if !lines.Scan() {
			t.Fatal("it never began")
		}
		// From the first moments on to some way into it: until so much is gone.
		for want := all - round*all/40; ; {
			left := 0
			// What goes while one looks is gone.
			filepath.WalkDir(perm, func(string, os.DirEntry, error) error { left++; return nil })
			if left <= want+2 {
				break
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		if len(have(t, perm)) > 1 {
			cut++
		}
		by, problem := factoryreset.Reset{PermDir: perm, BootDir: boot}.Run()
		if problem != "" || by == "" && len(have(t, perm)) > 1 {
			t.Errorf("round %d: by %q, %q", round, by, problem)
		}
		if got := have(t, perm); !slices.Equal(got, []string{"lost+found"}) {
			t.Errorf("round %d: left %d of %d: %.200q", round, len(got), all, got)
		}
		if got := have(t, boot); !slices.Equal(got, []string{"porthole.toml"}) {
			t.Errorf("round %d: left on the boot partition: %q", round, got)
		}
	}
	t.Logf("%d of 40 were cut before the end", cut)
	if cut < 10 {
		t.Errorf("only %d of 40 rounds were cut before the end: this tests nothing", cut)
	}
}
