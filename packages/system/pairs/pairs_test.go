package pairs_test

import (
	"crypto/x509"
	encoding "encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/system/pairs"
)

func ownerAndMode(path string) string {
	st, err := os.Lstat(path)
	if err != nil {
		return err.Error()
	}
	sys := st.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d %v", sys.Uid, sys.Gid, st.Mode())
}

func TestPublishReplaceRemove(t *testing.T) {
	s := newShop(t)
	first, second := newPEM(t, "first"), newPEM(t, "second")
	for _, p := range []pem{first, second, first} {
		s.publish(pairs.Own, p)
		if got := readPEM(t, s.Path(pairs.Own)); got != p {
			t.Error("another pair is there than was published")
		}
		chain, key, err := s.Load(pairs.Own)
		if err != nil || string(chain) != p.chain || string(key) != p.key {
			t.Errorf("loaded another: %v", err)
		}
		s.checkModes(pairs.Own)
		if l := s.hidden(); l != nil {
			t.Errorf("left behind: %q", l)
		}
	}
	if err := s.Remove(pairs.Own); err != nil {
		t.Fatal(err)
	}
	if chain, key, err := s.Load(pairs.Own); chain != nil || key != nil || err != nil {
		t.Errorf("after it was removed: %q, %v", chain, err)
	}
	if err := s.Remove(pairs.Own); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
	if l := s.hidden(); l != nil || len(s.List()) != 0 {
		t.Errorf("left behind: %q, %v", l, s.List())
	}
	for _, name := range []string{"", ".", "..", "../own", "own/x", ".own.new", "other"} {
		if err := s.Publish(name, []byte(first.chain), []byte(first.key)); err == nil {
			t.Errorf("published as %q", name)
		}
	}
	if strings.Contains(s.log.String(), "WARN") {
		t.Errorf("warnings: %s", s.log)
	}
}

// TestNoRoom: what cannot be written leaves the pair in service, and nothing behind.
func TestNoRoom(t *testing.T) {
	dir, inside := testkit.SmallDisk(t, "size=64k")
	if !inside {
		return
	}
	log := slog.New(slog.DiscardHandler)
	s := pairs.New(pairs.Config{Log: log, Dir: filepath.Join(dir, "tls"), GID: pairs.KeepGroup, Journal: pairs.OpenJournal(log, filepath.Join(dir, "log"))})
	p := newPEM(t, "first")
	if err := errors.Join(s.Prepare(), s.Publish(pairs.Own, []byte(p.chain), []byte(p.key))); err != nil {
		t.Fatal(err)
	}
	for _, big := range [][2][]byte{{make([]byte, 1<<20), []byte(p.key)}, {[]byte(p.chain), make([]byte, 1<<20)}} {
		if err := s.Publish(pairs.Own, big[0], big[1]); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		}
		entries, err := os.ReadDir(filepath.Join(dir, "tls"))
		if err != nil || len(entries) != 1 || readPEM(t, s.Path(pairs.Own)) != p || len(s.List()) != 1 {
			t.Errorf("the pair in service is another, or something stayed: %v, %v", entries, err)
		}
	}
}

func TestList(t *testing.T) {
	s := newShop(t)
	p := newPEM(t, "cam")
	for _, name := range []string{pairs.Own, pairs.Device, pairs.ACME} {
		s.publish(name, p)
	}
	block, _ := encoding.Decode([]byte(p.chain))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	info := func(name string, public bool) pairs.Info {
		return pairs.Info{
			Name: name, Algorithm: "ECDSA P-256", ChainPEM: p.chain, SHA256: certs.Fingerprint(leaf), Names: []string{"localhost", "127.0.0.1"},
			NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Issuer: "cam", Public: public,
		}
	}
	if diff := cmp.Diff([]pairs.Info{info("device", false), info("acme", true), info("own", true)}, s.List()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What somebody puts beside the certificate is not for everybody.
	if err := os.WriteFile(filepath.Join(s.Path(pairs.Own), "fullchain.pem"), []byte(p.chain+p.key), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	for _, i := range s.List() {
		if strings.Contains(i.ChainPEM, "PRIVATE") {
			t.Errorf("the list has a key: %+v", i)
		}
	}
}

// TestRepair: owners and modes that are wrong at start are set right, what a power cut left goes, and both are told.
func TestRepair(t *testing.T) {
	s := newShop(t)
	p := newPEM(t, "cam")
	s.publish(pairs.Own, p)
	s.publish(pairs.ACMERSA, p)
	outside := filepath.Join(filepath.Dir(s.dir), "outside")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	in := func(path string) string { return filepath.Join(s.dir, path) }
	must(os.Chmod(in("own/privkey.pem"), 0o644))
	must(os.Chown(in("own/privkey.pem"), unixsock.UIDPlayer, unixsock.UIDPlayer))
	must(os.Chmod(in("own"), 0o777|fs.ModeSetgid))
	must(os.Chown(in("acme-rsa"), unixsock.UIDConsole, unixsock.UIDConsole))
	must(os.Chmod(in("acme-rsa/fullchain.pem"), 0o600))
	must(os.Chmod(s.dir, 0o755))
	must(os.WriteFile(in("own/key.bak"), []byte(p.key), 0o644))
	must(os.Mkdir(in(".own.new"), 0o777))
	must(os.WriteFile(in(".own.new/privkey.pem"), []byte("half"), 0o666))
	must(os.WriteFile(in("own/.privkey.pem.123"), []byte("half"), 0o666))
	must(os.WriteFile(outside, nil, 0o644))
	must(os.Symlink("../../outside", in("own/link")))
	s.reopen()
	s.checkModes(pairs.Own)
	s.checkModes(pairs.ACMERSA)
	if got := ownerAndMode(in("own/key.bak")); got != "0:2100 -rw-r-----" {
		t.Errorf("what may be a key is %s", got)
	}
	if got := ownerAndMode(outside); got != "0:0 -rw-r--r--" {
		t.Errorf("what a link leads to is %s", got)
	}
	for _, gone := range []string{".own.new", "own/.privkey.pem.123"} {
		if _, err := os.Lstat(in(gone)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	log := s.log.String()
	for _, word := range []string{"own/privkey.pem", "acme-rsa/fullchain.pem", "mode=-rw-r--r--", "wrong_owner=true", ".own.new", "removed what a power cut has left"} {
		if !strings.Contains(log, word) {
			t.Errorf("the log does not say %q:\n%s", word, log)
		}
	}
	events := s.journal.Events()
	if len(events) != 1 || events[0].Certificate != "own" || !strings.Contains(events[0].What, "0644") || events[0].Who != pairs.ByDevice {
		t.Errorf("events: %+v", events)
	}
	if before := s.log.String(); before != "" {
		s.reopen()
		if s.log.String() != before || len(s.journal.Events()) != 1 {
			t.Errorf("repaired again: %s", strings.TrimPrefix(s.log.String(), before))
		}
	}
}

// TestWhoMayRead: proxy, signaling and console may read keys, nobody else but root.
func TestWhoMayRead(t *testing.T) {
	s := newShop(t)
	p := newPEM(t, "cam")
	s.publish(pairs.Own, p)
	s.publish(pairs.Own, p) // exchanged, too
	certs := []uint32{unixsock.GIDCerts}
	for name, c := range map[string]struct {
		uid    uint32
		groups []uint32
		may    bool
	}{
		"proxy": {unixsock.UIDProxy, certs, true}, "signaling": {unixsock.UIDSignaling, certs, true}, "console": {unixsock.UIDConsole, certs, true},
		"player": {unixsock.UIDPlayer, []uint32{unixsock.GIDVideo}, false}, "network": {unixsock.UIDNetwork, nil, false}, "nobody": {65534, nil, false},
	} {
		for _, file := range []string{"privkey.pem", "fullchain.pem"} {
			cmd := exec.CommandContext(t.Context(), "cat", filepath.Join(s.dir, "own", file))
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid, Groups: c.groups}}
			out, err := cmd.CombinedOutput()
			read := err == nil && (string(out) == p.key || string(out) == p.chain)
			if read != c.may || !c.may && !strings.Contains(string(out), "Permission denied") {
				t.Errorf("%s reads %s: %v, %s", name, file, err, out)
			}
		}
		cmd := exec.CommandContext(t.Context(), "touch", filepath.Join(s.dir, "own", "new"), filepath.Join(s.dir, "new"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.uid, Groups: c.groups}}
		if out, err := cmd.CombinedOutput(); err == nil || strings.Count(string(out), "Permission denied") != 2 {
			t.Errorf("%s writes: %v, %s", name, err, out)
		}
	}
}

// TestNoStorage: nothing is made where a file is in the way.
func TestNoStorage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tls")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := pairs.New(pairs.Config{Log: log, Dir: file, GID: pairs.KeepGroup, Journal: pairs.OpenJournal(log, file+".log")})
	if err := s.Prepare(); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
	if err := s.Publish(pairs.Own, nil, nil); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("got %v", err)
	}
}
