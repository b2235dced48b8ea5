// Package integration_test has tests of the link against the whole of another Porthole.
package integration_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/integration/stack"
)

// bins is the folder of the programs built for this run; TestMain sets it before any test.
var bins string

// binsBuilt names the folder where they are built already.
const binsBuilt = "PORTHOLE_TEST_BINS"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if bins = os.Getenv(binsBuilt); bins != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "porthole-link")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bins = dir
	if err := stack.Build(context.Background(), "../../../..", dir, false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const (
	password = "correct horse battery"
	code     = "ABC123XYZ"
)

// shop is another Porthole with a playlist of two pictures, and a screen "kiosk" that plays it.
type shop struct {
	*stack.Stack
	owner    *stack.User
	editor   *stack.Editor
	playlist int64
	screen   string
}

func newShop(t *testing.T) *shop {
	t.Helper()
	config, err := filepath.Abs("../../../../gokrazy-instance/pi/config.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{}
	if s.Stack, err = stack.Start(t.Context(), stack.Options{Bin: bins, Config: config, Dir: t.TempDir(), Provision: "[admin]\npassword = \"" + password + "\"\n"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if out := s.Output(); t.Failed() {
			t.Logf("what Porthole said:\n%s", out[max(0, len(out)-20000):])
		}
	})
	if s.owner, err = s.NewUser(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.owner.Close)
	status, page, err := s.owner.Post(t.Context(), "/login", map[string][]string{"user": {"admin"}, "password": {password}})
	if err != nil || status != 200 || !strings.Contains(page, "/logout") {
		t.Fatalf("log in: %d, %v\n%s", status, err, page)
	}
	s.editor = s.owner.Editor()
	if s.playlist, err = s.editor.NewPlaylist(t.Context(), "Menu"); err != nil {
		t.Fatal(err)
	}
	s.add(t, "menu.jpg", 40)
	s.add(t, "offers of the day.jpg", 140)
	s.publish(t)
	id, err := s.editor.NewScreen(t.Context(), "Screen kiosk", "kiosk", code, s.playlist)
	if err != nil {
		t.Fatal(err)
	}
	s.screen = fmt.Sprintf("/screens/%d", id)
	return s
}

// add puts a picture at the end of the playlist's draft.
func (s *shop) add(t *testing.T, name string, y uint8) {
	t.Helper()
	medium, err := s.editor.Upload(t.Context(), name, plain(t, y), 1<<20)
	if err == nil {
		err = s.editor.AddMedium(t.Context(), s.playlist, medium)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *shop) publish(t *testing.T) {
	t.Helper()
	if err := s.editor.Publish(t.Context(), s.playlist); err != nil {
		t.Fatal(err)
	}
}

// kill ends a process, which the supervisor then starts again.
func (s *shop) kill(t *testing.T, name string) {
	t.Helper()
	pids, err := s.PIDs(t.Context())
	if err != nil || pids[name] == 0 {
		t.Fatalf("processes: %v, %v", pids, err)
	}
	if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// eventually tries until ok reports success.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	err := errors.New("not tried")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
