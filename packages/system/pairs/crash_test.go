package pairs_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porthole/packages/internal/unixsock"
	"porthole/packages/system/pairs"
)

// The environment of this program as a publisher: its folder holds tls and the pairs a and b.
const (
	publisherDir  = "PAIRS_PUBLISHER_DIR"
	publisherTask = "PAIRS_PUBLISHER_TASK"
)

// publisher does a task: "loop" replaces one pair by the other, and makes and removes another one, until it is killed; it writes
// a line for each round. "publish" and "remove" do that once.
func publisher(dir, task string) error {
	log := slog.New(slog.DiscardHandler)
	s := pairs.New(pairs.Config{
		Log: log, Dir: filepath.Join(dir, "tls"), GID: unixsock.GIDCerts, Journal: pairs.OpenJournal(log, filepath.Join(dir, "log")),
	})
	var contents [2][2][]byte
	for i, name := range []string{"a", "b"} {
		for j, file := range []string{"fullchain.pem", "privkey.pem"} {
			b, err := os.ReadFile(filepath.Join(dir, name, file))
			if err != nil {
				return err
			}
			contents[i][j] = b
		}
	}
	switch task {
	case "publish":
		return s.Publish(pairs.Own, contents[1][0], contents[1][1])
	case "remove":
		return s.Remove(pairs.Own)
	}
	for i := 0; ; i++ {
		p := contents[i%2]
		if err := errors.Join(s.Publish(pairs.Own, p[0], p[1]), s.Publish(pairs.ACME, p[0], p[1]), s.Remove(pairs.ACME)); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, i)
	}
}

// startPublisher starts this program as one, by way of another program if wrap is given.
func (s *shop) startPublisher(task string, wrap ...string) *exec.Cmd {
	s.t.Helper()
	args := append(wrap, os.Args[0])
	cmd := exec.CommandContext(s.t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), publisherDir+"="+filepath.Dir(s.dir), publisherTask+"="+task)
	cmd.Stderr = os.Stderr
	return cmd
}

// keep puts a pair beside the store, for a publisher.
func (s *shop) keep(name string, p pem) {
	s.t.Helper()
	dir := filepath.Join(filepath.Dir(s.dir), name)
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "fullchain.pem"), []byte(p.chain), 0o600),
		os.WriteFile(filepath.Join(dir, "privkey.pem"), []byte(p.key), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// readWhole reads a pair as its readers do: the folder is opened once, and what lies in it read. None is fs.ErrNotExist.
func readWhole(dir string) (pem, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return pem{}, err
	}
	defer root.Close()
	chain, err := root.ReadFile("fullchain.pem")
	if err != nil {
		return pem{}, err
	}
	key, err := root.ReadFile("privkey.pem")
	return pem{string(chain), string(key)}, err
}

// TestKilledWhilePublishing kills a publisher at any moment, again and again: then the old or the new pair is there with its
// owners and modes, what was removed is whole or gone, and those who read meanwhile never get half.
func TestKilledWhilePublishing(t *testing.T) {
	s := newShop(t)
	a, b := newPEM(t, "a"), newPEM(t, "b")
	s.keep("a", a)
	s.keep("b", b)
	s.publish(pairs.Own, a)

	own := s.Path(pairs.Own)
	var stop atomic.Bool
	reads := make(chan [2]int)
	go func() {
		var got [2]int
		for !stop.Load() {
			<-time.After(100 * time.Microsecond)
			p, err := readWhole(own)
			switch {
			case errors.Is(err, fs.ErrNotExist): // removed after it was opened: a reader opens it again
			case err == nil && p == a:
				got[0]++
			case err == nil && p == b:
				got[1]++
			default:
				t.Errorf("a reader got half a pair: %v", err)
			}
		}
		reads <- got
	}()
	const rounds = 60
	var halfDone, seen int
	for range rounds {
		cmd := s.startPublisher("loop")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 1 + rand.IntN(3) {
			if !lines.Scan() {
				t.Fatalf("the publisher ended: %v", cmd.Wait())
			}
		}
		<-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()

		p, err := readWhole(s.Path(pairs.Own))
		if err != nil || p != a && p != b {
			t.Fatalf("half a pair: %v", err)
		}
		if p == b {
			seen++
		}
		switch p, err := readWhole(s.Path(pairs.ACME)); {
		case err == nil && (p == a || p == b):
			s.checkModes(pairs.ACME)
		case errors.Is(err, fs.ErrNotExist):
			if _, err := os.Lstat(s.Path(pairs.ACME)); err == nil {
				t.Fatal("half of a pair that was removed is there")
			}
		default:
			t.Fatalf("half a pair that was removed: %v", err)
		}
		s.checkModes(pairs.Own)
		left := s.hidden()
		halfDone += min(1, len(left))
		s.reopen()
		if l := s.hidden(); l != nil {
			t.Fatalf("left after a start: %q", l)
		}
		s.checkModes(pairs.Own)
	}
	stop.Store(true)
	got := <-reads
	t.Logf("%d of %d kills left something half done; %d ended with b; readers got a %d times, b %d times", halfDone, rounds, seen, got[0], got[1])
	if halfDone == 0 || got[0] == 0 || got[1] == 0 || seen == 0 || seen == rounds {
		t.Error("no kill fell into the middle, or nobody read: this test shows nothing")
	}
	if n := strings.Count(s.log.String(), "removed what a power cut has left"); n < halfDone {
		t.Errorf("%d half-done changes, of which the log tells %d", halfDone, n)
	}
}
