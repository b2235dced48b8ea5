package pairs_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/system/pairs"
)

// TestMain lets this program be a publisher that a test kills or traces.
func TestMain(m *testing.M) {
	if dir := os.Getenv(publisherDir); dir != "" {
		if err := publisher(dir, os.Getenv(publisherTask)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// pem is a pair as it lies on the disk.
type pem struct{ chain, key string }

// newPEM makes a throwaway pair.
func newPEM(t *testing.T, name string) pem {
	t.Helper()
	dir := t.TempDir()
	testkit.WritePair(t, dir, name, 0o600)
	return readPEM(t, dir)
}

func readPEM(t *testing.T, dir string) pem {
	t.Helper()
	chain, err := os.ReadFile(filepath.Join(dir, "fullchain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "privkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return pem{string(chain), string(key)}
}

// shop is a store in a temporary folder that other users can reach, with the owners of a device.
type shop struct {
	*pairs.Store
	t       *testing.T
	dir     string
	log     *testkit.Log
	journal *pairs.Journal
}

func newShop(t *testing.T) *shop {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this needs root: run the tests as root, as CI does")
	}
	top, err := os.MkdirTemp("", "pairs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, dir: filepath.Join(top, "tls"), log: &testkit.Log{}}
	s.reopen()
	return s
}

// reopen is a restart.
func (s *shop) reopen() {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.log, nil))
	s.journal = pairs.OpenJournal(log, filepath.Join(filepath.Dir(s.dir), "certificates.log"))
	s.Store = pairs.New(pairs.Config{Log: log, Dir: s.dir, GID: unixsock.GIDCerts, Journal: s.journal})
	if err := s.Prepare(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) publish(name string, p pem) {
	s.t.Helper()
	if err := s.Publish(name, []byte(p.chain), []byte(p.key)); err != nil {
		s.t.Fatal(err)
	}
}

// hidden lists what should not stay in the folder.
func (s *shop) hidden() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			list = append(list, e.Name())
		}
	}
	return list
}

// checkModes fails the test unless a pair has the owners and modes of the contract.
func (s *shop) checkModes(name string) {
	s.t.Helper()
	for path, want := range map[string]string{
		"": "0:2100 drwxr-x---", name: "0:2100 drwxr-x---", name + "/privkey.pem": "0:2100 -rw-r-----", name + "/fullchain.pem": "0:2100 -rw-r--r--",
	} {
		if got := ownerAndMode(filepath.Join(s.dir, path)); got != want {
			s.t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
