package integration_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/integration/acmetest"
	"porthole/integration/stack"
)

// bins is the folder of the programs built for this run; TestMain sets it before any test.
var bins string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	defer acmetest.Clean()
	if bins = os.Getenv(binsBuilt); bins != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "porthole-integration")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bins = dir
	if err := stack.Build(context.Background(), "..", dir, true); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const password = "correct horse battery"

// start runs Porthole with the admin account made, and ends it with the test. What the processes said is shown when
// the test fails, and a data race anywhere fails it.
func start(t *testing.T, provision string, args ...string) *stack.Stack {
	t.Helper()
	config, err := filepath.Abs("../gokrazy-instance/pi/config.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{
		Bin: bins, Config: config, Dir: t.TempDir(), Args: args,
		Provision: "[admin]\npassword = \"" + password + "\"\n" + provision,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		out := s.Output()
		if strings.Contains(out, "DATA RACE") {
			t.Error("a process has a data race")
		}
		if strings.Contains(out, password) {
			t.Error("the admin password is in a log")
		}
		if t.Failed() {
			if len(out) > 20000 {
				out = out[:5000] + "\n…\n" + out[len(out)-15000:]
			}
			t.Logf("what Porthole said:\n%s", out)
		}
	})
	return s
}

// admin is logged in.
func admin(t *testing.T, s *stack.Stack) *stack.User {
	t.Helper()
	u, err := s.NewUser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	status, page, err := u.Post(t.Context(), "/login", map[string][]string{"user": {"admin"}, "password": {password}})
	if err != nil || status != 200 || !strings.Contains(page, "/logout") {
		t.Fatalf("log in: %d, %v\n%s", status, err, page)
	}
	return u
}

// eventually tries until ok reports success or patience, far beyond what is usual, ends.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}
