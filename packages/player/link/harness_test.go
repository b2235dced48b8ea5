package link_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/certs"
	"porthole/packages/internal/program"
	"porthole/packages/internal/settings"
	"porthole/packages/internal/testkit"
	"porthole/packages/internal/unixsock"
	"porthole/packages/player/link"
	"porthole/packages/player/playback"
	"porthole/packages/player/spool"
	"porthole/packages/player/trust"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// eventually waits until ok says nothing.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// clock is the real one, and notes what servers say.
type clock struct {
	mu   sync.Mutex
	said []time.Time // guarded by mu
}

func (*clock) Now() time.Time { return time.Now() }

func (c *clock) FromServer(t time.Time, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, t)
}

func (c *clock) heard() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.said)
}

// player is a link with all that belongs to it.
type player struct {
	t     *testing.T
	dir   string
	log   *testkit.Log
	clock *clock
	roots *x509.CertPool
	*link.Link
	trust    *trust.Trust
	spool    *spool.Spool
	programs chan program.Program
	identify chan time.Time
	stop     func()
}

func newPlayer(t *testing.T) *player {
	t.Helper()
	p := &player{t: t, dir: t.TempDir(), log: &testkit.Log{}, clock: &clock{}, roots: x509.NewCertPool()}
	p.start()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("state %+v\nlog:\n%s", p.State(), p.log)
		}
		for _, secret := range secrets {
			if strings.Contains(p.log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, p.log)
			}
		}
	})
	return p
}

// secrets are what no log may have.
var secrets = []string{"ABC123XYZ", "the-auth-code", "a-newer-code", "Bearer ", "device-code"}

func (p *player) start() {
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.trust = trust.Open(trust.Config{Log: log, Dir: p.dir, Roots: p.roots})
	p.spool = spool.New(spool.Config{Log: log, Dir: filepath.Join(p.dir, "spool")})
	p.programs, p.identify = make(chan program.Program, 100), make(chan time.Time, 1000)
	console := unixsock.Transport(filepath.Join(p.dir, "console.sock"))
	p.Link = link.New(link.Config{
		Log: log, Dir: p.dir, Agent: "Porthole/test", Console: console, Trust: p.trust, Clock: p.clock, Spool: p.spool,
		Program:  func(prog program.Program) { p.programs <- prog },
		Identify: func(_ string, until time.Time) { p.identify <- until },
		Shot:     func() ([]byte, error) { return []byte("\xff\xd8 a picture"), nil },
	})
	p.Hasten(50*time.Millisecond, 200*time.Millisecond, time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { p.Run(ctx) })
	work.Go(func() {
		if err := p.spool.Run(ctx); err != nil {
			p.t.Error(err)
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
		console.CloseIdleConnections()
	})
}

func (p *player) restart() {
	p.stop()
	p.start()
}

// to connects to a server, quickly.
func (p *player) to(s settings.PlayerSettings) {
	if s.RetryDelay == 0 {
		s.RetryDelay, s.RetryAttempts = 1, 100
	}
	p.Set(s, "shop-tv")
}

// next is the next program.
func (p *player) next() program.Program {
	p.t.Helper()
	select {
	case prog := <-p.programs:
		return prog
	case <-time.After(patience):
		p.t.Fatalf("no program; state %+v", p.State())
		return program.Program{}
	}
}

// trouble waits for a problem of a cause, with all of these words in what is said.
func (p *player) trouble(cause link.Cause, words ...string) link.State {
	p.t.Helper()
	var s link.State
	eventually(p.t, fmt.Sprintf("a problem %q that says %q", cause, words), func() bool {
		s = p.State()
		return s.Cause == cause && s.Problem != "" && s.Step != "" && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(s.Problem+" "+s.Step, w) })
	})
	return s
}

func (p *player) well() {
	p.t.Helper()
	eventually(p.t, "a connection", func() bool { s := p.State(); return s.Connected && s.Cause == "" })
}

func readFile(t *testing.T, path string) (string, os.FileMode) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), st.Mode().Perm()
}

func event(status, message string) playback.Event {
	return playback.Event{Status: status, Message: message, Time: time.Now()}
}

func fingerprint(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return err.Error()
	}
	return certs.Fingerprint(c)
}
