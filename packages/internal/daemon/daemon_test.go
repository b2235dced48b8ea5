package daemon_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"porthole/packages/internal/daemon"
)

// TestMain makes the test binary a process of ours when asked to.
func TestMain(m *testing.M) {
	mode := os.Getenv("DAEMON_TEST")
	switch mode {
	case "":
		os.Exit(m.Run())
	case "hello": // as another program that a process starts
		os.Exit(0)
	case "probe":
		probe()
	}
	port := ""
	flags := func(fs *flag.FlagSet) { fs.StringVar(&port, "port", ":1", "`address`") }
	daemon.Process{Name: "demo", Flags: flags, Run: func(ctx context.Context, e daemon.Env) error {
		fmt.Fprintf(os.Stdout, "%s %s %s %s %v\n", port, e.Socket("console"), e.SettingsFile(), e.TLSDir("device"), e.SingleUser)
		switch mode {
		case "fail":
			return errors.New("no such luck")
		case "end":
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}.Main()
}

func TestMainExits(t *testing.T) {
	for name, c := range map[string]struct {
		mode   string
		args   []string
		signal syscall.Signal
		code   int
		stdout string
		stderr string
	}{
		"failure":   {mode: "fail", args: []string{"-single-user"}, code: 1, stdout: ":1 /run/porthole/console/console.sock /run/porthole/demo/settings.json /perm/tls/device true", stderr: "no such luck"},
		"no reason": {mode: "end", args: []string{"-single-user"}, code: 1, stderr: "without a reason"},
		"signal":    {mode: "wait", args: []string{"-run", "r", "-perm", "p", "-single-user", "-port", ":2"}, signal: syscall.SIGTERM, code: 143, stdout: ":2 r/console/console.sock r/demo/settings.json p/tls/device true"},
		"bad flag":  {mode: "wait", args: []string{"-nonsense"}, code: 1, stderr: "nonsense"},
		"argument":  {mode: "wait", args: []string{"nonsense"}, code: 1, stderr: "unexpected argument"},
		"no user":   {mode: "wait", code: 1, stderr: `no user for process \"demo\"`},
		"help":      {mode: "wait", args: []string{"-h"}, code: 0, stderr: "-perm"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], c.args...)
			cmd.Env = append(os.Environ(), "DAEMON_TEST="+c.mode)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line := make([]byte, 1000)
			n, _ := out.Read(line)
			if c.signal != 0 {
				if err := cmd.Process.Signal(c.signal); err != nil {
					t.Fatal(err)
				}
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit %d, want %d: %s", got, c.code, stderr.String())
			}
			if got := strings.TrimSpace(string(line[:n])); c.stdout != "" && got != c.stdout {
				t.Errorf("said %q, want %q", got, c.stdout)
			}
			if !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("log %q lacks %q", stderr.String(), c.stderr)
			}
		})
	}
}
